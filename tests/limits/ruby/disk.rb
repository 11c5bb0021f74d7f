# Writes files, each of a size that is allowed, and waits for what becomes of that.
require "socket"
require "tmpdir"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  block = "x" * (8 << 20)
  begin
    40.times { |i| File.write("#{Dir.tmpdir}/file#{i}", block) }
  rescue SystemCallError => e
    return { "code" => e.class.name.delete_prefix("Errno::") }
  end
  sleep 50
  { "files" => 40 }
end
