//! From what a container answered to what the activation says: status, result, text.
//!
//! The order of the questions is upstream's (`common/scala/.../core/entity/ActivationResult.scala`,
//! `.../core/containerpool/Container.scala`), the texts are those of `.../http/ErrorResponse.scala`.

use std::time::Duration;

use common::entity::activation::{Response, Status};
use common::entity::json::{self, Shape};
use serde_json::value::RawValue;

use crate::container::client::{Answer, CallError, ResponseLimits};
use crate::container::{CreateError, EndCause};

/// A platform failure in the middle of a run.
pub const ABNORMAL_RUN: &str = "The action did not produce a valid response and exited unexpectedly.";
const ABNORMAL_INIT: &str = "The action did not initialize and exited unexpectedly.";
const OUT_OF_MEMORY: &str = "The action exhausted its memory and was aborted.";
/// Upstream has no such limit.
const OUT_OF_DISK: &str = "The action exhausted its disk space and was aborted.";

/// What one call took, and what may be known of the container after it.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// How long it took.
    pub elapsed: Duration,
    /// The action's time limit.
    pub limit: Duration,
    /// The limits of its answer.
    pub sizes: ResponseLimits,
    /// Why the container ended, where the connection was lost.
    pub end: EndCause,
}

impl Call {
    /// Whether it reached the time limit.
    pub fn timed_out(&self) -> bool {
        self.elapsed >= self.limit
    }
}

/// Whether the container says that it takes no work: the job may go elsewhere.
pub fn refuses(outcome: &Result<Answer, CallError>) -> bool {
    matches!(outcome, Ok(answer) if answer.status == 503)
}

/// Of `/init`: `Ok` if the container is initialized, also if that took too long.
pub fn of_init(outcome: &Result<Answer, CallError>, call: &Call) -> Result<(), Response> {
    let developer = |text: String| Err(Response::error(Status::DeveloperError, text));
    let limit = call.limit.as_millis();
    match outcome {
        Ok(answer) if answer.status == 200 && answer.truncated.is_none() => Ok(()),
        Ok(_) | Err(CallError::Timeout) if call.timed_out() => developer(format!(
            "The action exceeded its time limits of {limit} milliseconds during initialization."
        )),
        Ok(answer) => {
            let size = Some(size(answer));
            if let Some(length) = answer.truncated {
                return Err(Response {
                    size,
                    ..Response::error(Status::DeveloperError, truncated(length, answer, call.sizes))
                });
            }
            match parse(answer) {
                Some(value) if json::member(&value, "error").is_some() => {
                    Err(Response { status: Status::DeveloperError, result: Some(only_error(&value)), size })
                }
                _ => {
                    let text = suffixed("The action failed during initialization", answer);
                    Err(Response { size, ..Response::error(Status::DeveloperError, text) })
                }
            }
        }
        Err(_) if call.end == EndCause::OutOfMemory => developer(OUT_OF_MEMORY.to_owned()),
        Err(_) if call.end == EndCause::OutOfDisk => developer(OUT_OF_DISK.to_owned()),
        Err(CallError::Timeout) => developer(format!(
            "The action exceeded its time limits of {limit} milliseconds during initialization."
        )),
        Err(CallError::Refused(_) | CallError::Lost(_)) => developer(ABNORMAL_INIT.to_owned()),
    }
}

