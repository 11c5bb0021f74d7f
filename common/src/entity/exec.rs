//! What an action runs: code of a kind, an image of the user's, or a sequence of actions.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/Exec.scala`. Code is kept apart
//! from the action, under its digest: an invocation needs everything but the code.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::name::Fqn;

/// The kind of an action whose image the user names.
pub const BLACKBOX: &str = "blackbox";

/// The kind of an action made of actions.
pub const SEQUENCE: &str = "sequence";

/// Where the code of an action is found: under the SHA-256 of its text, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeRef {
    /// 64 hexadecimal digits.
    pub digest: String,
    /// Bytes of the text.
    pub length: u64,
}

impl CodeRef {
    /// The reference of a text.
    pub fn of(code: &str) -> Self {
        use std::fmt::Write;
        let mut digest = String::with_capacity(64);
        for byte in Sha256::digest(code.as_bytes()) {
            let _ = write!(digest, "{byte:02x}");
        }
        Self { digest, length: code.len() as u64 }
    }
}

/// What an action runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Exec {
    /// Actions, one after the other.
    Sequence {
        /// Always [`SEQUENCE`].
        kind: SequenceKind,
        /// With namespaces; serialized with a leading slash.
        #[serde(with = "slashed")]
        components: Vec<Fqn>,
    },
    /// An image of the user's.
    Blackbox {
        /// Always [`BLACKBOX`].
        kind: BlackboxKind,
        /// As the registry names it.
        image: String,
        /// Code that is given to the image, if any.
        #[serde(skip_serializing_if = "Option::is_none")]
        code: Option<CodeRef>,
        /// Whether the code is base64.
        binary: bool,
        /// The function to call.
        #[serde(skip_serializing_if = "Option::is_none")]
        main: Option<String>,
    },
    /// Code of a kind from the manifest.
    Code {
        /// Such as `nodejs:20`.
        kind: String,
        /// Source text, or base64.
        code: CodeRef,
        /// Whether the code is base64.
        binary: bool,
        /// The function to call.
        #[serde(skip_serializing_if = "Option::is_none")]
        main: Option<String>,
    },
}

/// The word `sequence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SequenceKind {
    /// The word itself.
    #[serde(rename = "sequence")]
    Sequence,
}

/// The word `blackbox`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum BlackboxKind {
    /// The word itself.
    #[serde(rename = "blackbox")]
    Blackbox,
}

impl Exec {
    /// The kind, as in the `exec` and `kind` annotations.
    pub fn kind(&self) -> &str {
        match self {
            Self::Sequence { .. } => SEQUENCE,
            Self::Blackbox { .. } => BLACKBOX,
            Self::Code { kind, .. } => kind,
        }
    }

    /// Where its code is, if it has any.
    pub fn code(&self) -> Option<&CodeRef> {
        match self {
            Self::Sequence { .. } => None,
            Self::Blackbox { code, .. } => code.as_ref(),
            Self::Code { code, .. } => Some(code),
        }
    }

    /// Whether its code is base64.
    pub fn is_binary(&self) -> bool {
        match self {
            Self::Sequence { .. } => false,
            Self::Blackbox { binary, .. } | Self::Code { binary, .. } => *binary,
        }
    }

    /// The function to call, if one is named.
    pub fn main(&self) -> Option<&str> {
        match self {
            Self::Sequence { .. } => None,
            Self::Blackbox { main, .. } | Self::Code { main, .. } => main.as_deref(),
        }
    }
}

/// Whether code is taken for base64: not empty, whole groups of four, only its alphabet.
pub fn is_binary_code(code: &str) -> bool {
    let code = code.trim().as_bytes();
    let letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/');
    let padding = code.iter().rev().take_while(|b| **b == b'=').count();
    !code.is_empty()
        && code.len().is_multiple_of(4)
        && padding <= 2
        && code[..code.len() - padding].iter().all(letter)
}

mod slashed {
    use super::Fqn;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(components: &[Fqn], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(components.iter().map(|component| format!("/{}", component.id())))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Fqn>, D::Error> {
        Vec::<Fqn>::deserialize(deserializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_recognised_as_upstream_does() {
        for yes in ["abcd", " UEsDBA== ", "AAA=", "+/+/"] {
            assert!(is_binary_code(yes), "{yes}");
        }
        for no in ["", "  ", "abc", "function main(){}", "A===", "====", "ab=d"] {
            assert!(!is_binary_code(no), "{no}");
        }
    }

    #[test]
    fn every_form_reads_back() {
        let code = CodeRef::of("x");
        let forms = [
            Exec::Code {
                kind: "nodejs:20".into(),
                code: code.clone(),
                binary: false,
                main: Some("m".into()),
            },
            Exec::Blackbox {
                kind: BlackboxKind::Blackbox,
                image: "a/b".into(),
                code: None,
                binary: false,
                main: None,
            },
            Exec::Sequence { kind: SequenceKind::Sequence, components: vec![Fqn::parse("/ns/a").unwrap()] },
        ];
        for exec in forms {
            let text = serde_json::to_string(&exec).unwrap();
            assert_eq!(serde_json::from_str::<Exec>(&text).unwrap(), exec, "{text}");
        }
    }
}
