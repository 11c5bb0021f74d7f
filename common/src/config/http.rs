//! `whisk.controller.https`, `whisk.invoker.https` and `whisk.controller.http`: how a process listens.
//!
//! The keys of a Java keystore are upstream's (`keystore-…`, `client-auth`); a store must be of the flavor PEM,
//! which Java reads too. The files of their own and the limits are ours.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use crate::operator::Password;

/// `whisk.controller.protocol`, `whisk.invoker.protocol`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Plain.
    Http,
    /// Over TLS.
    Https,
}

/// `whisk.controller.https`, `whisk.invoker.https`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HttpsConfig {
    /// A PEM file with the certificate, and those between it and its authority (ours).
    pub certificate: Option<PathBuf>,
    /// A PEM file with its private key (ours).
    pub key: Option<PathBuf>,
    /// A PEM file with the authorities of clients; with it whoever connects must show a certificate (ours).
    pub client_ca: Option<PathBuf>,
    /// `PEM`: the key and the chain in one file.
    pub keystore_flavor: String,
    /// Such a file.
    pub keystore_path: Option<PathBuf>,
    /// Must be empty: keys under a password are not read.
    pub keystore_password: Password,
    /// Whether clients must show a certificate; those in the store are their authorities.
    pub client_auth: bool,
}

/// `whisk.controller.http` (ours): what one process bears of its clients.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct HttpLimits {
    /// The most connections; others wait until one is closed.
    pub max_connections: usize,
    /// The most connections from one address, which for IPv6 is a network of 64 bits; others are closed at once.
    /// 0 is no limit: for when all come through one proxy.
    pub max_connections_per_address: usize,
    /// The most fields in the head of a request; at most 96.
    pub max_header_count: usize,
    /// The most bytes in the value of one of them.
    pub max_header_value_length: usize,
    /// A TLS handshake must be done within this.
    #[serde(with = "humantime_serde")]
    pub handshake_timeout: Duration,
    /// The head of a request must have come within this, from its first byte on.
    #[serde(with = "humantime_serde")]
    pub head_timeout: Duration,
    /// The body of a request must have come within this, from its head on; 408 otherwise.
    #[serde(with = "humantime_serde")]
    pub body_timeout: Duration,
    /// A connection without a request is closed after this.
    #[serde(with = "humantime_serde")]
    pub idle_timeout: Duration,
    /// A client that takes less than 4 KiB a second of an answer is cut off after this.
    #[serde(with = "humantime_serde")]
    pub slow_reader_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_connections: 16_384,
            max_connections_per_address: 12_288,
            max_header_count: 64,
            max_header_value_length: 8_192,
            handshake_timeout: Duration::from_secs(5),
            head_timeout: Duration::from_secs(15),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(70),
            slow_reader_timeout: Duration::from_secs(30),
        }
    }
}
