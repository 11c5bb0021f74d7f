//! What a machine tells of itself: memory, disks, folders, ports, open files, the secret, the lock of a data
//! directory.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access, statvfs};
use rustix::process::{Resource, getrlimit};

use super::Finding;
use super::holder::{self, Holder};
use crate::entity::limits::ByteSize;

/// With less than this on a disk, it is as good as full.
const FULL: u64 = 128 << 20;

/// With less than this, it soon will be.
const NEARLY_FULL: u64 = 2 << 30;

/// A connection is an open file, and a container takes several.
const FEW_FILES: u64 = 4_096;

/// What containers may use, of what the machine has. The programs themselves need some of it.
pub fn memory(user_memory: ByteSize, total: Option<u64>) -> Finding {
    let wanted = user_memory.mb();
    let Some(total) = total.map(|bytes| bytes >> 20) else {
        return Finding::warn("how much memory the machine has is not known", "look at /proc/meminfo");
    };
    let sizes = format!("containers may use {wanted} MB of the machine's {total} MB");
    match wanted {
        _ if wanted > total => Finding::fail(sizes, "lower --user-memory, or the kernel kills what it likes"),
        _ if wanted > total / 10 * 9 => {
            Finding::warn(sizes, "lower --user-memory: the platform and the system need some, too")
        }
        _ => Finding::ok(sizes),
    }
}

/// The memory of this machine.
pub fn total_memory() -> Option<u64> {
    parse_memory(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn parse_memory(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
}

/// What is free on the disk of a folder, or of where it will be.
pub fn disk(what: &str, folder: &Path) -> Finding {
    let there = existing(folder);
    match statvfs(&there) {
        Ok(disk) => judge_disk(what, folder, disk.f_bavail * disk.f_frsize, disk.f_favail, disk.f_files),
        Err(error) => Finding::fail(
            format!("how much is free for {what} at {} cannot be seen: {error}", folder.display()),
            "look at the file system",
        ),
    }
}

fn judge_disk(what: &str, folder: &Path, bytes: u64, inodes: u64, all_inodes: u64) -> Finding {
    let told = format!("{} MB are free for {what} at {}", bytes >> 20, folder.display());
    // Some file systems do not count inodes.
    if all_inodes > 0 && inodes < 1_000 {
        let told = format!("no files can be made for {what} at {}: it has no inodes left", folder.display());
        return Finding::fail(told, "remove files, or give it another disk");
    }
    match bytes {
        _ if bytes < FULL => Finding::fail(told, "make room, or give it another disk"),
        _ if bytes < NEARLY_FULL => Finding::warn(told, "make room before it is full"),
        _ => Finding::ok(told),
    }
}

/// The folder itself, or the nearest above it that is there.
fn existing(folder: &Path) -> PathBuf {
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    absolute.ancestors().find(|path| path.exists()).map_or_else(|| PathBuf::from("/"), Path::to_owned)
}

/// Whether a folder is there and may be written, or could be made. `flag` chooses another.
pub fn folder(what: &str, folder: &Path, flag: &str) -> Finding {
    let shown = folder.display();
    let remedy = || format!("choose another with {flag}, or give it to the user of this process");
    let there = existing(folder);
    if !there.is_dir() {
        return Finding::fail(
            format!("{what} {shown} cannot be used: {} is no folder", there.display()),
            remedy(),
        );
    }
    if let Err(error) = access(&there, Access::WRITE_OK | Access::EXEC_OK) {
        return Finding::fail(
            format!("{what} {shown} cannot be used: {} cannot be written: {error}", there.display()),
            remedy(),
        );
    }
    match folder.exists() {
        true => Finding::ok(format!("{what} {shown} can be written")),
        false => Finding::ok(format!("{what} {shown} is not there yet and will be made")),
    }
}

/// Whether a program could listen there, as that flag says. `ours` is its process if it runs already.
pub fn port(address: SocketAddr, flag: &str, program: &str, ours: Option<&Holder>) -> Finding {
    let port = address.port();
    if port == 0 {
        return Finding::ok("any free port will do");
    }
    match TcpListener::bind(address) {
        Ok(_) => Finding::ok(format!("port {port} of {} is free", address.ip())),
        Err(error) => judge_port(address, flag, &error, holder::of_port(port), program, ours),
    }
}

fn judge_port(
    address: SocketAddr,
    flag: &str,
    error: &io::Error,
    held: Option<Holder>,
    program: &str,
    ours: Option<&Holder>,
) -> Finding {
    let (host, port) = (address.ip(), address.port());
    let told = |why: &str| format!("port {port} of {host} {why}");
    match (error.kind(), held) {
        (io::ErrorKind::AddrInUse, Some(held)) if ours == Some(&held) => {
            Finding::ok(told(&format!("is held by {held}, which serves already")))
        }
        (io::ErrorKind::AddrInUse, Some(held)) if held.program == program => Finding::warn(
            told(&format!("is held by {held}")),
            format!("another beside it needs another {flag}"),
        ),
        (io::ErrorKind::AddrInUse, held) => {
            let by = held.map_or_else(|| "a process that we may not see".to_owned(), |held| held.to_string());
            Finding::fail(
                told(&format!("is held by {by}")),
                format!("end that, or choose another with {flag}"),
            )
        }
        (io::ErrorKind::PermissionDenied, _) => Finding::fail(
            told("is for root alone"),
            format!("choose one above 1023 with {flag}, or run as root"),
        ),
        (io::ErrorKind::AddrNotAvailable, _) => Finding::fail(
            format!("{host} is no address of this machine"),
            format!("choose another (--host, or {flag})"),
        ),
        _ => Finding::fail(told(&format!("cannot be used: {error}")), format!("choose another with {flag}")),
    }
}

/// How many files a process may have open.
pub fn open_files() -> Finding {
    judge_open_files(getrlimit(Resource::Nofile).maximum)
}

fn judge_open_files(limit: Option<u64>) -> Finding {
    match limit {
        Some(limit) if limit < FEW_FILES => Finding::warn(
            format!("a process may have {limit} files open, which is as many connections"),
            "raise the hard limit: LimitNOFILE= of systemd, nofile of Docker, ulimit -Hn",
        ),
        Some(limit) => Finding::ok(format!("a process may have {limit} files open")),
        None => Finding::ok("a process may have any number of files open"),
    }
}

/// The installation's secret: whether it is one, and whether others can read it.
pub fn secret(path: &Path) -> Finding {
    let shown = path.display();
    let again = "bring the installation's file; without it the stored keys cannot be opened";
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Finding::warn(
                format!("the secret {shown} is not there yet and will be made"),
                "if this installation has subjects already, bring the file under which their keys were sealed",
            );
        }
        Err(error) => return Finding::fail(format!("the secret {shown} cannot be read: {error}"), again),
    };
    if let Err(error) = crate::store::seal::Secret::load(path) {
        return Finding::fail(format!("the secret {shown} cannot be used: {error}"), again);
    }
    judge_mode("the secret", path, metadata.mode())
}

