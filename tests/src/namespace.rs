//! One namespace with its credentials, and the handful of things that most tests do in one.

use std::ops::Deref;
use std::time::Duration;

use serde_json::{Value, json};

use crate::answer::Answer;
use crate::client::Client;
use crate::fixtures;
use crate::place;
use crate::wait;

/// How long a record may take to appear after its activation has ended, or an activation to end.
pub const RECORDED: Duration = Duration::from_secs(30);

/// A namespace, usable as a client with its credentials.
#[derive(Clone, Debug)]
pub struct Namespace {
    /// Its name.
    pub name: String,
    /// Its credentials, `uuid:key`.
    pub auth: String,
    client: Client,
}

/// How the platform runs actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// In containers; this is the id of one of them.
    Containers(String),
    /// As processes of this machine.
    Processes,
}

impl Deref for Namespace {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Namespace {
    /// A namespace and the client that signs in to it.
    pub fn new(name: &str, auth: &str, client: Client) -> Self {
        Self { name: name.to_owned(), auth: auth.to_owned(), client }
    }

    /// Creates an action of this code in the default Node kind, small, so that many run at once;
    /// returns its name, which is unique.
    pub async fn put_js(&self, stem: &str, code: &str) -> String {
        self.create(stem, &fixtures::js(code)).await
    }

    /// The same in the default Python kind.
    pub async fn put_python(&self, stem: &str, code: &str) -> String {
        self.create(stem, &fixtures::python(code)).await
    }

    /// Creates an action from a whole body; returns its name, which is unique.
    pub async fn create(&self, stem: &str, body: &Value) -> String {
        let name = place::unique(stem);
        self.put(format!("actions/{name}"), body).await.expect(200);
        name
    }

    /// Creates a package or binding; returns its name, which is unique.
    pub async fn put_package(&self, stem: &str, body: &Value) -> String {
        let name = place::unique(stem);
        self.put(format!("packages/{name}"), body).await.expect(200);
        name
    }

    /// Creates an action of this code in a package, in the default Node kind; returns `package/action`.
    pub async fn put_js_in(&self, package: &str, name: &str, code: &str) -> String {
        let path = format!("{package}/{name}");
        self.put(format!("actions/{path}"), &fixtures::js(code)).await.expect(200);
        path
    }

    /// The path of something in this namespace, for callers from anywhere.
    pub fn path(&self, rest: &str) -> String {
        format!("/api/v1/namespaces/{}/{rest}", self.name)
    }

    /// Creates a trigger from a body; returns its name, which is unique.
    pub async fn put_trigger(&self, body: &Value) -> String {
        let name = place::unique("trigger");
        self.put(format!("triggers/{name}"), body).await.expect(200);
        name
    }

    /// Creates a rule between a trigger and an action of this namespace; returns its name, which is unique.
    pub async fn put_rule(&self, trigger: &str, action: &str) -> String {
        let name = place::unique("rule");
        let body = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{action}") });
        self.put(format!("rules/{name}"), &body).await.expect(200);
        name
    }

    /// Fires a trigger that has an active rule, and waits for its record.
    pub async fn fire_trigger(&self, name: &str, payload: &Value) -> Value {
        let id = self.post(format!("triggers/{name}"), payload).await.expect(202).activation_id();
        self.wait_for_activation(&id).await
    }

    /// Updates an action; returns what the server answers, which is the action.
    pub async fn update(&self, name: &str, body: &Value) -> Value {
        self.put(format!("actions/{name}?overwrite=true"), body).await.expect(200).json()
    }

    /// Invokes an action and waits for its record.
    pub async fn invoke(&self, name: &str, arguments: &Value) -> Answer {
        self.post(format!("actions/{name}?blocking=true"), arguments).await
    }

    /// Invokes an action that must succeed; returns its result.
    pub async fn result(&self, name: &str, arguments: &Value) -> Value {
        self.post(format!("actions/{name}?blocking=true&result=true"), arguments).await.expect(200).json()
    }

    /// Invokes an action without waiting; returns the activation id.
    pub async fn fire(&self, name: &str, arguments: &Value) -> String {
        self.post(format!("actions/{name}"), arguments).await.expect(202).activation_id()
    }

    /// The record of an activation, once it is stored.
    pub async fn wait_for_activation(&self, id: &str) -> Value {
        self.wait_for_activation_within(id, RECORDED).await
    }

    /// The same with another bound.
    pub async fn wait_for_activation_within(&self, id: &str, bound: Duration) -> Value {
        let what = format!("the record of activation {id}");
        wait::until(&what, bound, || async {
            let answer = self.get(format!("activations/{id}")).await;
            (answer.status == 200).then(|| answer.json())
        })
        .await
    }

    /// Invokes an action and returns its stored record, which has logs, whatever came of it.
    pub async fn record_of(&self, name: &str, arguments: &Value) -> Value {
        let answer = self.invoke(name, arguments).await.expect_any(&[200, 500, 502]);
        self.wait_for_activation(&answer.activation_id()).await
    }

    /// The number of activations that are stored.
    pub async fn activation_count(&self) -> u64 {
        let count = self.get("activations?count=true").await.expect(200).json();
        count["activations"].as_u64().expect("a count is a number")
    }

    /// Waits until so many activations are stored.
    pub async fn wait_for_activation_count(&self, count: u64) {
        let what = format!("{count} records in {}", self.name);
        wait::until(&what, RECORDED, || async { (self.activation_count().await == count).then_some(()) })
            .await;
    }

    /// Waits until the server shows this value for a limit that an operator has set.
    pub async fn wait_for_limit(&self, key: &str, value: &Value) {
        let what = format!("the limit {key} of {} is {value}", self.name);
        wait::until(&what, RECORDED, || async { (self.limit(key).await == *value).then_some(()) }).await;
    }

    /// Waits until the server shows any value for a limit that an operator has set.
    pub async fn wait_for_some_limit(&self, key: &str) {
        let what = format!("{} has the limit {key}", self.name);
        wait::until(&what, RECORDED, || async { (!self.limit(key).await.is_null()).then_some(()) }).await;
    }

    async fn limit(&self, key: &str) -> Value {
        self.get("limits").await.expect(200).json()[key].clone()
    }

    /// How the platform runs actions: one tells the name of the machine it believes to be on.
    pub async fn isolation(&self) -> Isolation {
        let name = self.put_js("where", fixtures::WHERE).await;
        let place = self.result(&name, &json!({})).await;
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        match place["hostname"].as_str() {
            Some(name) if name == host.trim() => Isolation::Processes,
            Some(name) => Isolation::Containers(name.to_owned()),
            None => panic!("an action knows its host name: {place}"),
        }
    }
}

/// What the log of a trigger's activation says, rule by rule.
pub fn rules_of(record: &Value) -> Vec<Value> {
    let lines = record["logs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.map(|line| serde_json::from_str(line).expect("a trigger's log is JSON, line by line")).collect()
}

/// The value of one annotation or parameter of a document.
pub fn entry<'a>(list: &'a Value, key: &str) -> Option<&'a Value> {
    list.as_array()?.iter().find(|entry| entry["key"] == key).map(|entry| &entry["value"])
}

/// The value of one annotation of a document.
pub fn annotation<'a>(document: &'a Value, key: &str) -> Option<&'a Value> {
    entry(&document["annotations"], key)
}