/// Of `/run`.
pub fn of_run(outcome: &Result<Answer, CallError>, call: &Call) -> Response {
    let developer = |text: String| Response::error(Status::DeveloperError, text);
    let limit = call.limit.as_millis();
    let late = || developer(format!("The action exceeded its time limits of {limit} milliseconds."));
    let answer = match outcome {
        _ if call.timed_out() => return late(),
        Err(CallError::Timeout) => return late(),
        Err(_) if call.end == EndCause::OutOfMemory => return developer(OUT_OF_MEMORY.to_owned()),
        Err(_) if call.end == EndCause::OutOfDisk => return developer(OUT_OF_DISK.to_owned()),
        Err(_) => return developer(ABNORMAL_RUN.to_owned()),
        Ok(answer) => answer,
    };
    let size = Some(size(answer));
    if let Some(length) = answer.truncated {
        let text = truncated(length, answer, call.sizes);
        return Response { size, ..Response::error(Status::ApplicationError, text) };
    }
    let invalid = || {
        let text = suffixed("The action did not produce a valid JSON or JSON Array response", answer);
        Response { size, ..Response::error(Status::DeveloperError, text) }
    };
    let Some(value) = parse(answer) else { return invalid() };
    let shape = json::shape(&value);
    let failed = shape == Shape::Object && json::member(&value, "error").is_some();
    match (answer.status, shape) {
        (200, _) if failed => {
            Response { status: Status::ApplicationError, result: Some(only_error(&value)), size }
        }
        (200, Shape::Object | Shape::Array) => {
            Response { status: Status::Success, result: Some(value), size }
        }
        (_, _) if failed => {
            Response { status: Status::DeveloperError, result: Some(only_error(&value)), size }
        }
        _ => invalid(),
    }
}

/// Of a container that could not be made.
pub fn of_create(error: &CreateError) -> Response {
    let status = match error {
        CreateError::Provision(_) | CreateError::NoInterpreter { .. } | CreateError::NoContainers { .. } => {
            Status::WhiskError
        }
        CreateError::ImagePull { .. } | CreateError::CommandNotFound { .. } => Status::DeveloperError,
    };
    Response::error(status, error.to_string())
}

fn size(answer: &Answer) -> u64 {
    let characters = || match std::str::from_utf8(&answer.body) {
        Ok(text) if text.is_ascii() => text.len(),
        Ok(text) => text.chars().map(char::len_utf16).sum(),
        Err(_) => answer.body.len(),
    };
    answer.truncated.unwrap_or_else(|| characters() as u64)
}

fn parse(answer: &Answer) -> Option<Box<RawValue>> {
    serde_json::from_slice(&answer.body).ok()
}

fn only_error(object: &RawValue) -> Box<RawValue> {
    #[derive(serde::Serialize)]
    struct Only<'a> {
        error: Option<&'a RawValue>,
    }
    json::raw(&Only { error: json::member(object, "error") })
}

fn suffixed(text: &str, answer: &Answer) -> String {
    match String::from_utf8_lossy(&answer.body) {
        body if body.is_empty() => format!("{text}."),
        body => format!("{text}: {body}"),
    }
}

