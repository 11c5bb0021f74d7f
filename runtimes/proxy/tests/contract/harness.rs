//! A server process with its logs, and a client that keeps its connection.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// More than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came back.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: Value,
    /// Stdout and stderr, as `X-Oxwhisk-Log-Bytes` has them.
    pub log_bytes: (usize, usize),
}

impl Response {
    /// The text of the member `error`.
    pub fn error(&self) -> &str {
        self.body["error"].as_str().unwrap_or_else(|| panic!("no text in `error`: {self:?}"))
    }
}

type Collected = Arc<Mutex<Vec<u8>>>;

/// A server that holds no action yet.
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    client: Client,
    logs: [Collected; 2],
    counted: [usize; 2],
    _workdir: tempfile::TempDir,
}

/// One connection.
pub struct Client(BufReader<TcpStream>);

impl Server {
    /// `python3` behind the proxy, started ahead as in the image. `None`, said loudly, where there is no Python.
    pub fn python(options: &[&str]) -> Option<Self> {
        Self::python_with(&[options, &["--preload"]].concat())
    }

    /// The same with these options only.
    pub fn python_with(options: &[&str]) -> Option<Self> {
        let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python/launcher.py");
        present("python3").then(|| Self::proxied(options, &["python3", &launcher.to_string_lossy()]))
    }

    /// Any launcher behind the proxy.
    pub fn proxied(options: &[&str], launcher: &[&str]) -> Self {
        let workdir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_action-proxy"));
        command.args(["serve", "--listen-stdin", "--workdir"]).arg(workdir.path());
        command.args(options).arg("--").args(launcher);
        command.env("__OW_API_HOST", "http://api.example").env("OUTER_SECRET", "not for actions");
        Self::start(command, workdir)
    }

    /// The code itself as the launcher.
    pub fn executable(options: &[&str]) -> Self {
        let workdir = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_action-proxy"));
        command.args(["serve", "--listen-stdin", "--executable", "--workdir"]).arg(workdir.path());
        command.args(options);
        Self::start(command, workdir)
    }

    /// Node, through `exec`. `None`, said loudly, where there is no Node.
    pub fn nodejs(variables: &[(&str, &str)]) -> Option<Self> {
        if !present("node") {
            return None;
        }
        let workdir = tempfile::tempdir().unwrap();
        let server = Path::new(env!("CARGO_MANIFEST_DIR")).join("../nodejs/server.js");
        let mut command = Command::new(env!("CARGO_BIN_EXE_action-proxy"));
        command.args(["exec", "--nofile", "512", "--", "node"]).arg(server).current_dir(workdir.path());
        command.env("OXWHISK_LISTEN_STDIN", "1").env("__OW_API_HOST", "http://api.example");
        command.envs(variables.iter().copied());
        Some(Self::start(command, workdir))
    }

