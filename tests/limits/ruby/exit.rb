require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  exit!(1)
end
