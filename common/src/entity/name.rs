//! Names, paths and fully qualified names of entities.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/{EntityPath,FullyQualifiedEntityName}.scala`.
//! A name is one word character, or starts with one and goes on with word characters, `@`, space, `.`,
//! `&` and `-`, the last of which is no space.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::version::SemVer;

/// The most characters in a name.
pub const MAX_NAME_LENGTH: usize = 256;

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// More than [`MAX_NAME_LENGTH`] characters.
    #[error("Name segement longer than allowed: {0} > {MAX_NAME_LENGTH}.")]
    TooLong(usize),
    /// A character that no name has, or none at all.
    #[error("The name of the entity contains illegal characters.")]
    IllegalCharacters,
    /// A fully qualified name without a namespace.
    #[error(
        "requirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity."
    )]
    Unqualified,
    /// Neither a text nor an object with `path` and `name`.
    #[error("fully qualified name malformed")]
    Malformed,
}

/// The name of one entity or namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityName(Arc<str>);

impl EntityName {
    /// Parses a name as it stands, without trimming.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let length = text.chars().count();
        if length > MAX_NAME_LENGTH {
            return Err(NameError::TooLong(length));
        }
        let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        let inner = |b: u8| word(b) || matches!(b, b'@' | b' ' | b'.' | b'&' | b'-');
        let legal = match text.as_bytes() {
            [] => false,
            [only] => word(*only),
            [first, middle @ .., last] => {
                word(*first) && middle.iter().all(|b| inner(*b)) && inner(*last) && *last != b' '
            }
        };
        if legal { Ok(Self(text.into())) } else { Err(NameError::IllegalCharacters) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntityName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntityName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A namespace, or a namespace and a package: `guest` or `guest/pkg`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityPath(Arc<str>);

impl EntityPath {
    /// Parses segments joined by `/`; empty segments are dropped, each other must be a name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
        if segments.is_empty() {
            return Err(NameError::IllegalCharacters);
        }
        for segment in &segments {
            EntityName::parse(segment)?;
        }
        Ok(Self(segments.join("/").into()))
    }

    /// The path of a namespace.
    pub fn of(namespace: &EntityName) -> Self {
        Self(namespace.0.clone())
    }

    /// This path with one more segment.
    pub fn join(&self, name: &EntityName) -> Self {
        Self(format!("{}/{}", self.0, name.0).into())
    }

    /// The namespace.
    pub fn root(&self) -> EntityName {
        EntityName(self.0.split('/').next().unwrap_or_default().into())
    }

    /// The package, if this path has one.
    pub fn package(&self) -> Option<EntityName> {
        self.0.split_once('/').map(|(_, package)| EntityName(package.into()))
    }

    /// The path as text, without a leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EntityPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for EntityPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for EntityPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// Which entity: its path and its name, and in messages its version and the binding it was reached by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct Fqn {
    /// Namespace and, for packaged actions, package.
    pub path: EntityPath,
    /// The entity's own name.
    pub name: EntityName,
    /// The version that was resolved; only in messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<SemVer>,
    /// The package binding through which the action was reached; only in messages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binding: Option<EntityPath>,
}

impl Fqn {
    /// An entity by path and name.
    pub fn new(path: EntityPath, name: EntityName) -> Self {
        Self { path, name, version: None, binding: None }
    }

    /// Parses `/ns/name`, `ns/name`, `/ns/pkg/name` or `ns/pkg/name`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let segments: Vec<&str> = text.split('/').filter(|segment| !segment.is_empty()).collect();
        match segments.as_slice() {
            [path @ .., name] if !path.is_empty() => {
                Ok(Self::new(EntityPath::parse(&path.join("/"))?, EntityName::parse(name)?))
            }
            _ => Err(NameError::Unqualified),
        }
    }

    /// The document id: `ns/name` or `ns/pkg/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.path, self.name)
    }

    /// The namespace.
    pub fn namespace(&self) -> EntityName {
        self.path.root()
    }

    /// This with that namespace in place of `_`.
    pub fn within(mut self, namespace: &EntityName) -> Self {
        if self.path.root().as_str() == "_" {
            let own = EntityPath::of(namespace);
            self.path = self.path.package().map_or_else(|| own.clone(), |package| own.join(&package));
        }
        self
    }
}

impl fmt::Display for Fqn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.path, self.name)?;
        match &self.version {
            Some(version) => write!(f, "@{version}"),
            None => Ok(()),
        }
    }
}

impl<'de> Deserialize<'de> for Fqn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Text(String),
            Object {
                path: EntityPath,
                name: EntityName,
                version: Option<SemVer>,
                binding: Option<EntityPath>,
            },
        }
        match Wire::deserialize(deserializer) {
            Ok(Wire::Text(text)) => Self::parse(&text).map_err(serde::de::Error::custom),
            Ok(Wire::Object { path, name, version, binding }) => Ok(Self { path, name, version, binding }),
            Err(_) => Err(serde::de::Error::custom(NameError::Malformed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_upstream_judges_them() {
        // apache/openwhisk: tests/src/test/scala/org/apache/openwhisk/core/entity/test/SchemaTests.scala
        let long = "a".repeat(256);
        for legal in [
            "a", "a b", "a@b.c&d", "a@&b", "_a", "_", "_ _", "a0", "a 0", "a.0", "a@@&", "0", "0.0", "0.0.0",
            "0a", "0.a", &long,
        ] {
            assert!(EntityName::parse(legal).is_ok(), "{legal}");
        }
        for illegal in [
            "", " ", " xxx", "xxx ", "/", " /", "/ ", "0 ", "a=2b", "_ ", "a?b", "x#x", "a§b", "a  ", "a()b",
            "a{}b", "a \t", "-abc", "&abc", "a\n",
        ] {
            assert_eq!(EntityName::parse(illegal), Err(NameError::IllegalCharacters), "{illegal:?}");
        }
        let error = EntityName::parse(&"a".repeat(257)).unwrap_err();
        assert_eq!(error.to_string(), "Name segement longer than allowed: 257 > 256.");
    }

    #[test]
    fn fully_qualified_names_are_read_in_every_form() {
        for text in ["/ns/p/a", "ns/p/a"] {
            let fqn = Fqn::parse(text).unwrap();
            assert_eq!((fqn.id().as_str(), fqn.path.package().unwrap().as_str()), ("ns/p/a", "p"));
        }
        assert_eq!(Fqn::parse("/a"), Err(NameError::Unqualified));
        let object: Fqn = serde_json::from_str(r#"{"path":"ns","name":"a","version":"0.0.1"}"#).unwrap();
        assert_eq!(object.to_string(), "ns/a@0.0.1");
        assert!(
            serde_json::from_str::<Fqn>("7")
                .unwrap_err()
                .to_string()
                .contains("fully qualified name malformed")
        );
    }
}