    fn start(mut command: Command, workdir: tempfile::TempDir) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        command.stdin(OwnedFd::from(listener)).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let logs = [collect(child.stdout.take().unwrap()), collect(child.stderr.take().unwrap())];
        let client = Client::connect(address);
        Self { child, address, client, logs, counted: [0; 2], _workdir: workdir }
    }

    /// `POST` on the server's own connection; `None` when that was dropped.
    pub fn post(&mut self, path: &str, body: &Value) -> Option<Response> {
        self.post_text(path, &body.to_string())
    }

    pub fn post_text(&mut self, path: &str, body: &str) -> Option<Response> {
        let response = self.client.post(path, body)?;
        self.counted[0] += response.log_bytes.0;
        self.counted[1] += response.log_bytes.1;
        Some(response)
    }

    /// `/init` with source text and `main`.
    pub fn init(&mut self, code: &str) -> Response {
        self.init_with(json!({"name": "a", "main": "main", "code": code, "binary": false, "env": {}}))
    }

    /// `/init` with an archive of these files.
    pub fn init_zip(&mut self, main: &str, files: &[(&str, &str)]) -> Response {
        self.init_with(json!({"name": "a", "main": main, "code": archive(files), "binary": true, "env": {}}))
    }

    pub fn init_with(&mut self, value: Value) -> Response {
        self.post("/init", &json!({ "value": value })).expect("an answer to /init")
    }

    pub fn run(&mut self, value: Value) -> Response {
        self.try_run(value).expect("an answer to /run")
    }

    pub fn try_run(&mut self, value: Value) -> Option<Response> {
        self.post("/run", &run_body(value))
    }

    /// What was printed by now, as far as responses have counted it: exactly that has been written.
    pub fn printed(&self) -> (String, String) {
        let text = |stream: usize| {
            let counted = self.counted[stream];
            let complete = || self.logs[stream].lock().unwrap().len() >= counted;
            for _ in 0..3000 {
                if complete() {
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            let bytes = self.logs[stream].lock().unwrap();
            assert_eq!(bytes.len(), counted, "stream {stream}: {:?}", String::from_utf8_lossy(&bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        };
        (text(0), text(1))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until the server has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        for _ in 0..3000 {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the server lives on");
    }

    /// All that was ever printed on stdout by one that has ended, with its children.
    pub fn last_words(&self) -> String {
        for _ in 0..3000 {
            // Who collects has let go.
            if Arc::strong_count(&self.logs[0]) == 1 {
                return self.everything().0;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("somebody holds the server's output");
    }

    /// All that was ever printed, counted or not.
    pub fn everything(&self) -> (String, String) {
        let text = |stream: usize| String::from_utf8_lossy(&self.logs[stream].lock().unwrap()).into_owned();
        (text(0), text(1))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self(BufReader::new(stream))
    }

    /// Sends a request and does not wait for the answer.
    pub fn send(&mut self, path: &str, body: &str) -> Option<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let request = [head.as_bytes(), body.as_bytes()].concat();
        self.0.get_mut().write_all(&request).ok()
    }

    pub fn post(&mut self, path: &str, body: &str) -> Option<Response> {
        self.send(path, body)?;
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            match self.0.read_line(&mut line) {
                Ok(0) | Err(_) => return None,
                Ok(_) if line == "\r\n" => break,
                Ok(_) => lines.push(line.trim().to_ascii_lowercase()),
            }
        }
        let header = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let mut body = vec![0; header("content-length:").expect("a length").parse().unwrap()];
        self.0.read_exact(&mut body).ok()?;
        let (stdout, stderr) = header("x-oxwhisk-log-bytes:").expect("log counts").split_once(' ').unwrap();
        Some(Response {
            status: lines[0].split(' ').nth(1).unwrap().parse().unwrap(),
            body: serde_json::from_slice(&body).unwrap_or(Value::Null),
            log_bytes: (stdout.parse().unwrap(), stderr.parse().unwrap()),
        })
    }
}

/// The body of a `/run` with these arguments.
pub fn run_body(value: Value) -> Value {
    json!({
        "value": value, "namespace": "guest", "action_name": "/guest/a", "action_version": "0.0.1",
        "activation_id": "f00", "transaction_id": "t1", "deadline": "1700000060000", "api_key": "u:k",
    })
}

/// A zip archive in base64.
pub fn archive(files: &[(&str, &str)]) -> String {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, text) in files {
        match name.split_once(" -> ") {
            Some((name, to)) => writer.add_symlink(name, to, SimpleFileOptions::default()).unwrap(),
            None => {
                writer.start_file(*name, SimpleFileOptions::default()).unwrap();
                writer.write_all(text.as_bytes()).unwrap();
            }
        }
    }
    STANDARD.encode(writer.finish().unwrap().into_inner())
}

fn present(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    if !found {
        eprintln!("SKIPPED: there is no {program} on this machine, so nothing of it was tested");
    }
    found
}

fn collect(mut from: impl Read + Send + 'static) -> Collected {
    let collected = Collected::default();
    let into = collected.clone();
    thread::spawn(move || {
        let mut buffer = [0; 65536];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            into.lock().unwrap().extend_from_slice(&buffer[..length]);
        }
    });
    collected
}