fn truncated(length: u64, answer: &Answer, sizes: ResponseLimits) -> String {
    let (max, kept) = (sizes.max, String::from_utf8_lossy(&answer.body));
    format!(
        "The action produced a response that exceeded the allowed length: {length} > {max} bytes. The truncated response was: {kept}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn call(elapsed_ms: u64, end: EndCause) -> Call {
        Call {
            elapsed: Duration::from_millis(elapsed_ms),
            limit: Duration::from_millis(1000),
            sizes: ResponseLimits { max: 10, truncation: 5 },
            end,
        }
    }

    fn answer(status: u16, body: &str) -> Result<Answer, CallError> {
        Ok(Answer { status, body: Bytes::from(body.to_owned()), truncated: None, log_bytes: None })
    }

    fn lost() -> Result<Answer, CallError> {
        Err(CallError::Lost(anyhow::anyhow!("reset")))
    }

    fn shown(response: &Response) -> (u8, String) {
        (response.status.code(), response.result.as_ref().map(|r| r.get().to_owned()).unwrap_or_default())
    }

    #[test]
    fn every_outcome_of_a_run_is_upstreams() {
        let normal = call(5, EndCause::Running);
        let invalid = "The action did not produce a valid JSON or JSON Array response";
        let table: Vec<(Result<Answer, CallError>, Call, u8, String)> = vec![
            (answer(200, r#"{"a":1}"#), normal, 0, r#"{"a":1}"#.into()),
            (answer(200, "[1]"), normal, 0, "[1]".into()),
            (answer(200, r#"{"error":null,"b":2}"#), normal, 1, r#"{"error":null}"#.into()),
            (answer(502, r#"{"error":{"x":1},"b":2}"#), normal, 2, r#"{"error":{"x":1}}"#.into()),
            (answer(200, "7"), normal, 2, format!(r#"{{"error":"{invalid}: 7"}}"#)),
            (answer(200, ""), normal, 2, format!(r#"{{"error":"{invalid}."}}"#)),
            (answer(200, "x"), normal, 2, format!(r#"{{"error":"{invalid}: x"}}"#)),
            (answer(500, r#"{"a":1}"#), normal, 2, format!(r#"{{"error":"{invalid}: {{\"a\":1}}"}}"#)),
            (lost(), normal, 2, format!(r#"{{"error":"{ABNORMAL_RUN}"}}"#)),
            (lost(), call(5, EndCause::OutOfMemory), 2, format!(r#"{{"error":"{OUT_OF_MEMORY}"}}"#)),
            (lost(), call(5, EndCause::OutOfDisk), 2, format!(r#"{{"error":"{OUT_OF_DISK}"}}"#)),
            (
                answer(200, r#"{"a":1}"#),
                call(1000, EndCause::Running),
                2,
                r#"{"error":"The action exceeded its time limits of 1000 milliseconds."}"#.into(),
            ),
            (
                Err(CallError::Timeout),
                normal,
                2,
                r#"{"error":"The action exceeded its time limits of 1000 milliseconds."}"#.into(),
            ),
        ];
        for (outcome, call, code, result) in table {
            assert_eq!(shown(&of_run(&outcome, &call)), (code, result), "{outcome:?}");
        }
        assert!(refuses(&answer(503, "")) && !refuses(&lost()));
    }

    #[test]
    fn an_answer_that_is_too_long_is_an_application_error_of_a_run_and_a_developer_error_of_an_init() {
        let long = Ok(Answer { status: 200, body: "01234".into(), truncated: Some(99), log_bytes: None });
        let text = r#"{"error":"The action produced a response that exceeded the allowed length: 99 > 10 bytes. The truncated response was: 01234"}"#;
        let normal = call(5, EndCause::Running);
        assert_eq!(shown(&of_run(&long, &normal)), (1, text.to_owned()));
        assert_eq!(of_run(&long, &normal).size, Some(99));
        assert_eq!(shown(&of_init(&long, &normal).unwrap_err()), (2, text.to_owned()));
    }

    #[test]
    fn every_outcome_of_an_init_is_upstreams() {
        let normal = call(5, EndCause::Running);
        assert!(of_init(&answer(200, "whatever"), &call(5000, EndCause::Running)).is_ok());
        let table: Vec<(Result<Answer, CallError>, Call, &str)> = vec![
            (answer(502, r#"{"error":"no main"}"#), normal, "no main"),
            (answer(502, "x"), normal, "The action failed during initialization: x"),
            (answer(502, ""), normal, "The action failed during initialization."),
            (lost(), normal, ABNORMAL_INIT),
            (lost(), call(5, EndCause::OutOfMemory), OUT_OF_MEMORY),
            (lost(), call(5, EndCause::OutOfDisk), OUT_OF_DISK),
            (
                answer(502, "x"),
                call(1000, EndCause::Running),
                "The action exceeded its time limits of 1000 milliseconds during initialization.",
            ),
            (
                Err(CallError::Timeout),
                call(1000, EndCause::Running),
                "The action exceeded its time limits of 1000 milliseconds during initialization.",
            ),
        ];
        for (outcome, call, text) in table {
            let response = of_init(&outcome, &call).unwrap_err();
            assert_eq!(shown(&response), (2, format!(r#"{{"error":"{text}"}}"#)));
        }
    }

    #[test]
    fn the_size_counts_characters() {
        let response = of_run(&answer(200, r#"{"a":"ü€"}"#), &call(1, EndCause::Running));
        assert_eq!(response.size, Some(10));
    }
}
