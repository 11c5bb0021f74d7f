//! Whether a caller may reach a web action, by its annotation `require-whisk-auth`: a text or a number is a
//! secret for a header, true asks for credentials, and what means nothing lets nobody in.

use common::entity::parameters::Parameters;
use common::store::seal;

/// The annotation.
pub const REQUIRE_AUTH: &str = "require-whisk-auth";

/// The header that has the secret.
pub const AUTH_HEADER: &str = "x-require-whisk-auth";

/// Judges by the header, and by whether the caller has signed in.
pub fn admits(annotations: &Parameters, header: Option<&str>, is_signed_in: bool) -> bool {
    let Some(required) = annotations.get(REQUIRE_AUTH) else { return true };
    match required.get() {
        "true" => is_signed_in,
        "false" => true,
        text if text.starts_with('"') => {
            serde_json::from_str::<String>(text).is_ok_and(|secret| is_secret(&secret, header))
        }
        number if number.starts_with(|c: char| c == '-' || c.is_ascii_digit()) => is_secret(number, header),
        _ => false,
    }
}

/// By digests, so that how long the answer takes tells nothing.
fn is_secret(secret: &str, header: Option<&str>) -> bool {
    header.is_some_and(|given| seal::matches(&seal::digest(secret), given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_annotation_says_who_may() {
        let admits = |required: Option<&str>, header, is_signed_in| {
            let annotations = required
                .map_or_else(String::new, |value| format!(r#"{{"key":"{REQUIRE_AUTH}","value":{value}}}"#));
            let annotations = serde_json::from_str(&format!("[{annotations}]")).unwrap();
            super::admits(&annotations, header, is_signed_in)
        };
        for is_signed_in in [true, false] {
            assert!(admits(None, None, is_signed_in));
            assert!(admits(Some("false"), None, is_signed_in));
            assert_eq!(admits(Some("true"), Some("true"), is_signed_in), is_signed_in);
            for (required, header) in [("\"s\\u00e9\"", "sé"), ("123", "123"), ("-1.5", "-1.5"), ("\"\"", "")]
            {
                assert!(admits(Some(required), Some(header), is_signed_in), "{required}");
                assert!(!admits(Some(required), Some("else"), is_signed_in), "{required}");
                assert!(!admits(Some(required), None, is_signed_in), "{required}");
            }
            for nonsense in ["null", "[]", "{}"] {
                assert!(!admits(Some(nonsense), Some(nonsense), is_signed_in), "{nonsense}");
            }
        }
    }
}
