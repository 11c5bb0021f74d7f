//! What settings say of Kafka's clients, in librdkafka's words.
//!
//! Upstream hands its `whisk.kafka.common` to the client in Java, whose names are mostly the same. Where they are
//! not, what librdkafka can do is translated, and the rest is refused with what to write instead.

use std::path::{Path, PathBuf};

use crate::config::kafka::ClientSettings;

/// A setting that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum SettingError {
    /// Only the client in Java knows it.
    #[error("{setting} is for clients in Java: {instead}")]
    Java {
        /// Which.
        setting: &'static str,
        /// What does the same here.
        instead: &'static str,
    },
    /// A file that is named cannot be read.
    #[error("{setting}: the file {path} cannot be read: {why}")]
    File {
        /// By which.
        setting: String,
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
}

/// Names and values for librdkafka.
pub fn settings(given: &ClientSettings) -> Result<Vec<(String, String)>, SettingError> {
    let all: Vec<(String, String)> = given.iter().collect();
    let value = |name: &str| all.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let is_pem = |name: &str| value(name).eq_ignore_ascii_case("PEM");
    let java = |setting, instead| Err(SettingError::Java { setting, instead });
    let mut settings = Vec::new();
    for (key, text) in &all {
        let mut set = |key: &str| settings.push((key.to_owned(), text.clone()));
        match key.as_str() {
            "sasl.jaas.config" => {
                return java(
                    "sasl-jaas-config",
                    "name sasl-username and sasl-password or sasl-password-file",
                );
            }
            "ssl.truststore.location" if is_pem("ssl.truststore.type") || is_file(text, "pem") => {
                set("ssl.ca.location")
            }
            "ssl.truststore.location" => {
                return java("a truststore of Java", "name a PEM file with ssl-ca-location");
            }
            "ssl.truststore.password" if text.is_empty() => {}
            "ssl.truststore.password" => return java("ssl-truststore-password", "a PEM file has none"),
            "ssl.keystore.location" if is_pem("ssl.keystore.type") || is_file(text, "pem") => {
                set("ssl.certificate.location");
                set("ssl.key.location");
            }
            "ssl.keystore.location" if is_file(text, "jks") => {
                return java(
                    "a keystore of the type JKS",
                    "name a PKCS12 file, or PEM files with ssl-certificate-location and ssl-key-location",
                );
            }
            "ssl.truststore.type" | "ssl.keystore.type" => {}
            // In Java this is how names of brokers are not compared.
            "ssl.endpoint.identification.algorithm" if text.is_empty() => {
                settings.push((key.clone(), "none".to_owned()))
            }
            _ => match key.strip_suffix(".file").filter(|key| key.ends_with("password")) {
                Some(key) => settings.push((key.to_owned(), secret(key, text)?)),
                None => set(key),
            },
        }
    }
    for (name, path) in
        settings.iter().filter(|(name, _)| name.starts_with("ssl.") && name.ends_with(".location"))
    {
        // What OpenSSL says of a file that is not there tells nobody which one it was.
        std::fs::File::open(path).map_err(|error| unreadable(name, path, &error))?;
    }
    Ok(settings)
}

fn is_file(path: &str, extension: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found.eq_ignore_ascii_case(extension))
}

fn secret(setting: &str, path: &str) -> Result<String, SettingError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| unreadable(&format!("{setting}.file"), path, &error))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn unreadable(setting: &str, path: &str, error: &std::io::Error) -> SettingError {
    SettingError::File { setting: setting.replace('.', "-"), path: path.into(), why: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, String)>, SettingError> {
        settings(&toml::from_str(text).unwrap())
    }

    #[test]
    fn javas_words_become_librdkafkas() {
        let folder = tempfile::tempdir().unwrap();
        let [pem, p12, word] = ["a.pem", "a.p12", "word"].map(|name| {
            let path = folder.path().join(name);
            std::fs::write(&path, "s3cret\n").unwrap();
            path.display().to_string()
        });
        for (text, expected) in [
            ("security-protocol = 'SASL_SSL'", vec![("security.protocol", "SASL_SSL")]),
            (
                "ssl-endpoint-identification-algorithm = ''",
                vec![("ssl.endpoint.identification.algorithm", "none")],
            ),
            (
                &format!("ssl-truststore-location = '{pem}'\nssl-truststore-password = ''"),
                vec![("ssl.ca.location", &pem)],
            ),
            (
                &format!("ssl-keystore-location = '{pem}'\nssl-keystore-type = 'PEM'"),
                vec![("ssl.certificate.location", &pem), ("ssl.key.location", &pem)],
            ),
            (
                &format!("ssl-keystore-location = '{p12}'\nssl-keystore-password = 'x'"),
                vec![("ssl.keystore.location", &p12), ("ssl.keystore.password", "x")],
            ),
            (&format!("sasl-password-file = '{word}'"), vec![("sasl.password", "s3cret")]),
        ] {
            let expected: Vec<_> =
                expected.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            assert_eq!(of(text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (text, named) in [
            ("sasl-jaas-config = 'x'", "sasl-username"),
            ("ssl-truststore-location = '/conf/kafka-keystore.jks'", "ssl-ca-location"),
            ("ssl-keystore-location = '/conf/kafka-keystore.jks'", "PKCS12"),
            ("ssl-ca-location = '/nowhere/ca.pem'", "/nowhere/ca.pem"),
            ("sasl-password-file = '/nowhere/word'", "sasl-password-file: the file /nowhere/word"),
        ] {
            let error = of(text).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
