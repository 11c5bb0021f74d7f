//! What /init and /run mean, apart from HTTP: which status, which sentence.
//!
//! The statuses and sentences are upstream's (`apache/openwhisk-runtime-go: openwhisk/initHandler.go`,
//! `runHandler.go`), with two exceptions. Why code does not load is said in the answer itself, not in the
//! logs alone. And when the action's process ends there is no answer at all: only then does the platform
//! know that the container is gone.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use bytes::Bytes;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::sync::{Mutex, watch};

use crate::code;
use crate::launcher::{Gone, LaunchCommand, LaunchError, Launcher};
use crate::logs::{Counts, Output};

/// What a request is answered with.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// JSON.
    pub body: Bytes,
}

/// The action this container holds, if any.
pub struct Service {
    command: LaunchCommand,
    workdir: PathBuf,
    counts: Rc<Counts>,
    launcher_id: Cell<Option<u32>>,
    /// One that has no code yet.
    waiting: RefCell<Option<Launcher>>,
    /// Held for as long as an /init or a /run takes: there is one at a time.
    launcher: Mutex<Option<Launcher>>,
    /// With which code this process is to end.
    ending: watch::Sender<Option<u8>>,
}

#[derive(Deserialize)]
struct InitRequest {
    #[serde(default)]
    value: InitValue,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct InitValue {
    code: Option<String>,
    binary: bool,
    main: Option<String>,
    env: serde_json::Map<String, Value>,
}

impl Answer {
    fn error(status: StatusCode, text: &str) -> Self {
        Self { status, body: serde_json::json!({ "error": text }).to_string().into() }
    }
}

impl Service {
    /// `ending` is told when the action's process has ended, and this one has to.
    pub fn new(command: LaunchCommand, workdir: PathBuf, ending: watch::Sender<Option<u8>>) -> Rc<Self> {
        Rc::new(Self {
            command,
            workdir,
            counts: Rc::default(),
            launcher_id: Cell::default(),
            waiting: RefCell::default(),
            launcher: Mutex::default(),
            ending,
        })
    }

    /// Starts a launcher that waits for its code, where there is one that can. If it cannot be started, that is
    /// said at /init, which tries again.
    pub fn start_waiting(&self) {
        let started = Launcher::start_waiting(&self.command, &self.counts).ok().flatten();
        self.launcher_id.set(started.as_ref().and_then(Launcher::id));
        self.waiting.replace(started);
    }

    /// What was printed since this was last asked: bytes on stdout and on stderr.
    pub fn take_counts(&self) -> (u64, u64) {
        self.counts.take()
    }

    /// The process that must not be waited for by anybody else.
    pub fn launcher_id(&self) -> Option<u32> {
        self.launcher_id.get()
    }

