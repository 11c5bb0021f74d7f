//! `whisk.parameter-storage`: whether parameters are sealed where they are stored, and with which keys.
//!
//! Keys of ciphers that were used before stay, so that what they sealed can be opened. A cipher that is
//! named without a key is refused here: upstream would store clear text without a word.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Deserializer};

use crate::entity::encryption::{Cipher, Ciphers};

/// `whisk.parameter-storage`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(try_from = "Wire")]
pub struct ParameterStorage {
    /// What parameters of actions and packages are sealed with when they are written; none: clear text.
    pub current: Option<Cipher>,
    aes_128: Option<Key<16>>,
    aes_256: Option<Key<32>>,
}

impl ParameterStorage {
    /// What seals and opens.
    pub fn ciphers(&self) -> Ciphers {
        Ciphers::new(
            self.current,
            self.aes_128.as_ref().map(|key| &key.0),
            self.aes_256.as_ref().map(|key| &key.0),
        )
    }
}

/// The settings as they are written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Wire {
    /// `off`, `noop`, `aes-128` or `aes-256`.
    current: String,
    /// A key of 128 bits, as base64.
    #[serde(rename = "aes-128", alias = "aes128")]
    aes_128: Option<Key<16>>,
    /// A key of 256 bits, as base64.
    #[serde(rename = "aes-256", alias = "aes256")]
    aes_256: Option<Key<32>>,
}

impl TryFrom<Wire> for ParameterStorage {
    type Error = String;

    fn try_from(wire: Wire) -> Result<Self, String> {
        let Wire { current, aes_128, aes_256 } = wire;
        let current =
            match current.to_lowercase().as_str() {
                "" | "off" | "noop" => None,
                name => Some(Cipher::parse(name).ok_or_else(|| {
                    format!("parameters are stored off, noop, aes-128 or aes-256, not {name}")
                })?),
            };
        match current {
            Some(Cipher::Aes128) if aes_128.is_none() => {
                Err("parameter-storage needs the key aes-128".to_owned())
            }
            Some(Cipher::Aes256) if aes_256.is_none() => {
                Err("parameter-storage needs the key aes-256".to_owned())
            }
            _ => Ok(Self { current, aes_128, aes_256 }),
        }
    }
}

/// A key, which is shown nowhere.
#[derive(Clone, PartialEq)]
struct Key<const LENGTH: usize>([u8; LENGTH]);

impl<const LENGTH: usize> fmt::Debug for Key<LENGTH> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl<'de, const LENGTH: usize> Deserialize<'de> for Key<LENGTH> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD.decode(text.trim()).ok().and_then(|bytes| bytes.try_into().ok());
        // The text itself is a secret.
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom(format!("a key of {LENGTH} bytes, as base64")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ParameterStorage, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn a_cipher_needs_its_key_and_keys_are_hidden() {
        assert_eq!(read("").unwrap(), ParameterStorage::default());
        for none in ["off", "noop", "OFF", ""] {
            assert_eq!(read(&format!("current = '{none}'")).unwrap().current, None);
        }
        let short = STANDARD.encode([7; 16]);
        let long = STANDARD.encode([7; 32]);
        let storage = read(&format!("current = 'aes-128'\naes-128 = '{short}'\naes256 = '{long}'")).unwrap();
        assert_eq!(storage.current, Some(Cipher::Aes128));
        assert!(storage.aes_256.is_some());
        assert!(!format!("{storage:?}").contains('7'));
        for (text, told) in [
            ("current = 'aes-128'".to_owned(), "needs the key aes-128"),
            (format!("current = 'aes-256'\naes-128 = '{short}'"), "needs the key aes-256"),
            ("current = 'rot13'".to_owned(), "not rot13"),
            (format!("aes-128 = '{long}'"), "a key of 16 bytes"),
            ("aes-256 = '?'".to_owned(), "a key of 32 bytes"),
        ] {
            let error = read(&text).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
