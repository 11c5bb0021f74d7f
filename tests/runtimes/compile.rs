//! Code that is compiled before a container is given it, by the image that the platform uses for that.
//!
//! What was compiled is kept: several cases share a source.

use std::collections::HashMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::{LazyLock, Mutex};

use anyhow::Context;

use crate::language::Code;

/// The code, or what the compiler says is wrong with it.
type Compiled = Result<Code, String>;
/// Builder, entry point, and what is compiled.
type Key = (String, String, Vec<u8>);

static KEPT: LazyLock<Mutex<HashMap<Key, Compiled>>> = LazyLock::new(Mutex::default);

/// The code for `/init`, or what the compiler says is wrong.
pub fn compile(builder: &str, main: &str, code: &Code) -> anyhow::Result<Compiled> {
    let key = (builder.to_owned(), main.to_owned(), code.bytes().to_owned());
    if let Some(compiled) = KEPT.lock().unwrap().get(&key) {
        return Ok(compiled.clone());
    }
    let compiled = run(builder, main, code.bytes().to_owned())?;
    KEPT.lock().unwrap().insert(key, compiled.clone());
    Ok(compiled)
}

/// With Docker's own client: bollard has no way to end a container's input.
fn run(builder: &str, main: &str, code: Vec<u8>) -> anyhow::Result<Compiled> {
    let mut child = Command::new("docker")
        .args(["run", "--rm", "--interactive", "--network", "none", builder, "-compile", main])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("docker cannot be started")?;
    let mut stdin = child.stdin.take().context("its input is a pipe")?;
    let writer = std::thread::spawn(move || stdin.write_all(&code));
    let output = child.wait_with_output()?;
    // A builder that refuses may not have read all.
    writer.join().ok();
    Ok(match output.status.success() {
        true => Ok(Code::Binary(output.stdout)),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    })
}
