//! A JSON object that is read member by member, each in its own time.
//!
//! A PUT is refused by what is wrong first in upstream's order, not in the order of its text: so the
//! object is split once, and its members are bound when their turn comes. Null is the same as absent.

use std::collections::HashMap;

use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use serde_json::error::Category;
use serde_json::value::RawValue;

/// A body, or a part of one, that does not mean what it should; the text is for the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub String);

impl Malformed {
    /// With that text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl From<serde_json::Error> for Malformed {
    fn from(error: serde_json::Error) -> Self {
        let (line, column) = (error.line(), error.column());
        Self(match error.classify() {
            Category::Eof | Category::Io => {
                format!("Unexpected end-of-input at line {line}, position {column}")
            }
            Category::Syntax | Category::Data => {
                format!("Unexpected character at line {line}, position {column}")
            }
        })
    }
}

/// Any JSON text as it stands.
pub fn parse_value(text: &[u8]) -> Result<&RawValue, Malformed> {
    let text = std::str::from_utf8(text)
        .map_err(|error| Malformed(format!("Unexpected character at index {}", error.valid_up_to())))?;
    Ok(serde_json::from_str(text)?)
}

/// The members of an object.
#[derive(Debug)]
pub struct Members<'a>(HashMap<String, &'a RawValue>);

impl<'a> Members<'a> {
    /// Splits an object. Of members of one name the last counts.
    pub fn of(value: &'a RawValue) -> Result<Self, Malformed> {
        if !value.get().starts_with('{') {
            return Err(Malformed::new("JSON object expected"));
        }
        Ok(Self(serde_json::from_str(value.get())?))
    }

    /// The member of that name, unless it is null.
    pub fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.0.get(name).copied().filter(|value| value.get() != "null")
    }

    /// Whether there is a member of that name, null or not.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Parameters or annotations.
    pub fn parameters(&self, name: &str) -> Result<Option<Parameters>, Malformed> {
        let malformed = |_| Malformed::new("parameters malformed!");
        self.get(name).map(|value| serde_json::from_str(value.get()).map_err(malformed)).transpose()
    }

    /// The member `version`.
    pub fn version(&self) -> Result<Option<SemVer>, Malformed> {
        let Some(text) = self.text("version") else { return Ok(None) };
        let version = text.ok().and_then(|text| SemVer::parse(&text).ok());
        version.map(Some).ok_or_else(|| Malformed::new("semantic version malformed"))
    }

    /// A member that must be true or false.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Malformed> {
        match self.get(name).map(RawValue::get) {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => Err(Malformed(format!("Expected JsBoolean, but got {other}"))),
        }
    }

    /// A member that must be a text: `Err` if it is anything else, `None` if it is absent or null.
    pub fn text(&self, name: &str) -> Option<Result<String, ()>> {
        let value = self.get(name)?;
        Some(serde_json::from_str(value.get()).map_err(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_split_and_null_is_absent() {
        let value = parse_value(br#" {"a":1, "b":null, "a":"x", "c":[1]} "#).unwrap();
        let members = Members::of(value).unwrap();
        assert_eq!(members.get("a").unwrap().get(), "\"x\"");
        assert!(members.get("b").is_none() && members.contains("b"));
        assert_eq!(members.text("a"), Some(Ok("x".to_owned())));
        assert_eq!((members.text("c"), members.text("d")), (Some(Err(())), None));
    }

    #[test]
    fn what_is_no_object_is_told() {
        for (text, told) in [
            ("[]", "JSON object expected"),
            ("\"x\"", "JSON object expected"),
            ("", "Unexpected end-of-input"),
            ("{\"a\":", "Unexpected end-of-input"),
            ("{a}", "Unexpected character"),
            ("{} x", "Unexpected character"),
        ] {
            let error = parse_value(text.as_bytes()).and_then(Members::of).unwrap_err();
            assert!(error.0.starts_with(told), "{text}: {error}");
        }
        assert!(parse_value(b"\"\xff\"").unwrap_err().0.starts_with("Unexpected character"));
    }
}
