require "socket"

def main(args)
  host = Socket.gethostname
  args["calm"] ? { "host" => host } : { "host" => host, "text" => "ü" * (1 << 20) }
end
