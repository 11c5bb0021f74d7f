//! What is attacked on the host: services that tell a secret word, processes, the metadata address.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

/// A server that tells the word, for containers that are decoys themselves.
pub const SERVER: &str = "
import socket, sys
with socket.create_server(('', int(sys.argv[1]))) as server:
    while True:
        connection, _ = server.accept()
        connection.sendall(f'decoy {sys.argv[2]}'.encode())
        connection.close()
";

/// Tells the word to whoever connects, until the test ends.
pub fn tcp(listener: TcpListener, word: &str) {
    let word = word.to_owned();
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            tell(connection, &word);
        }
    });
}

/// The same at a path.
pub fn unix(path: &Path, word: &str) {
    let (listener, word) = (UnixListener::bind(path).unwrap(), word.to_owned());
    std::thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            tell(connection, &word);
        }
    });
}

fn tell(mut connection: impl Read + Write, word: &str) {
    // Who only knocks is gone already.
    let _ = connection.write_all(format!("decoy {word}\n").as_bytes());
}

/// A program that leaves a mark where it ran.
pub fn script(path: &Path, mark: &Path) {
    std::fs::write(path, format!("#!/bin/sh\n: > {}\n", mark.display())).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Answers datagrams with the word.
pub fn udp(socket: UdpSocket, word: &str) {
    let word = word.to_owned();
    std::thread::spawn(move || {
        let mut buffer = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(word.as_bytes(), from);
        }
    });
}

/// A process of the host that does nothing; it is killed at the end.
pub struct Victim(Child);

impl Victim {
    /// With this word in its name, and this one in its environment.
    pub fn start(name: &str, secret: &str) -> Self {
        let mut sleep = Command::new("sleep");
        Self(sleep.arg0(format!("decoy-{name}")).arg("600").env("DECOY", secret).spawn().unwrap())
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A disk of this machine that holds the word: a file as a loop device.
pub struct Disk(String);

impl Disk {
    /// With its file in that folder.
    pub fn start(folder: &Path, word: &str) -> Self {
        let file = folder.join("disk");
        std::fs::write(&file, word.repeat(512)).unwrap();
        let output = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        Self(String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// Its numbers.
    pub fn device(&self) -> [u32; 2] {
        let device = std::fs::metadata(&self.0).unwrap().rdev();
        [rustix::fs::major(device), rustix::fs::minor(device)]
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

/// Runs `ip` with these words.
pub fn ip(words: &str) {
    let status = Command::new("ip").args(words.split(' ')).status().unwrap();
    assert!(status.success(), "ip {words}: {status}");
}

/// The metadata services' address on this machine's loopback device.
pub struct Metadata;

impl Metadata {
    /// The address.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

    /// Adds it.
    pub fn start() -> Self {
        // Another suite may have it there just now.
        let words = format!("addr replace {}/32 dev lo", Self::ADDRESS);
        ip(&words);
        Self
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        let address = format!("{}/32", Self::ADDRESS);
        let _ = Command::new("ip").args(["addr", "del", &address, "dev", "lo"]).status();
    }
}

/// All IPv6 addresses of this machine, the loopback's included.
pub fn ipv6_addresses() -> Vec<IpAddr> {
    let output = Command::new("ip").args(["-6", "-o", "addr", "show"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let words = text.split_ascii_whitespace().filter_map(|word| word.split_once('/'));
    words.filter_map(|(address, _)| address.parse().ok()).filter(IpAddr::is_ipv6).collect()
}
