# Starts processes until it may not.
require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  children = []
  begin
    children << Process.spawn("sleep", "60") while children.size < 500
  rescue SystemCallError
    # That was one too many.
  end
  children.each do |child|
    Process.kill("KILL", child)
    Process.wait(child)
  end
  { "count" => children.size }
end