/// A file that is for its owner alone, such as one with a password.
pub fn private(what: &str, path: &Path) -> Finding {
    match fs::metadata(path) {
        Ok(metadata) => judge_mode(what, path, metadata.mode()),
        Err(error) => Finding::fail(
            format!("{what} {} cannot be read: {error}", path.display()),
            "bring it, or name another",
        ),
    }
}

fn judge_mode(what: &str, path: &Path, mode: u32) -> Finding {
    let shown = path.display();
    match mode & 0o007 {
        0 => Finding::ok(format!("{what} {shown} is closed to others")),
        _ => Finding::fail(
            format!("{what} {shown} is open to everybody on this machine (mode {:o})", mode & 0o777),
            format!("chmod 600 {shown}, and change what it holds if somebody may have read it"),
        ),
    }
}

/// Who serves a data directory, by its lock; nobody if nobody does.
///
/// # Errors
///
/// If the lock is there and cannot be tried.
pub fn server_of(lock: &Path) -> io::Result<Option<Holder>> {
    let file = match File::open(lock) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        file => file?,
    };
    // Shared, and for a moment: whoever asks too at that time is not in the way.
    match file.try_lock_shared() {
        Ok(()) => Ok(None),
        Err(TryLockError::WouldBlock) => {
            let unseen = Holder { process: 0, program: "a process that we may not see".to_owned() };
            Ok(Some(holder::of_file(lock).unwrap_or(unseen)))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};
    use std::os::unix::fs::PermissionsExt;

    use super::super::Verdict;
    use super::*;

    #[test]
    fn memory_is_judged_by_what_there_is() {
        let total = parse_memory("MemTotal:       16384000 kB\nMemFree: 1 kB\n").unwrap();
        for (wanted, verdict) in [(2_048, Verdict::Ok), (15_500, Verdict::Warn), (16_384, Verdict::Fail)] {
            assert_eq!(memory(ByteSize::from_mb(wanted), Some(total)).verdict, verdict, "{wanted}");
        }
        assert!(total_memory().is_some());
    }

    #[test]
    fn disks_run_out_of_bytes_and_of_inodes() {
        let at = Path::new("/d");
        for (bytes, inodes, all, verdict) in [
            (3 << 30, 5_000, 9_000, Verdict::Ok),
            (1 << 30, 5_000, 9_000, Verdict::Warn),
            (1 << 20, 5_000, 9_000, Verdict::Fail),
            (3 << 30, 5, 9_000, Verdict::Fail),
            (3 << 30, 0, 0, Verdict::Ok),
        ] {
            assert_eq!(judge_disk("it", at, bytes, inodes, all).verdict, verdict, "{bytes} {inodes}");
        }
        assert!(disk("it", Path::new("/proc/../nowhere/at/all")).what.contains("/nowhere/at/all"));
    }

    #[test]
    fn a_folder_below_a_file_cannot_be_made() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(folder("it", &dir.path().join("a/b"), "--f").verdict, Verdict::Ok);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        let found = folder("it", &file.join("below"), "--f");
        assert!(found.verdict == Verdict::Fail && found.remedy.contains("--f"), "{found:?}");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made");
    }

    #[test]
    fn a_port_tells_who_has_it() {
        let host = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let holder = |program: &str| Some(Holder { process: 7, program: program.to_owned() });
        let taken = io::Error::from(io::ErrorKind::AddrInUse);
        for (held, ours, verdict) in [
            (holder("nginx"), None, Verdict::Fail),
            (None, None, Verdict::Fail),
            (holder("oxwhisk"), None, Verdict::Warn),
            (holder("oxwhisk"), holder("oxwhisk"), Verdict::Ok),
        ] {
            let found =
                judge_port(SocketAddr::new(host, 80), "--port", &taken, held, "oxwhisk", ours.as_ref());
            assert_eq!(found.verdict, verdict, "{found:?}");
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken = listener.local_addr().unwrap().port();
        assert_eq!(port(SocketAddr::new(host, taken), "--port", "oxwhisk", None).verdict, Verdict::Fail);
        drop(listener);
        assert_eq!(port(SocketAddr::new(host, taken), "--port", "oxwhisk", None).verdict, Verdict::Ok);
        let elsewhere = port(SocketAddr::from(([192, 0, 2, 1], taken)), "--port", "oxwhisk", None);
        assert!(elsewhere.remedy.contains("--host"), "{elsewhere:?}");
    }

    #[test]
    fn few_files_are_told() {
        assert_eq!(judge_open_files(Some(1_024)).verdict, Verdict::Warn);
        assert_eq!(judge_open_files(Some(1 << 20)).verdict, Verdict::Ok);
        assert_eq!(judge_open_files(None).verdict, Verdict::Ok);
    }

    #[test]
    fn a_secret_is_for_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("secret");
        assert_eq!(secret(&path).verdict, Verdict::Warn);
        crate::store::seal::Secret::load_or_create(&path).unwrap();
        assert_eq!(secret(&path).verdict, Verdict::Ok);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let open = secret(&path);
        assert!(open.verdict == Verdict::Fail && open.what.contains("644"), "{open:?}");
        fs::write(&path, "short").unwrap();
        assert_eq!(secret(&path).verdict, Verdict::Fail);
    }

    #[test]
    fn a_lock_tells_whether_it_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(server_of(&path).unwrap(), None);
        let file = File::create(&path).unwrap();
        assert_eq!(server_of(&path).unwrap(), None);
        file.lock().unwrap();
        assert!(server_of(&path).unwrap().is_some());
    }
}
