//! Who has a port or a file: what `/proc` tells of other processes, as far as it may be read.

use std::fmt;
use std::fs;
use std::path::Path;

/// `LISTEN` in `/proc/net/tcp`.
const LISTENS: &str = "0A";

/// A process that has something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Its number.
    pub process: u32,
    /// Its program.
    pub program: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (process {})", self.program, self.process)
    }
}

/// Who listens on a TCP port, at whatever address; nobody, or nobody whom we may see.
pub fn of_port(port: u16) -> Option<Holder> {
    let tables =
        ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
    let sockets = tables.iter().flat_map(|table| listening(table, port));
    sockets.map(|inode| format!("socket:[{inode}]")).find_map(|link| of_link(&link))
}

/// Who has a file open, other than this process.
pub fn of_file(path: &Path) -> Option<Holder> {
    of_link(path.canonicalize().ok()?.to_str()?)
}

/// The sockets of a table that listen on a port.
fn listening(table: &str, port: u16) -> Vec<String> {
    let suffix = format!(":{port:04X}");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let wanted = rows.filter(|row| row.len() > 9 && row[1].ends_with(&suffix) && row[3] == LISTENS);
    wanted.map(|row| row[9].to_owned()).collect()
}

fn of_link(link: &str) -> Option<Holder> {
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let process = numbers.find(|number| *number != std::process::id() && has(*number, link))?;
    Some(Holder { process, program: program(process) })
}

fn has(process: u32, link: &str) -> bool {
    let descriptors = fs::read_dir(format!("/proc/{process}/fd"));
    let mut targets =
        descriptors.into_iter().flatten().flatten().flat_map(|entry| fs::read_link(entry.path()));
    targets.any(|target| target.as_os_str() == link)
}

fn program(process: u32) -> String {
    let file = fs::read_link(format!("/proc/{process}/exe"));
    let name = file.ok().and_then(|file| Some(file.file_name()?.to_string_lossy().into_owned()));
    let name = name.or_else(|| fs::read_to_string(format!("/proc/{process}/comm")).ok()).unwrap_or_default();
    name.trim().trim_end_matches(" (deleted)").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str =
        "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CA1 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0
   1: 0100007F:0CA1 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0
   2: 00000000:1F95 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0
";

    #[test]
    fn listeners_are_found_by_their_port() {
        assert_eq!(listening(TABLE, 3233), ["4711"]);
        assert_eq!(listening(TABLE, 8085), ["4713"]);
        assert!(listening(TABLE, 80).is_empty());
    }
}
