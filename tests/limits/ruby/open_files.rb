# Opens files until it may not.
require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  files = []
  code = ""
  begin
    files << File.open("/dev/null") while files.size < 2000
  rescue SystemCallError => e
    code = e.class.name.delete_prefix("Errno::")
  end
  files.each(&:close)
  { "count" => files.size, "code" => code }
end
