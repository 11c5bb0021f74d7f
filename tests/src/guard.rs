//! A watchdog a server: when the test process ends, however it ends, the server is told to end too.
//!
//! Statics are never dropped and a killed test runs no destructor, so the guard is a process of its
//! own. It reads from a pipe that only the test holds: a word means that the server is gone already,
//! the end of the pipe means that the test is. A server that ends in good order takes its containers and its
//! bridge with it; of one that was killed the watchdog removes them.

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

const SCRIPT: &str = r#"
word=
read -r word
[ "$word" = gone ] && exit 0
if [ "$word" != sweep ]; then
  sleep "$5"
  kill "-$3" "$1" 2>/dev/null
fi
tries=0
while kill -0 "$1" 2>/dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; do
  tries=$((tries + 1))
  if [ "$tries" -ge 300 ]; then
    echo "$4 (process $1) did not end within 30 s of a SIG$3" >&2
    kill -KILL "$1"
    break
  fi
  sleep 0.1
done
# What a server that was killed has left in Docker, by the word of its data directory or of its number.
sweep() {
  for id in $(docker ps --all --quiet --no-trunc --filter "label=oxwhisk.instance=$1"); do
    echo THAWED >"/sys/fs/cgroup/freezer/docker/$id/freezer.state"
    echo 0 >"/sys/fs/cgroup/docker/$id/cgroup.freeze"
    docker rm --force "$id"
  done
  for network in $(docker network ls --quiet --filter "label=oxwhisk.instance=$1"); do
    docker network rm "$network"
    for chain in "OXWHISK-I-ox-$1" "OXWHISK-F-ox-$1"; do
      iptables -w 5 -S | grep -e "-j $chain\$" | sed 's/^-A/-D/' | while read -r rule; do
        iptables -w 5 $rule
      done
      iptables -w 5 -F "$chain" && iptables -w 5 -X "$chain"
    done
  done
}
word() { printf %s "$1" | sha256sum | cut -c 1-8; }
case "$4" in
  oxwhisk) sweep "$(word "$2/data")" ;;
  oxwhisk-invoker)
    number=0
    while [ "$number" -lt 4 ] && [ -f "$2/state/installation" ]; do
      sweep "$(word "$(cat "$2/state/installation") invoker$number")"
      number=$((number + 1))
    done
    ;;
esac >/dev/null 2>&1
[ "$word" = sweep ] || rm -rf "$2"
"#;

/// What others need stays so many seconds longer than they are told to end.
const LAST: &str = "5";

/// Watches over one server process and its folder.
#[derive(Debug)]
pub struct Guard(Child);

impl Guard {
    /// Starts to watch the process of that name; once both it and the test have ended, `folder` is removed.
    pub fn over(name: &str, process: u32, folder: &Path) -> io::Result<Self> {
        Self::start(name, process, "TERM", folder, "0")
    }

    /// The same for a service that others need; `signal` tells it to end, when they have had time to.
    pub fn over_service(name: &str, process: u32, signal: &str, folder: &Path) -> io::Result<Self> {
        Self::start(name, process, signal, folder, LAST)
    }

    fn start(name: &str, process: u32, signal: &str, folder: &Path, pause: &str) -> io::Result<Self> {
        let child = Command::new("sh")
            .args(["-c", SCRIPT, "guard"])
            .arg(process.to_string())
            .arg(folder)
            .args([signal, name, pause])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0)
            .spawn()?;
        Ok(Self(child))
    }

    /// Removes what a server that was killed has left in Docker; the folder stays.
    pub fn sweep(mut self) {
        self.say("sweep\n");
    }

    fn say(&mut self, word: &str) {
        if let Some(mut pipe) = self.0.stdin.take() {
            let _ = pipe.write_all(word.as_bytes());
        }
        let _ = self.0.wait();
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.say("gone\n");
    }
}
