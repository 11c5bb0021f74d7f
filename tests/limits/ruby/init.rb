# Does what it is told while it is loaded.
require "socket"

HOG = []

case ENV["TROUBLE"]
when "time" then loop {}
when "exit" then exit!(1)
when "memory" then loop { HOG << "x" * (16 << 20) }
when "text" then raise "x" * (2 << 20)
end

def main(_args)
  { "host" => Socket.gethostname }
end
