//! Who asks: a subject in one of its namespaces, with that namespace's limits.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/{Identity,Subject,Secret,UUID}.scala`.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::limits::UserLimits;
use super::name::EntityName;

/// The characters of a key.
pub const KEY_LENGTH: usize = 64;

/// The least characters of a subject's name.
pub const MIN_SUBJECT_LENGTH: usize = 5;

/// Credentials: the uuid of a namespace and its key. `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct AuthKey {
    /// Which namespace.
    pub uuid: String,
    /// The secret; empty where it must not be known, as in messages of actions that get no key.
    pub key: String,
}

impl AuthKey {
    /// Parses `uuid:key`.
    pub fn parse(text: &str) -> Option<Self> {
        let (uuid, key) = text.split_once(':')?;
        Some(Self { uuid: uuid.to_owned(), key: key.to_owned() })
    }

    /// `uuid:key`.
    pub fn reveal(&self) -> String {
        format!("{}:{}", self.uuid, self.key)
    }
}

impl fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:(hidden)", self.uuid)
    }
}

impl Serialize for AuthKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire {
            api_key: String,
        }
        Wire { api_key: self.reveal() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for AuthKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Wire {
            api_key: String,
        }
        let wire = Wire::deserialize(deserializer)?;
        Self::parse(&wire.api_key).ok_or_else(|| serde::de::Error::custom("an api_key is uuid:key"))
    }
}

/// A namespace and the uuid that names it in credentials and throttles.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its name.
    pub name: EntityName,
    /// Its uuid, an opaque text.
    pub uuid: Arc<str>,
}

/// What an identity may do; identities from the store may do all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Right {
    /// GET
    Read,
    /// PUT
    Put,
    /// DELETE
    Delete,
    /// POST
    Activate,
}

/// All four rights.
pub const ALL_RIGHTS: [Right; 4] = [Right::Read, Right::Put, Right::Delete, Right::Activate];

/// A subject in one of its namespaces, for one request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// The subject's name.
    pub subject: Arc<str>,
    /// The namespace that the credentials select.
    pub namespace: Namespace,
    /// The credentials.
    pub authkey: AuthKey,
    /// What it may do.
    pub rights: Vec<Right>,
    /// The namespace's own limits.
    pub limits: Arc<UserLimits>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_has_upstreams_wire_form_and_hides_its_key_in_logs() {
        let text = r#"{"subject":"guest","namespace":{"name":"guest","uuid":"u"},"authkey":{"api_key":"u:k"},"rights":["READ","PUT","DELETE","ACTIVATE"],"limits":{}}"#;
        let identity: Identity = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&identity).unwrap(), text);
        assert_eq!(identity.rights, ALL_RIGHTS);
        assert!(!format!("{identity:?}").contains(":k"));
    }
}
