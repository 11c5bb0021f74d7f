//! `whisk.tracing`: where spans are sent. Upstream reports to Zipkin (`whisk.tracing.zipkin`); here it is OTLP, whose
//! standard variables (`OTEL_EXPORTER_OTLP_ENDPOINT` and others) count, too.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Deserializer};

use super::load_balancer::Fraction;

/// `whisk.tracing`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TracingConfig {
    /// `whisk.tracing.otlp`
    pub otlp: OtlpConfig,
}

/// `whisk.tracing.otlp`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct OtlpConfig {
    /// The collector, such as `http://127.0.0.1:4318`, or `https://…` over TLS; `/v1/traces` is added. Empty: nothing is
    /// exported, and traces that others began are passed on.
    pub endpoint: String,
    /// A PEM file with the authorities of a collector that is spoken to over TLS, in place of the system's.
    pub ca: Option<PathBuf>,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Which part of the requests that bring no trace begins one: `1` all, `0.01` one of a hundred. Those that bring
    /// one are recorded if that one is.
    pub sample_rate: Fraction,
    /// Headers of each request to the collector: a table, or `name=value` separated by commas.
    pub headers: OtlpHeaders,
    /// The name of the service; `oxwhisk-controller` and `oxwhisk-invoker` if it is empty.
    pub service_name: String,
}

impl Default for OtlpConfig {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            ca: None,
            protocol: OtlpProtocol::HttpProtobuf,
            sample_rate: Fraction(1.0),
            headers: OtlpHeaders::default(),
            service_name: String::new(),
        }
    }
}

/// How a collector is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum OtlpProtocol {
    /// Protocol buffers in the body of a POST.
    #[serde(rename = "http/protobuf")]
    HttpProtobuf,
}

/// Headers, whose values may be secrets and are shown nowhere.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct OtlpHeaders(pub BTreeMap<String, String>);

impl fmt::Debug for OtlpHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl<'de> Deserialize<'de> for OtlpHeaders {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Table(BTreeMap<String, String>),
            Text(String),
        }
        let text = match Wire::deserialize(deserializer)? {
            Wire::Table(table) => return Ok(Self(table)),
            Wire::Text(text) => text,
        };
        let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=')?;
            let value = percent_encoding::percent_decode_str(value.trim()).decode_utf8().ok()?;
            Some((name.trim().to_owned(), value.into_owned()))
        };
        let read: Option<BTreeMap<_, _>> = pairs.map(pair).collect();
        read.map(Self).ok_or_else(|| serde::de::Error::custom("headers are written name=value,name=value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_a_table_or_a_list_and_are_not_shown() {
        let expected = BTreeMap::from([("api-key".to_owned(), "a b".to_owned()), ("x".into(), "y=z".into())]);
        for text in ["headers = { api-key = 'a b', x = 'y=z' }", "headers = 'api-key=a%20b, x=y=z,'"] {
            let config: OtlpConfig = toml::from_str(text).unwrap();
            assert_eq!(config.headers.0, expected, "{text}");
            let shown = format!("{config:?}");
            assert!(shown.contains("api-key") && !shown.contains("y=z"), "{shown}");
        }
        assert!(toml::from_str::<OtlpConfig>("headers = 'x'").is_err());
    }

    #[test]
    fn other_protocols_are_refused_by_name() {
        let error = toml::from_str::<OtlpConfig>("protocol = 'grpc'").unwrap_err().to_string();
        assert!(error.contains("grpc") && error.contains("http/protobuf"), "{error}");
    }
}
