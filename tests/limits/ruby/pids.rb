# Starts threads until it may not. (To start a process, Ruby waits until it may.)
require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  threads = []
  begin
    threads << Thread.new { sleep } while threads.size < 500
  rescue ThreadError
    # That was one too many.
  end
  threads.each(&:kill).each(&:join)
  { "count" => threads.size }
end
