//! An activation message with its action: what the pool hands around.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::clock::Millis;
use common::entity::action::Action;
use common::entity::encryption::{Ciphers, Unopened};
use common::entity::exec::Exec;
use common::entity::json;
use common::entity::limits::ByteSize;
use common::message::activation::ActivationMessage;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use tracing::Span;

use crate::compile::Code;
use crate::container::Pull;
use crate::pool::decide::{Owner, Want, Wanting};
use crate::traced::Traced;

/// An action that can be run here: what is decided once for all its activations.
#[derive(Debug)]
pub struct Executable {
    /// The action.
    pub action: Action,
    /// What its containers are made of.
    pub image: String,
    /// Whether the image is fetched first.
    pub pull: Pull,
    /// Whether the ends of logs are marked by sentinels that are worth waiting for.
    pub waits_for_sentinels: bool,
    /// Of all that makes the action but its revision and time.
    pub digest: [u8; 32],
    /// Whose stem cells it may take: the image, if it is one of the manifest's.
    pub stem_cells: Option<Arc<str>>,
    /// What containers are initialized with, once that was found out.
    pub preparation: OnceLock<Preparation>,
}

/// What containers of an action are initialized with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preparation {
    /// The code, as it is.
    AsItIs,
    /// The program that was made of it, under this key.
    Compiled(String),
}

impl Executable {
    /// Decides what is common to all activations of an action.
    pub fn new(action: Action, image: String, pull: Pull, waits_for_sentinels: bool) -> Self {
        let timeless = Action { updated: common::clock::Millis(0), ..action.clone() };
        let text = serde_json::to_vec(&timeless).expect("an action serializes");
        let digest = Sha256::digest(text).into();
        let managed = matches!(action.exec, Exec::Code { .. }) && pull == Pull::Never;
        let stem_cells = managed.then(|| image.as_str().into());
        Self { action, image, pull, waits_for_sentinels, digest, stem_cells, preparation: OnceLock::new() }
    }

    /// Whether runs may overlap in one container.
    pub fn may_overlap(&self) -> bool {
        self.action.limits.concurrency > 1
    }

    /// How much one run may log, in bytes.
    pub fn log_limit(&self) -> u64 {
        ByteSize::from_mb(self.action.limits.logs).bytes()
    }

    /// How long an init or a run may take.
    pub fn time_limit(&self) -> Duration {
        Duration::from_millis(self.action.limits.timeout)
    }
}

/// One activation to run.
#[derive(Clone, Debug)]
pub struct Job {
    /// The order.
    pub message: Arc<ActivationMessage>,
    /// What to run.
    pub executable: Arc<Executable>,
    /// What its log lines belong to.
    pub span: Span,
    /// Its place in its trace.
    pub traced: Traced,
    /// The initialization that was done for it, on a cold start.
    pub initialization: Option<Initialization>,
    /// When it could be run.
    pub arrived: Instant,
    want: Want,
}

/// What an action is called with, in the clear. `Debug` hides it.
pub struct Arguments {
    /// Those of `/run`.
    pub run: Box<RawValue>,
    /// Those of `/init`.
    pub environment: BTreeMap<String, String>,
}

impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Arguments(…)")
    }
}

/// An `/init` that went well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initialization {
    /// When it began.
    pub start: Millis,
    /// How long it took, ms.
    pub took: u64,
    /// Output that it caused, from containers that count it.
    pub log_bytes: Option<(u64, u64)>,
}

impl Job {
    /// A job of that order, whose log lines belong to that span.
    pub fn new(
        message: Arc<ActivationMessage>,
        executable: Arc<Executable>,
        span: Span,
        traced: Traced,
    ) -> Self {
        let owner =
            Owner { namespace: message.user.namespace.name.as_str().into(), action: executable.digest };
        let limits = &executable.action.limits;
        let want = Want {
            owner,
            image: executable.stem_cells.clone(),
            memory_mb: limits.memory,
            max_concurrent: limits.concurrency.max(1),
        };
        Self { message, executable, span, traced, initialization: None, arrived: Instant::now(), want }
    }

    /// Arguments for `/run` and environment for `/init`: the named ones go to the environment, as text.
    /// What is stored sealed is opened only now.
    pub fn arguments(&self, ciphers: &Ciphers) -> Result<Arguments, Unopened> {
        let Some(content) = &self.message.content else {
            return Ok(Arguments { run: json::empty_object(), environment: BTreeMap::new() });
        };
        let content = ciphers.opened(content, &self.message.locked_args)?;
        let init = &self.message.init_args;
        if init.is_empty() || json::shape(&content) != json::Shape::Object {
            return Ok(Arguments { run: content, environment: BTreeMap::new() });
        }
        let mut members: BTreeMap<String, Box<RawValue>> =
            serde_json::from_str(content.get()).unwrap_or_default();
        let environment =
            init.iter().filter_map(|key| Some((key.clone(), as_text(&members.remove(key)?)))).collect();
        Ok(Arguments { run: json::raw(&members), environment })
    }

