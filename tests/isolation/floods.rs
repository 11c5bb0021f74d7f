//! Output without end: elsewhere it fills the host's disk, here it is counted, cut and forgotten.

use serde_json::json;
use tests::fixtures;
use tests::server::{Options, Server};

use tests::daemon::{Daemon, Plain};

/// This attack.
pub const NAMES: &[&str] = &["log-flood"];

/// So many MB are written.
const FLOOD: u64 = 24;

const WRITE: &str = "import sys; [sys.stdout.write('x' * 1023 + '\\n') for _ in range(24 << 10)]";

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logs_stays_off_the_disk() {
    if !crate::is_possible().await {
        return;
    }
    let daemon = Daemon::connect().await;
    let command = ["sh", "-c", "python3 -c \"$0\"; sleep 600", WRITE].map(str::to_owned).to_vec();
    let free = daemon.start(Plain { command, ..Default::default() }).await;
    let path = daemon.docker.inspect_container(&free, None).await.unwrap().log_path.unwrap();
    let has_grown =
        || async { std::fs::metadata(&path).ok().filter(|file| file.len() >= FLOOD << 20).map(drop) };
    tests::wait::until("the log has grown", std::time::Duration::from_secs(60), has_grown).await;
    daemon.remove(&free).await;

    let options = Options { container_runtime: "docker".to_owned(), ..Options::default() };
    let server = Server::start(options).await;
    let namespace = server.whisk().namespace().await;
    let code = format!("import socket\ndef main(args):\n  {WRITE}\n  return {{'id': socket.gethostname()}}");
    let mut body = fixtures::python(&code);
    body["limits"]["logs"] = json!(1);
    let name = namespace.create("flood", &body).await;
    let record = namespace.record_of(&name, &json!({})).await;
    let container = record["response"]["result"]["id"].as_str().unwrap_or_else(|| panic!("{record}"));
    let kept: usize =
        record["logs"].as_array().unwrap().iter().map(|line| line.as_str().unwrap().len()).sum();
    assert!(kept <= (1 << 20) + 200, "{kept}");
    let last = record["logs"].as_array().unwrap().last().unwrap().as_str().unwrap();
    assert!(last.contains("Logs were truncated"), "{last}");
    // Docker keeps nothing of it, and the container goes on.
    let inspected = daemon.docker.inspect_container(container, None).await.unwrap();
    assert_eq!(inspected.log_path.as_deref(), Some(""));
    assert_eq!(namespace.result(&name, &json!({})).await["id"], json!(container));
    daemon.clear().await;
    server.stop().await;
}
