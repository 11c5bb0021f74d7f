# Lets a shell start processes until it may not: Ruby itself waits until it may.
require "socket"

def main(args)
  return { "host" => Socket.gethostname } if args["calm"]

  script = "i=0; while [ $i -lt 500 ]; do sleep 60 > /dev/null & i=$((i+1)); echo $i; done"
  shell = IO.popen(["sh", "-c", script, { err: File::NULL, pgroup: true }])
  count = shell.read.lines.last.to_i
  Process.kill("KILL", -shell.pid)
  shell.close
  { "count" => count }
end
