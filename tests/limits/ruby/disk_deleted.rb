# The same with files that have no name any more.
require "socket"
require "tmpdir"

FILES = []

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  block = "x" * (8 << 20)
  begin
    40.times do |i|
      path = "#{Dir.tmpdir}/file#{i}"
      FILES << File.open(path, "w")
      File.unlink(path)
      FILES.last.syswrite(block)
    end
  rescue SystemCallError => e
    return { "code" => e.class.name.delete_prefix("Errno::") }
  end
  sleep 50
  { "files" => 40 }
end
