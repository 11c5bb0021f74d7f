//! Where a process answers HTTP: told to whoever looks after it by a file, and asked by a probe, so that a
//! container's health check needs no other program.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};

use crate::tls::{self, Files, Tls};

/// How long a probe may take.
const LIMIT: Duration = Duration::from_secs(3);

/// What stands before the address of a process that answers over TLS.
const TLS: &str = "https://";

/// Writes the address, which replaces that of an earlier run, and behind it what a probe has to show.
pub fn tell(file: &Path, address: SocketAddr, tls: Option<&Tls>) -> anyhow::Result<()> {
    let draft = file.with_extension("new");
    let scheme = if tls.is_some() { TLS } else { "" };
    let identity = tls.map(Tls::files).filter(|files| files.client_ca.is_some());
    let identity = identity
        .map(|Files { certificate, key, .. }| format!("\n{}\n{}", certificate.display(), key.display()));
    std::fs::write(&draft, format!("{scheme}{address}{}", identity.unwrap_or_default()))
        .and_then(|()| std::fs::rename(&draft, file))
        .with_context(|| format!("--address-file {} cannot be written", file.display()))
}

/// Asks `/ready` of the process that wrote the file. Where clients must show a certificate it shows that process's
/// own.
///
/// # Errors
///
/// If it does not answer, or is not ready; the text says why.
pub fn probe(file: Option<&Path>) -> anyhow::Result<()> {
    let file = file.context("--probe needs --address-file")?;
    let text = std::fs::read_to_string(file).context("no process has said where it listens")?;
    let mut lines = text.lines();
    let address = lines.next().unwrap_or_default();
    let identity = lines.next().zip(lines.next());
    let (is_tls, address) = match address.strip_prefix(TLS) {
        Some(address) => (true, address),
        None => (false, address),
    };
    let mut address: SocketAddr = address.trim().parse().context("the address file holds no address")?;
    if address.ip().is_unspecified() {
        address.set_ip(std::net::Ipv4Addr::LOCALHOST.into());
    }
    let stream = TcpStream::connect_timeout(&address, LIMIT).context("nobody listens")?;
    stream.set_read_timeout(Some(LIMIT))?;
    let answer = match is_tls {
        true => ask(tls::to_ourselves(stream, address.ip(), identity)?, address),
        false => ask(stream, address),
    };
    let answer = answer.context("no answer came")?;
    if answer.split(' ').nth(1) != Some("200") {
        bail!("{}", answer.lines().last().unwrap_or("an empty answer"));
    }
    Ok(())
}

fn ask(mut stream: impl Read + Write, address: SocketAddr) -> std::io::Result<String> {
    stream.write_all(format!("GET /ready HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// A server that answers once.
    fn answering(answer: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let _ = stream.read(&mut [0; 1024]);
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    #[test]
    fn a_probe_finds_out_whether_a_process_is_ready() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("address");
        assert!(probe(Some(&file)).is_err() && probe(None).is_err());
        tell(&file, answering("HTTP/1.0 200 OK\r\n\r\n{}"), None).unwrap();
        probe(Some(&file)).unwrap();
        tell(&file, answering("HTTP/1.0 503 No\r\n\r\n{\"why\":[\"kafka\"]}"), None).unwrap();
        assert!(probe(Some(&file)).unwrap_err().to_string().contains("kafka"));
    }
}
