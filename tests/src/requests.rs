//! Requests as data: what a client sends, of each answer the status and the parts that it reads.
//!
//! `$ns` and `$auth` in a path, body or shape stand for the namespace and its credentials, and any other `$name`
//! for what an earlier answer held under `keep`.

mod shape;

use std::collections::BTreeMap;
use std::path::Path;

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use crate::answer::Answer;
use crate::namespace::{Namespace, RECORDED};

/// Between two looks for a record that is not there yet.
const POLL: std::time::Duration = std::time::Duration::from_millis(100);

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requests {
    /// The client's name for itself.
    agent: String,
    /// In order.
    request: Vec<Request>,
}

/// One request and its answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    /// The commands that send it, by their numbers.
    #[serde(default)]
    of: Vec<u32>,
    /// Method and path; a path without a slash at its beginning is one of the namespace `_`.
    send: String,
    /// JSON.
    body: Option<String>,
    /// Whether no credentials go with it.
    #[serde(default)]
    anonymous: bool,
    /// Further header fields.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    status: u16,
    /// What the body must be like; without one it must be empty or is not looked at.
    shape: Option<String>,
    /// Names for later, and where in the answer their values are, as JSON pointers.
    #[serde(default)]
    keep: BTreeMap<String, String>,
    /// Whether it is sent again until the answer is right: for what is stored a moment later.
    #[serde(default)]
    eventually: bool,
}

impl Requests {
    /// Reads a file.
    ///
    /// # Panics
    ///
    /// If it is not what it should be.
    pub fn read(file: &Path) -> Self {
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Sends all of them in that namespace; an `Err` tells the first answer that is not as it should be.
    pub async fn send(&self, namespace: &Namespace) -> Result<(), String> {
        let mut known = BTreeMap::from([
            ("ns".to_owned(), namespace.name.clone()),
            ("auth".to_owned(), namespace.auth.clone()),
        ]);
        for request in &self.request {
            let answer = request.send(&self.agent, namespace, &known).await?;
            for (name, pointer) in &request.keep {
                let body = answer.json();
                let value = body.pointer(pointer).and_then(Value::as_str);
                let value = value.ok_or_else(|| format!("no text at {pointer}: {}", answer.story()))?;
                known.insert(name.clone(), value.to_owned());
            }
        }
        Ok(())
    }
}

impl Request {
    async fn send(
        &self,
        agent: &str,
        namespace: &Namespace,
        known: &BTreeMap<String, String>,
    ) -> Result<Answer, String> {
        let deadline = Instant::now() + RECORDED;
        loop {
            let answer = self.send_once(agent, namespace, known).await;
            match self.judge(&answer, known) {
                Ok(()) => return Ok(answer),
                Err(_) if self.eventually && Instant::now() < deadline => tokio::time::sleep(POLL).await,
                Err(why) => return Err(format!("{:?} {why}: {}", self.of, answer.story())),
            }
        }
    }

    async fn send_once(
        &self,
        agent: &str,
        namespace: &Namespace,
        known: &BTreeMap<String, String>,
    ) -> Answer {
        let (method, path) = self.send.split_once(' ').expect("a request is a method and a path");
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let mut call = namespace.request(method, filled(path, known)).header("User-Agent", agent);
        for (name, value) in &self.headers {
            let value = filled(value, known);
            call = match name.as_str() {
                "Authorization" => call.authorization(&value),
                _ => call.header(name, &value),
            };
        }
        if self.anonymous {
            call = call.anonymous();
        }
        if let Some(body) = &self.body {
            // As the Go client writes them: with a line feed at the end.
            call = call.body("application/json", format!("{}\n", filled(body, known)));
        }
        call.await
    }

    fn judge(&self, answer: &Answer, known: &BTreeMap<String, String>) -> Result<(), String> {
        if answer.status != self.status {
            return Err(format!("expected {}", self.status));
        }
        let Some(shape) = &self.shape else { return Ok(()) };
        let shape = filled(shape, known);
        let shape: Value = serde_json::from_str(&shape).map_err(|error| format!("{shape}: {error}"))?;
        let body = serde_json::from_slice(&answer.body).map_err(|error| format!("expected JSON, {error}"))?;
        shape::differs(&shape, &body, "").map_or(Ok(()), Err)
    }
}

/// The text with all that is known put in.
fn filled(text: &str, known: &BTreeMap<String, String>) -> String {
    known.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}"), value))
}
