//! Bodies: how much is read, how long it may take, and of which type it must be.
//!
//! A body is measured as it comes, chunked or not, and what is over its limit is counted but not kept.

use std::time::Duration;

use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use bytes::{Bytes, BytesMut};
use common::entity::json;
use futures::StreamExt;
use serde_json::value::RawValue;

use super::error::ApiError;
use crate::entities::members::{Malformed, parse_value};

/// The most that is read of any body.
pub const MAX_BODY: u64 = 50 * 1024 * 1024;

/// What a request announces as the length of its body.
pub fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// A whole body, which must have come within `patience`.
pub async fn read(
    headers: &HeaderMap,
    payload: &mut dev::Payload,
    patience: Duration,
) -> Result<Bytes, ApiError> {
    match collect(headers, payload, MAX_BODY, patience).await? {
        Collected::Whole(body) => Ok(body),
        Collected::Over(_) => Err(ApiError::Oversized),
    }
}

/// A body of at most so many bytes; if it has more, the caller is told how many.
pub async fn read_at_most(
    headers: &HeaderMap,
    payload: &mut dev::Payload,
    allowed: u64,
    patience: Duration,
) -> Result<Bytes, ApiError> {
    let too_large = |size| ApiError::TooLarge { part: "Request", size, allowed };
    match announced(headers) {
        Some(size) if size > allowed => Err(too_large(size)),
        _ => match collect(headers, payload, allowed.min(MAX_BODY), patience).await? {
            Collected::Whole(body) => Ok(body),
            Collected::Over(size) => Err(too_large(size)),
        },
    }
}

enum Collected {
    Whole(Bytes),
    /// So many bytes, at least.
    Over(u64),
}

async fn collect(
    headers: &HeaderMap,
    payload: &mut dev::Payload,
    keep: u64,
    patience: Duration,
) -> Result<Collected, ApiError> {
    if announced(headers).is_some_and(|size| size > MAX_BODY) {
        return Err(ApiError::Oversized);
    }
    let collect = async {
        let (mut size, mut first, mut body) = (0, Bytes::new(), BytesMut::new());
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(broken)?;
            size += chunk.len() as u64;
            if size > MAX_BODY {
                break;
            } else if size > keep {
                (first, body) = (Bytes::new(), BytesMut::new());
            } else if first.is_empty() && body.is_empty() {
                // Most bodies come in one piece, which needs no copy.
                first = chunk;
            } else {
                if body.is_empty() {
                    body.extend_from_slice(&std::mem::take(&mut first));
                }
                body.extend_from_slice(&chunk);
            }
        }
        Ok(match size {
            _ if size > keep => Collected::Over(size),
            _ if body.is_empty() => Collected::Whole(first),
            _ => Collected::Whole(body.freeze()),
        })
    };
    tokio::time::timeout(patience, collect).await.unwrap_or(Err(ApiError::TimedOut))
}

fn broken(error: PayloadError) -> ApiError {
    match error {
        PayloadError::Overflow => ApiError::Oversized,
        error => ApiError::Malformed(error.to_string()),
    }
}

/// Refuses a body that is not JSON by its type. Without a type, only an empty one passes.
pub fn require_json(headers: &HeaderMap, body: &Bytes) -> Result<(), ApiError> {
    let Some(given) = headers.get(CONTENT_TYPE) else {
        let unknown = || ApiError::UnsupportedType("application/octet-stream".to_owned());
        return if body.is_empty() { Ok(()) } else { Err(unknown()) };
    };
    let given = String::from_utf8_lossy(given.as_bytes());
    let essence = given.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        Ok(())
    } else {
        Err(ApiError::UnsupportedType(given.into_owned()))
    }
}

/// The payload of an invocation: an object, as it was sent. An empty body is the empty object.
pub fn payload(body: &Bytes) -> Result<Box<RawValue>, Malformed> {
    if body.is_empty() {
        return Ok(json::empty_object());
    }
    let value = parse_value(body)?;
    if json::shape(value) != json::Shape::Object {
        return Err(Malformed::new("JSON object expected"));
    }
    // Names with escapes may not be text at all; all others are by now.
    if value.get().contains("\\u") {
        serde_json::from_str::<std::collections::HashMap<String, serde::de::IgnoredAny>>(value.get())?;
    }
    Ok(value.to_owned())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use actix_web::http::header::HeaderValue;

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn chunked(chunks: &'static [&'static str]) -> dev::Payload {
        let chunks = chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
        dev::Payload::Stream { payload: Box::pin(futures::stream::iter(chunks)) }
    }

    #[tokio::test]
    async fn a_body_is_measured_whether_announced_or_not() {
        let mut headers = HeaderMap::new();
        let read = read_at_most(&headers, &mut chunked(&["ab", "cd", "e"]), 5, SOON).await.unwrap();
        assert_eq!(read, "abcde");
        let told = read_at_most(&headers, &mut chunked(&["ab", "cd", "ef"]), 3, SOON).await.unwrap_err();
        assert_eq!(told.to_string(), "Request larger than allowed: 6 > 3 bytes.");
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("7"));
        let told = read_at_most(&headers, &mut chunked(&[]), 3, SOON).await.unwrap_err();
        assert_eq!(told.to_string(), "Request larger than allowed: 7 > 3 bytes.");
        headers.insert(CONTENT_LENGTH, HeaderValue::from_static("52428801"));
        assert!(matches!(super::read(&headers, &mut chunked(&[]), SOON).await, Err(ApiError::Oversized)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_not_waited_for() {
        let trickle = futures::stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            Some((Ok(Bytes::from_static(b"x")), ()))
        });
        let payload: Pin<Box<dyn futures::Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(trickle);
        let mut payload = dev::Payload::Stream { payload };
        let read = super::read(&HeaderMap::new(), &mut payload, SOON).await;
        assert!(matches!(read, Err(ApiError::TimedOut)));
    }

    #[test]
    fn only_json_is_read() {
        let judged = |kind: Option<&'static str>, body: &'static str| {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
            }
            require_json(&headers, &Bytes::from_static(body.as_bytes())).map_err(|error| error.to_string())
        };
        for kind in ["application/json", "Application/JSON; charset=latin1"] {
            assert_eq!(judged(Some(kind), "{}"), Ok(()));
        }
        assert_eq!(judged(None, ""), Ok(()));
        let told = |kind: &str| {
            Err(format!("The request's Content-Type [{kind}] is not supported. Expected:\napplication/json"))
        };
        assert_eq!(judged(None, "{}"), told("application/octet-stream"));
        assert_eq!(judged(Some("text/plain"), ""), told("text/plain"));
    }

    #[test]
    fn a_payload_is_an_object_and_stays_as_it_was_sent() {
        let given = |text: &'static str| payload(&Bytes::from_static(text.as_bytes()));
        assert_eq!(given("").unwrap().get(), "{}");
        assert_eq!(given(" {\"a\": 1.0} ").unwrap().get(), "{\"a\": 1.0}");
        for text in ["[1,2]", "\"x\"", "1", "null", "true"] {
            assert_eq!(given(text).unwrap_err().0, "JSON object expected", "{text}");
        }
        for text in ["{", "{'a':1}", "{} {}", "{\"\\ud800\":1}"] {
            assert!(given(text).unwrap_err().0.starts_with("Unexpected"), "{text}");
        }
    }
}
