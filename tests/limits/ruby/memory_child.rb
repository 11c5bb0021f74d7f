# Its child is killed for want of memory, and it goes on; later it ends by itself.
require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  exit!(1) if args["exit"]
  system("ruby", "-e", "'x' * (1 << 30)")
  { "killed" => $?.termsig == Signal.list["KILL"] }
end
