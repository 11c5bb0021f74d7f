//! What the server answered, and what a test may demand of it. Every demand fails with the request,
//! the status and the body, so that the log of a failed test tells the story.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// The longest part of a body that a failure shows.
const SHOWN: usize = 2_000;

/// One HTTP response, read to its end.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
    /// Method and path of the request.
    pub request: String,
}

impl Answer {
    /// Demands this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert!(self.status == status, "expected {status}: {}", self.story());
        self
    }

    /// Demands one of these statuses.
    #[track_caller]
    pub fn expect_any(self, statuses: &[u16]) -> Self {
        assert!(statuses.contains(&self.status), "expected one of {statuses:?}: {}", self.story());
        self
    }

    /// Demands the error envelope with exactly this text.
    #[track_caller]
    pub fn error(self, text: &str) -> Self {
        let found = self.envelope();
        assert!(found == text, "expected the error {text:?}: {}", self.story());
        self
    }

    /// Demands the error envelope with a text that contains this one.
    #[track_caller]
    pub fn error_contains(self, part: &str) -> Self {
        let found = self.envelope();
        assert!(found.contains(part), "expected an error with {part:?}: {}", self.story());
        self
    }

    /// The text of the envelope: exactly `error` and `code`, as JSON, the code being the request's id.
    #[track_caller]
    fn envelope(&self) -> String {
        let content_type = self.header("content-type").unwrap_or_default();
        assert!(content_type.starts_with("application/json"), "an error must be JSON: {}", self.story());
        let body = self.json();
        let fields = body.as_object().map_or(0, serde_json::Map::len);
        assert!(fields == 2, "an error has exactly `error` and `code`: {}", self.story());
        assert!(
            body["code"].as_str().is_some_and(|code| self.header("x-request-id") == Some(code)),
            "`code` must be the X-Request-ID of the response: {}",
            self.story()
        );
        body["error"].as_str().unwrap_or_else(|| panic!("`error` must be text: {}", self.story())).to_owned()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("expected JSON ({error}): {}", self.story()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// One header field, if it is there and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The id of the activation that the request began.
    #[track_caller]
    pub fn activation_id(&self) -> String {
        let id = self.json()["activationId"].as_str().map(str::to_owned);
        let id = id.unwrap_or_else(|| panic!("expected an `activationId`: {}", self.story()));
        assert!(
            id.len() == 32 && id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')),
            "an activation id has 32 hexadecimal digits: {}",
            self.story()
        );
        id
    }

    /// Request, status and the beginning of the body.
    pub fn story(&self) -> String {
        let text = self.text();
        let shown: String = text.chars().take(SHOWN).collect();
        let more = if shown.len() < text.len() { " …" } else { "" };
        format!("{} answered {}: {shown}{more}", self.request, self.status)
    }
}