    /// `POST /init`
    pub async fn init(self: &Rc<Self>, body: Bytes) -> Result<Answer, Gone> {
        let mut slot = self.launcher.lock().await;
        if slot.is_some() {
            let text = "Cannot initialize the action more than once.";
            self.counts.forward(Output::Stderr, format!("{text}\n").as_bytes());
            return Ok(Answer::error(StatusCode::FORBIDDEN, text));
        }
        let value = match serde_json::from_slice::<InitRequest>(&body) {
            Ok(request) => request.value,
            Err(error) => {
                let text = format!("Error unmarshaling request: {error}");
                return Ok(Answer::error(StatusCode::BAD_REQUEST, &text));
            }
        };
        drop(body);
        let Some(code) = value.code.filter(|code| !code.is_empty()) else {
            return Ok(Answer::error(StatusCode::FORBIDDEN, "Missing main/no code to execute."));
        };
        let main = value.main.filter(|main| !main.is_empty()).unwrap_or_else(|| "main".to_owned());
        let env: Vec<_> = value.env.into_iter().filter_map(variable).collect();
        let folder = match self.store(&code, value.binary) {
            Ok(folder) => folder,
            Err(error) => {
                let status = match error {
                    code::CodeError::Base64(_) => StatusCode::BAD_REQUEST,
                    _ => StatusCode::BAD_GATEWAY,
                };
                self.counts.forward(Output::Stderr, format!("{error}\n").as_bytes());
                return Ok(Answer::error(status, &error.to_string()));
            }
        };
        drop(code);
        match self.launch(&folder, &main, &env).await {
            Ok(launcher) => {
                tokio::task::spawn_local(self.clone().end_with(launcher.exited()));
                *slot = Some(launcher);
                Ok(Answer { status: StatusCode::OK, body: Bytes::from_static(br#"{"ok":true}"#) })
            }
            Err(LaunchError::Exited { printed, code }) if printed.is_empty() => {
                self.ending.send_replace(Some(code));
                Err(Gone)
            }
            Err(error) => Ok(Answer::error(StatusCode::BAD_GATEWAY, &error.to_string())),
        }
    }

    /// `POST /run`
    pub async fn run(&self, body: Bytes) -> Result<Answer, Gone> {
        let mut slot = self.launcher.lock().await;
        let Some(launcher) = slot.as_mut() else {
            return Ok(Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "no action defined yet"));
        };
        // A launcher that is sent anything but a line with an object would not survive it.
        if let Err(error) = serde_json::from_slice::<&RawValue>(&body) {
            let text = format!("Error unmarshaling request: {error}");
            return Ok(Answer::error(StatusCode::BAD_REQUEST, &text));
        }
        if first_byte(&body) != Some(b'{') {
            let text = "Error unmarshaling request: not an object";
            return Ok(Answer::error(StatusCode::BAD_REQUEST, text));
        }
        let mut line = Vec::with_capacity(body.len() + 1);
        line.extend_from_slice(&body);
        drop(body);
        if line.contains(&b'\n') {
            line.retain(|&byte| byte != b'\n');
        }
        line.push(b'\n');
        let Ok(answer) = launcher.run(&line).await else {
            let code = launcher.exit_code().await;
            self.ending.send_replace(Some(code));
            return Err(Gone);
        };
        let dictionary_or_array = matches!(first_byte(&answer), Some(b'{' | b'['))
            && serde_json::from_slice::<&RawValue>(&answer).is_ok();
        if !dictionary_or_array {
            let text = "The action did not return a dictionary or array.";
            return Ok(Answer::error(StatusCode::BAD_GATEWAY, text));
        }
        Ok(Answer { status: StatusCode::OK, body: answer.into() })
    }

    async fn launch(
        &self,
        folder: &Path,
        main: &str,
        env: &[(String, String)],
    ) -> Result<Launcher, LaunchError> {
        let waiting = self.waiting.take().filter(|launcher| launcher.can_load(env));
        if let Some(mut launcher) = waiting {
            launcher.load(folder, main, env).await?;
            return Ok(launcher);
        }
        let mut launcher = Launcher::start(&self.command, &self.counts, folder, main, env)?;
        self.launcher_id.set(launcher.id());
        launcher.loaded().await?;
        Ok(launcher)
    }

    fn store(&self, code: &str, binary: bool) -> Result<PathBuf, code::CodeError> {
        let folder = code::new_folder(&self.workdir)?;
        code::unpack(&folder, code, binary)?;
        Ok(folder)
    }

    /// Ends this process after the launcher, and after the run that it may still have answered.
    async fn end_with(self: Rc<Self>, mut exited: watch::Receiver<Option<u8>>) {
        let code = exited.wait_for(Option::is_some).await.map_or(None, |code| *code);
        if let Some(launcher) = self.launcher.lock().await.as_ref() {
            launcher.drain();
        }
        self.ending.send_replace(Some(code.unwrap_or(1)));
    }
}

/// The platform sends text only; what else comes is printed as upstream does.
fn variable((name, value): (String, Value)) -> Option<(String, String)> {
    let value = match value {
        Value::String(text) => text,
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let possible = !name.is_empty() && !name.contains(['=', '\0']) && !value.contains('\0');
    possible.then_some((name, value))
}

fn first_byte(json: &[u8]) -> Option<u8> {
    json.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

/// The sentence for a request body that could not be read.
pub fn unreadable(cause: &dyn std::fmt::Display) -> Answer {
    Answer::error(StatusCode::BAD_REQUEST, &format!("Error reading request body: {cause}"))
}

/// The sentence for any other route.
pub fn not_found() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "Not found.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_text() {
        let variables = |json: Value| {
            let Value::Object(map) = json else { panic!("no object") };
            map.into_iter().filter_map(variable).map(|(_, value)| value).collect::<Vec<_>>()
        };
        let json = serde_json::json!({"a": "x", "b": null, "c": 1.5, "d": {"e": [true]}});
        assert_eq!(variables(json), ["x", "", "1.5", r#"{"e":[true]}"#]);
        assert!(variables(serde_json::json!({"": "x", "a=b": "x", "c": "\0"})).is_empty());
    }
}
