//! Refusals to start: one clear line on standard error and an exit status that is not 0.

use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tests::place;
use tests::server::{Home, Options, Server};
use tokio::process::Command;

/// A refusal takes no time.
const PATIENCE: Duration = Duration::from_secs(30);

/// Starts a server that must refuse; returns its one line.
async fn refusal(home: &Home) -> String {
    let mut command = Command::from(home.command());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    let process = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let Ok(output) = tokio::time::timeout(PATIENCE, child.wait_with_output()).await else {
        // Asked to go rather than killed, so that it takes its network with it.
        let _ = process.map(|process| kill_process(process, Signal::TERM));
        panic!("oxwhisk runs where it must refuse to start: {command:?}");
    };
    let output = output.expect("a child can be waited for");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "a refusal is no success: {told}");
    assert!(!told.contains("panicked"), "{told}");
    let lines: Vec<&str> = told.lines().filter(|line| line.starts_with("oxwhisk: ")).collect();
    assert_eq!(lines.len(), 1, "there is one line that tells why:\n{told}");
    assert_eq!(told.lines().last(), lines.first().copied(), "and it is the last one");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(!printed.contains("wsk property set"), "it is not ready: {printed}");
    lines[0].to_owned()
}

async fn refused(options: Options, clue: &str) {
    let line = refusal(&Home::new(options)).await;
    assert!(line.contains(clue), "{clue:?} is missing in: {line}");
}

#[tokio::test]
async fn the_port_is_taken() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, place::free_port())).expect("the port was free");
    let port = taken.local_addr().expect("a bound socket has an address").port();
    let line = refusal(&Home::new(Options::default()).on_port(port)).await;
    assert!(line.contains(&port.to_string()), "{line}");
}

#[tokio::test]
async fn the_data_directory_cannot_be_written() {
    // Not even root makes a folder below a file, or in /proc.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("file");
    std::fs::write(&file, "not a folder").expect("a new folder is writable");
    for data in [file.clone(), file.join("data"), PathBuf::from("/proc/oxwhisk")] {
        let clue = data.display().to_string();
        refused(Options { data: Some(data), ..Options::default() }, &clue).await;
    }
}

#[tokio::test]
async fn docker_is_asked_for_and_does_not_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let socket = folder.path().join("dead.sock");
    let environment = vec![("DOCKER_HOST".to_owned(), format!("unix://{}", socket.display()))];
    let options = Options { container_runtime: "docker".to_owned(), environment, ..Options::default() };
    refused(options, "Docker").await;
}

#[tokio::test]
async fn another_instance_serves_the_data_directory() {
    let server = Server::start(Options::default()).await;
    let data = server.home().data();
    let clue = data.display().to_string();
    refused(Options { data: Some(data), ..Options::default() }, &clue).await;
    server.whisk().guest().await.expect("the embedded form has a guest").get("actions").await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn the_well_known_key_stays_on_loopback() {
    // Serving on loopback makes `guest`; whoever deletes it may serve the same data to others.
    let home = Server::start(Options::default()).await.stop().await;
    let line = refusal(&home.with(|options| options.host = "0.0.0.0".to_owned())).await;
    assert!(line.contains("guest") || line.contains("not isolated"), "{line}");
}

#[tokio::test]
async fn processes_stay_on_loopback() {
    let container_runtime = "process".to_owned();
    refused(Options { host: "0.0.0.0".to_owned(), container_runtime, ..Options::default() }, "0.0.0.0").await;
}
