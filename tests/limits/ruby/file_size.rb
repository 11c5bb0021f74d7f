# Writes one file until it may not.
require "socket"
require "tempfile"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  block = "x" * (1 << 20)
  count = 0
  code = ""
  Tempfile.create do |file|
    count += file.syswrite(block) while count < 200 << 20
  rescue SystemCallError => e
    code = e.class.name.delete_prefix("Errno::")
  end
  { "count" => count, "code" => code }
end
