require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  loop {}
end
