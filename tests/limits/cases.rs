//! The cases: which limit, how the activation ends that hits it, and what becomes of its container.

use serde_json::{Value, json};
use tests::namespace::annotation;

use crate::site::{FILE_SIZE, OPEN_FILES, PIDS, Site};

const OUT_OF_MEMORY: &str = "The action exhausted its memory and was aborted.";
const OUT_OF_DISK: &str = "The action exhausted its disk space and was aborted.";
const RUN_DIED: &str = "The action did not produce a valid response and exited unexpectedly.";
const INIT_DIED: &str = "The action did not initialize and exited unexpectedly.";
/// A time limit that no case is about, ms.
const USUAL: u64 = 60_000;
const LOG_LIMIT: usize = 1 << 20;

/// One limit.
pub struct Case {
    pub name: &'static str,
    /// The action's file, if it is not named as the case.
    file: Option<&'static str>,
    /// The action's own time limit, ms.
    timeout: u64,
    /// What it is called with.
    arguments: fn() -> Value,
    ends: End,
}

/// How the activation ends.
enum End {
    /// With this error, and without its container.
    Developer(&'static str),
    /// As `Developer`, or, where the storage driver holds the limit, well and with the writes' error.
    Disk,
    /// While it is initialized, with this error; there is no container yet to speak of.
    Initializing(&'static str),
    /// With an error that the record tells, and its container is kept.
    Application(fn(&Value)),
    /// Well, with what the record tells, and its container is kept.
    Success(fn(&Value)),
}

const fn case(name: &'static str, ends: End) -> Case {
    Case { name, file: None, timeout: USUAL, arguments: || json!({}), ends }
}

const fn init(name: &'static str, arguments: fn() -> Value, error: &'static str) -> Case {
    Case { file: Some("init"), arguments, ..case(name, End::Initializing(error)) }
}

pub const CASES: &[Case] = &[
    case("memory", End::Developer(OUT_OF_MEMORY)),
    case("memory_heap", End::Developer(OUT_OF_MEMORY)),
    case(
        "memory_child",
        End::Success(|record| assert_eq!(result(record), &json!({ "killed": true }), "{record}")),
    ),
    case("exit", End::Developer(RUN_DIED)),
    Case {
        timeout: 4_000,
        ..case("time", End::Developer("The action exceeded its time limits of 4000 milliseconds."))
    },
    case("logs", End::Success(logs_are_cut)),
    case("result", End::Application(result_is_cut)),
    case(
        "pids",
        End::Success(|record| {
            let count = result(record)["count"].as_u64().unwrap_or_default();
            assert!((PIDS / 2..PIDS).contains(&count), "{record}");
        }),
    ),
    case(
        "open_files",
        End::Success(|record| {
            let count = result(record)["count"].as_u64().unwrap_or_default();
            assert!((OPEN_FILES / 2..OPEN_FILES).contains(&count), "{record}");
            assert_eq!(result(record)["code"], "EMFILE");
        }),
    ),
    case(
        "file_size",
        End::Success(|record| {
            assert_eq!(result(record), &json!({ "count": FILE_SIZE, "code": "EFBIG" }));
        }),
    ),
    case("disk", End::Disk),
    case("disk_deleted", End::Disk),
    Case {
        timeout: 4_000,
        ..init(
            "init_time",
            || json!({ "TROUBLE": "time" }),
            "The action exceeded its time limits of 4000 milliseconds during initialization.",
        )
    },
    init("init_exit", || json!({ "TROUBLE": "exit" }), INIT_DIED),
    init("init_memory", || json!({ "TROUBLE": "memory" }), OUT_OF_MEMORY),
    init(
        "init_text",
        || json!({ "TROUBLE": "text" }),
        "The action produced a response that exceeded the allowed length: ",
    ),
];

impl Case {
    /// Hits the limit between two calm runs.
    pub async fn hold(&self, site: &Site) {
        let limits = json!({ "memory": 128, "timeout": self.timeout, "logs": 1 });
        let name = site.put(self.name, self.file.unwrap_or(self.name), &limits).await;
        let calm = async || loop {
            let record = site.me.record_of(&name, &json!({ "calm": true })).await;
            if record["response"]["status"] == "success" {
                return result(&record)["host"].clone();
            }
            // Where much goes on, a cold start may take longer than a short time limit allows.
            let error = result(&record)["error"].as_str().unwrap_or_default();
            assert!(self.timeout < USUAL && error.ends_with("during initialization."), "{}", shown(&record));
        };
        let before = match self.ends {
            End::Initializing(_) => Value::Null,
            _ => calm().await,
        };
        let answer = site.me.invoke(&name, &(self.arguments)()).await;
        let http = answer.status;
        let record = site.me.wait_for_activation(&answer.activation_id()).await;
        let status = &record["response"]["status"];
        let ends = match &self.ends {
            End::Disk if *result(&record) == json!({ "code": "ENOSPC" }) => &End::Success(|_| {}),
            End::Disk => &End::Developer(OUT_OF_DISK),
            ends => ends,
        };
        match ends {
            End::Disk => unreachable!("it is one of two others"),
            End::Developer(error) | End::Initializing(error) => {
                let said = result(&record)["error"].as_str().unwrap_or_default();
                assert!(
                    said == *error || error.ends_with(' ') && said.starts_with(error),
                    "{}",
                    shown(&record)
                );
                assert_eq!((http, status), (502, &json!("action developer error")));
                let warning =
                    "stderr: The action did not initialize or run as expected. Log data might be missing.";
                assert!(last_line(&record).ends_with(warning), "{}", shown(&record));
                let is_late = error.contains("time limits");
                assert_eq!(annotation(&record, "timeout"), Some(&json!(is_late)));
                let is_init = matches!(ends, End::Initializing(_));
                assert_eq!(annotation(&record, "initTime").is_some(), is_init);
            }
            End::Application(holds) => {
                assert_eq!((http, status), (502, &json!("application error")), "{}", shown(&record));
                holds(&record);
            }
            End::Success(holds) => {
                assert_eq!((http, status), (200, &json!("success")), "{}", shown(&record));
                holds(&record);
            }
        }
        let after = calm().await;
        let is_kept = matches!(ends, End::Application(_) | End::Success(_));
        assert_eq!(before == after, is_kept, "{before} before, {after} after");
        if self.name == "memory_child" {
            // That a child was out of memory once is no reason for what happens later.
            let record = site.me.record_of(&name, &json!({ "exit": true })).await;
            assert_eq!(result(&record), &json!({ "error": RUN_DIED }));
        }
    }
}

fn result(record: &Value) -> &Value {
    &record["response"]["result"]
}

fn last_line(record: &Value) -> &str {
    record["logs"].as_array().and_then(|lines| lines.last()).and_then(Value::as_str).unwrap_or_default()
}

/// A record that can be printed.
fn shown(record: &Value) -> String {
    record.to_string().chars().take(2_000).collect()
}

/// The kept lines fill the limit as the json-file driver would count them, and the rest is told of.
fn logs_are_cut(record: &Value) {
    let text =
        format!("Logs were truncated because the total bytes size exceeds the limit of {LOG_LIMIT} bytes.");
    assert!(last_line(record).ends_with(&format!("stderr: {text}")), "{}", last_line(record));
    let lines = record["logs"].as_array().expect("logs are a list");
    // `{"log":"…\n","stream":"stdout","time":"…"}` and a newline, with 20 to 30 characters of time.
    let least = 39 + 99 + 2 + 20;
    let kept = lines.len() - 1;
    assert!(((LOG_LIMIT / (least + 10) - 1)..=LOG_LIMIT / least).contains(&kept), "{kept} lines");
}

/// The limit counts bytes of the answer, and what is kept of it ends with a whole character.
fn result_is_cut(record: &Value) {
    let error = result(record)["error"].as_str().unwrap_or_default();
    let start = "The action produced a response that exceeded the allowed length: ";
    let rest = error.strip_prefix(start).unwrap_or_else(|| panic!("{}", shown(record)));
    let (length, rest) =
        rest.split_once(" > 1048576 bytes. The truncated response was: ").expect("the limit is told");
    assert!(length.parse::<usize>().is_ok_and(|length| length > 2 << 20), "{length}");
    assert!(
        rest.len() <= 1 << 20 && rest.len() > (1 << 20) - 4 && rest.ends_with('ü'),
        "{} bytes",
        rest.len()
    );
}
