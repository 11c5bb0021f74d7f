//! Runs a Rust action: compiled together with it, as one program that the action proxy starts.
//!
//! Requests come in on descriptor 0, answers leave on descriptor 3, one line of JSON each; descriptors 1 and 2
//! are the action's logs. The first answer says that it runs. (The protocol is upstream's,
//! apache/openwhisk-runtime-go: docs/ACTION.md.) What an action takes and returns may be a `Value`, or anything
//! that serde reads and writes.

use std::fmt::Display;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

// The name below is replaced by that of the action's function.
use actions::main as action;

extern "C" {
    fn dup2(from: i32, to: i32) -> i32;
}

/// Calls the action once.
fn call<A, R, E>(action: fn(A) -> Result<R, E>, value: Value) -> Result<Value, String>
where
    A: DeserializeOwned,
    R: Serialize,
    E: Display,
{
    let argument = serde_json::from_value(value).map_err(|error| error.to_string())?;
    let result = action(argument).map_err(|error| error.to_string())?;
    serde_json::to_value(result).map_err(|error| error.to_string())
}

fn run(line: &str) -> Result<Value, String> {
    let mut request: Map<String, Value> = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let value = request.remove("value").unwrap_or_else(|| json!({}));
    for (key, value) in &request {
        if let Some(text) = value.as_str().filter(|text| !text.contains('\0')) {
            std::env::set_var(format!("__OW_{}", key.to_uppercase()), text);
        }
    }
    call(action, value)
}

/// Moves the protocol to descriptors that neither the action nor its children see.
fn private_channels() -> io::Result<(File, File)> {
    // The first moment of the process: nobody else has taken them.
    let (requests, answers) = unsafe { (OwnedFd::from_raw_fd(0), OwnedFd::from_raw_fd(3)) };
    let private = (File::from(requests.try_clone()?), File::from(answers.try_clone()?));
    let null = File::open("/dev/null")?;
    if unsafe { dup2(null.as_raw_fd(), requests.as_raw_fd()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    std::mem::forget(requests);
    Ok(private)
}

fn send(answers: &mut File, answer: &Value) -> io::Result<()> {
    // Log lines count towards the run that printed them only if they are out before its answer.
    io::stdout().flush()?;
    let mut line = answer.to_string();
    line.push('\n');
    answers.write_all(line.as_bytes())
}

fn main() -> io::Result<()> {
    let (requests, mut answers) = private_channels()?;
    send(&mut answers, &json!({ "ok": true }))?;
    for line in BufReader::new(requests).lines() {
        let answer = run(&line?).unwrap_or_else(|error| {
            eprintln!("{error}");
            json!({ "error": error })
        });
        send(&mut answers, &answer)?;
    }
    Ok(())
}
