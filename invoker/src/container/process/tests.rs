//! The process runtime with shell scripts in the proxy's place: what it hands down and what it cleans up.

use std::os::unix::fs::PermissionsExt;

use common::clock::SystemClock;

use super::*;
use crate::container::{EndCause, Pull};

const LONG: Duration = Duration::from_secs(10);

struct Fixture {
    runtime: ProcessRuntime,
    directory: tempfile::TempDir,
    tasks: Shutdown,
    run: String,
}

/// A runtime whose `python` is a script; it gets the proxy's arguments.
fn fixture(script: &str) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let exe = directory.path().join("proxy.sh");
    std::fs::write(&exe, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&exe, PermissionsExt::from_mode(0o755)).unwrap();
    let tasks = Shutdown::new();
    // Tests run side by side, and a run's processes are found by its name.
    let run = directory.path().file_name().unwrap().to_string_lossy().replace(".tmp", "run");
    let config =
        ProcessConfig::new(exe, directory.path().join("runs"), &run).with_python(Path::new("/launchers"));
    let runtime = ProcessRuntime::start(config, Arc::new(SystemClock), tasks.clone()).unwrap();
    Fixture { runtime, directory, tasks, run }
}

impl Fixture {
    async fn create(&self, name: &str) -> Box<dyn Container> {
        self.runtime.create(spec(name, "python:3.13", 64)).await.unwrap()
    }

    async fn close(self) {
        self.runtime.close().await.unwrap();
        assert!(!self.directory.path().join("runs").join(&self.run).exists());
        assert!(self.tasks.finish(LONG).await, "a task is left");
    }
}

fn spec(name: &str, kind: &str, memory_mb: u64) -> ContainerSpec {
    ContainerSpec {
        name: name.into(),
        kind: kind.into(),
        image: "some/image".into(),
        memory_mb,
        cpu_shares: 2,
        env: vec![("__OW_API_HOST".into(), "http://127.0.0.1:1".into())],
        pull: Pull::Never,
    }
}

async fn output(container: &mut Box<dyn Container>) -> String {
    let mut logs = container.take_logs().unwrap();
    let mut text = String::new();
    while let Some(chunk) = logs.next().await {
        text.push_str(&String::from_utf8_lossy(&chunk.bytes));
    }
    text
}

#[test]
fn command_lines_are_what_the_proxy_expects() {
    let mut config = ProcessConfig::new("/bin/ox", "/d", "r")
        .with_python(Path::new("/l"))
        .with_nodejs(Path::new("/l"), Path::new("/m"));
    config.prefix = vec!["action-proxy".into()];
    let line = |family: &str| {
        let (line, env) = config.command_line(&config.launchers[family], Path::new("/d/r/c"));
        (line.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" "), env.len())
    };
    let pid = std::process::id();
    let python = format!(
        "/bin/ox action-proxy serve --listen-stdin --workdir /d/r/c --die-with-parent={pid} --nofile 1024 \
                  --fsize-mb 512 --preload -- python3 /l/python/launcher.py"
    );
    let nodejs = format!(
        "/bin/ox action-proxy exec --die-with-parent={pid} --nofile 1024 --fsize-mb 512 \
         -- node /l/nodejs/server.js"
    );
    assert_eq!(line("python"), (python, 0));
    assert_eq!(line("nodejs"), (nodejs, 2));
}

#[tokio::test]
async fn a_process_gets_a_socket_a_directory_and_little_else() {
    let fixture = fixture("readlink /proc/self/fd/0; pwd; env | sort; touch $TMPDIR/x; exit 3");
    let mut container = fixture.create("c1").await;
    let text = output(&mut container).await;
    assert!(text.starts_with("socket:["), "{text}");
    let place = fixture.directory.path().join("runs").join(&fixture.run).join("c1");
    assert!(text.contains(&format!("HOME={}\n", place.display())), "{text}");
    assert!(text.contains(&format!("OXWHISK_CONTAINER={}/c1\n", fixture.run)), "{text}");
    assert!(text.contains("__OW_API_HOST=http://127.0.0.1:1\n"), "{text}");
    assert!(!text.contains("CARGO"), "{text}");
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(container.cause_of_end(LONG).await, EndCause::Exited(Some(3)));
    // Nobody holds the socket any more.
    assert!(tokio::net::TcpStream::connect(container.address()).await.is_err());
    container.destroy().await.unwrap();
    assert!(!place.exists());
    fixture.close().await;
}

#[tokio::test]
async fn removal_takes_those_along_that_left_the_group() {
    let fixture = fixture("setsid sleep 1000 & sleep 1001");
    let container = fixture.create("c1").await;
    assert_eq!(container.cause_of_end(Duration::from_millis(20)).await, EndCause::Running);
    container.suspend().await.unwrap();
    container.destroy().await.unwrap();
    let whose = Marked::Container(format!("{}/c1", fixture.run));
    assert_eq!(proc::kill_marked(&whose).await, 0, "none is left");
    fixture.close().await;
}

#[tokio::test]
async fn too_much_memory_is_the_end() {
    let fixture = fixture("exec python3 -c 'x = bytearray(200 << 20); import time; time.sleep(1000)'");
    let container = fixture.create("c1").await;
    assert_eq!(container.cause_of_end(LONG).await, EndCause::OutOfMemory);
    container.destroy().await.unwrap();
    fixture.close().await;
}

#[tokio::test]
async fn an_earlier_runs_processes_are_found_and_killed() {
    let fixture = fixture("sleep 1000");
    let containers = [fixture.create("c1").await, fixture.create("c2").await];
    assert_eq!(fixture.runtime.remove_run("another").await.unwrap(), 0);
    assert_eq!(fixture.runtime.remove_run(&fixture.run).await.unwrap(), 2);
    for container in containers {
        assert_eq!(container.cause_of_end(LONG).await, EndCause::Exited(Some(137)));
        container.destroy().await.unwrap();
    }
    assert!(fixture.runtime.remove_run("../..").await.is_err());
    fixture.close().await;
}

#[tokio::test]
async fn kinds_without_a_launcher_are_refused() {
    let fixture = fixture("true");
    let blackbox = fixture.runtime.create(spec("c1", "blackbox", 64)).await.err().unwrap();
    assert_eq!(blackbox.to_string(), "Failed to pull container image 'some/image'.");
    let swift = fixture.runtime.create(spec("c1", "swift:6.0", 64)).await.err().unwrap();
    assert!(matches!(swift, CreateError::NoContainers { kind } if kind == "swift:6.0"));
    fixture.close().await;
}

#[tokio::test]
async fn an_interpreter_that_is_missing_is_named_with_its_package() {
    let mut fixture = fixture("true");
    let command = vec!["no-such-php".to_owned(), "launcher.php".to_owned()];
    fixture.runtime.config.launchers.insert("php".to_owned(), Launcher::Proxied { command });
    let error = fixture.runtime.create(spec("c1", "php:8.4", 64)).await.err().unwrap();
    assert!(matches!(&error, CreateError::NoInterpreter { program, .. } if program == "no-such-php"));
    assert!(error.to_string().contains("install it"), "{error}");
    for (program, expected) in
        [("node", "nodejs"), ("python3", "python3"), ("ruby", "ruby"), ("php", "php-cli")]
    {
        assert_eq!(package(program), expected);
    }
    fixture.close().await;
}
