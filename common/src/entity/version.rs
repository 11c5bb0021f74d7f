//! Versions of entities: `major.minor.patch`, missing parts are 0, `0.0.0` is none.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/SemVer.scala`.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The version of an entity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SemVer {
    major: u32,
    minor: u32,
    patch: u32,
}

/// A text that is no version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("semantic version malformed")]
pub struct VersionError;

impl SemVer {
    /// What a new entity has: 0.0.1.
    pub const FIRST: Self = Self { major: 0, minor: 0, patch: 1 };

    /// Parses `1`, `1.2` or `1.2.3`; leading zeros are accepted.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        let mut parts = [0u32; 3];
        let given: Vec<&str> = text.split('.').collect();
        if given.len() > 3 {
            return Err(VersionError);
        }
        for (part, text) in parts.iter_mut().zip(&given) {
            if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
                return Err(VersionError);
            }
            *part = text.parse().map_err(|_| VersionError)?;
        }
        let [major, minor, patch] = parts;
        if parts == [0, 0, 0] { Err(VersionError) } else { Ok(Self { major, minor, patch }) }
    }

    /// The version after this one: patch + 1.
    pub fn next(self) -> Self {
        Self { patch: self.patch.saturating_add(1), ..self }
    }
}

impl fmt::Display for SemVer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

impl Serialize for SemVer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SemVer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)
            .map_err(|_| serde::de::Error::custom(VersionError))?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_leniently_and_grow_by_patch() {
        for (text, shown) in [("1", "1.0.0"), ("0.1", "0.1.0"), ("01.02", "1.2.0"), ("1.2.3", "1.2.3")] {
            assert_eq!(SemVer::parse(text).unwrap().to_string(), shown);
        }
        for bad in ["", "0.0.0", "0", "xyz", "-1", "1.", "1.2.3.4", "1.-2", "1..2"] {
            assert_eq!(SemVer::parse(bad), Err(VersionError), "{bad}");
        }
        assert_eq!(SemVer::FIRST.next().to_string(), "0.0.2");
    }
}
