# Takes it bit by bit, as objects of the language.
require "socket"

HOG = []

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  (1 << 24).times { |i| HOG << { "i" => i, "text" => "object #{i}" } }
  { "objects" => HOG.size }
end