    /// The body of `/init`. With a token the container marks its output.
    pub fn init_body(
        &self,
        code: Option<&Code>,
        mut env: BTreeMap<String, String>,
        deadline_ms: u64,
        log_token: Option<&str>,
    ) -> Vec<u8> {
        #[derive(Serialize)]
        struct Value<'a> {
            name: &'a str,
            main: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            code: Option<&'a str>,
            binary: bool,
            env: BTreeMap<String, String>,
        }
        #[derive(Serialize)]
        struct Body<'a> {
            value: Value<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            log_token: Option<&'a str>,
        }
        let (message, action) = (&self.message, &self.executable.action);
        let mut set = |key: &str, value: String| env.insert(key.to_owned(), value);
        if action.provides_api_key() {
            set("__OW_API_KEY", message.user.authkey.reveal());
        }
        set("__OW_NAMESPACE", message.user.namespace.name.to_string());
        set("__OW_ACTION_NAME", format!("/{}", message.action.id()));
        set("__OW_ACTION_VERSION", action.version.to_string());
        set("__OW_ACTIVATION_ID", message.activation_id.to_string());
        set("__OW_TRANSACTION_ID", message.transid.to_string());
        set("__OW_DEADLINE", deadline_ms.to_string());
        let value = Value {
            name: action.name.as_str(),
            main: action.exec.main().unwrap_or("main"),
            code: code.map(|code| &*code.text),
            binary: code.map_or_else(|| action.exec.is_binary(), |code| code.binary),
            env,
        };
        serde_json::to_vec(&Body { value, log_token }).expect("texts serialize")
    }

    /// The body of `/run`.
    pub fn run_body(&self, value: &RawValue, deadline_ms: u64) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body<'a> {
            value: &'a RawValue,
            namespace: &'a str,
            action_name: String,
            action_version: String,
            activation_id: common::entity::id::ActivationId,
            transaction_id: &'a str,
            deadline: String,
            #[serde(skip_serializing_if = "Option::is_none")]
            api_key: Option<String>,
        }
        let (message, action) = (&self.message, &self.executable.action);
        let body = Body {
            value,
            namespace: message.user.namespace.name.as_str(),
            action_name: format!("/{}", message.action.id()),
            action_version: action.version.to_string(),
            activation_id: message.activation_id,
            transaction_id: &message.transid.id,
            deadline: deadline_ms.to_string(),
            api_key: action.provides_api_key().then(|| message.user.authkey.reveal()),
        };
        serde_json::to_vec(&body).expect("texts serialize")
    }
}

impl Wanting for Job {
    fn want(&self) -> &Want {
        &self.want
    }
}

/// A parameter as an environment variable: texts as they are, null empty, the rest as compact JSON.
fn as_text(value: &RawValue) -> String {
    match value.get() {
        "null" => String::new(),
        text if text.starts_with('"') => serde_json::from_str(text).unwrap_or_default(),
        text => json::compact(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn job(init_args: serde_json::Value, provide_api_key: serde_json::Value) -> Job {
        let action = serde_json::from_value(json!({
            "namespace":"guest/p","name":"hello","exec":{"kind":"nodejs:20","code":{"digest":"d","length":1},"binary":false},
            "parameters":[],"annotations":[{"key":"provide-api-key","value":provide_api_key}],
            "limits":{"timeout":60000,"memory":256,"logs":10,"concurrency":1},"version":"0.0.3","publish":false,"updated":1
        }))
        .unwrap();
        let text = json!({
            "transid":["tid",1],"action":{"path":"guest/p","name":"hello","version":"0.0.3"},"revision":"1-x",
            "user":{"subject":"s","namespace":{"name":"caller","uuid":"u"},"authkey":{"api_key":"u:k"},"rights":[],"limits":{}},
            "activationId":"00000000000000000000000000000001","rootControllerIndex":{"asString":"0"},"blocking":true,
            "content":{"a":1.0,"s":"x y","n":null,"o":{"b": [true]}},"initArgs":init_args,"lockedArgs":{}
        });
        // Through text, as over the bus.
        let message: ActivationMessage = serde_json::from_str(&text.to_string()).unwrap();
        let executable = Executable::new(action, "i".into(), Pull::Never, true);
        Job::new(Arc::new(message), Arc::new(executable), Span::none(), Traced::default())
    }

    #[test]
    fn init_parameters_go_to_the_environment_alone_and_as_text() {
        let job = job(json!(["s", "n", "o", "missing"]), json!(false));
        let arguments = job.arguments(&Ciphers::default()).unwrap();
        let run: serde_json::Value = serde_json::from_slice(&job.run_body(&arguments.run, 77)).unwrap();
        assert_eq!(run["value"], json!({"a":1.0}));
        let code = Code { text: "code".into(), binary: true };
        let init: serde_json::Value =
            serde_json::from_slice(&job.init_body(Some(&code), arguments.environment, 77, None)).unwrap();
        let env = &init["value"]["env"];
        assert_eq!((&env["s"], &env["n"], &env["o"]), (&json!("x y"), &json!(""), &json!(r#"{"b":[true]}"#)));
        assert!(env["missing"].is_null() && env["__OW_API_KEY"].is_null());
        assert_eq!(env["__OW_DEADLINE"], "77");
        assert_eq!((&init["value"]["main"], &init["value"]["code"]), (&json!("main"), &json!("code")));
        assert_eq!(init["value"]["binary"], true);
    }

    #[test]
    fn the_run_body_has_upstreams_members_and_the_key_only_where_it_is_wanted() {
        let run_of = |job: Job| -> serde_json::Value {
            let arguments = job.arguments(&Ciphers::default()).unwrap();
            serde_json::from_slice(&job.run_body(&arguments.run, 5)).unwrap()
        };
        let run = run_of(job(json!([]), json!(true)));
        assert_eq!(run["action_name"], "/guest/p/hello");
        assert_eq!(
            (&run["namespace"], &run["deadline"], &run["api_key"]),
            (&json!("caller"), &json!("5"), &json!("u:k"))
        );
        let without = run_of(job(json!([]), json!(false)));
        assert!(without.get("api_key").is_none());
    }

    #[test]
    fn the_owner_is_the_caller_and_the_content_of_the_action() {
        let (one, other) = (job(json!([]), json!(true)), job(json!([]), json!(false)));
        assert_eq!(&*one.want().owner.namespace, "caller");
        assert_ne!(one.want().owner, other.want().owner);
        assert_eq!(one.want().owner, job(json!([]), json!(true)).want().owner);
    }
}
