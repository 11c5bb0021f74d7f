//! The operator of one process: who may disable it (upstream's `whisk.controller.username` and
//! `whisk.invoker.username`, with a password each).
//!
//! There is no default password: where none is set, nobody is the operator.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::config::text;

/// A password, which is shown nowhere; empty if none is set.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Password(#[serde(deserialize_with = "text::text")] pub String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "none" } else { "…" })
    }
}

/// Whether the value of an `Authorization` header is that of this user with this password.
pub fn is_operator(authorization: Option<&str>, username: &str, password: &Password) -> bool {
    if username.is_empty() || password.0.is_empty() {
        return false;
    }
    let Some((scheme, encoded)) = authorization.and_then(|value| value.trim().split_once(' ')) else {
        return false;
    };
    let Ok(given) = STANDARD.decode(encoded.trim()) else { return false };
    let wanted = Sha256::digest(format!("{username}:{}", password.0));
    scheme.eq_ignore_ascii_case("basic") && bool::from(Sha256::digest(given).ct_eq(&wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_signs_in_with_a_password_that_was_set() {
        let header = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let password = Password("s3cret".to_owned());
        assert!(is_operator(Some(&header("op:s3cret")), "op", &password));
        assert!(is_operator(Some(&header("op:s3cret").replace("Basic", "basic")), "op", &password));
        for wrong in ["op:s3cre", "op:", "po:s3cret", ":"] {
            assert!(!is_operator(Some(&header(wrong)), "op", &password), "{wrong}");
        }
        assert!(!is_operator(None, "op", &password));
        assert!(!is_operator(Some("Basic ?"), "op", &password));
        // Unset is nobody, not everybody.
        assert!(!is_operator(Some(&header("op:")), "op", &Password::default()));
        assert!(!is_operator(Some(&header(":s3cret")), "", &password));
        assert_eq!(format!("{password:?} {:?}", Password::default()), "… none");
    }
}
