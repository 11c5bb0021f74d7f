//! How invocations are waited for, and what else is the controller's.

use std::time::Duration;

use serde::Deserialize;

use super::http::{HttpLimits, HttpsConfig, Protocol};
use super::text;
use crate::operator::Password;

/// `whisk.controller`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ControllerConfig {
    /// How invocations are waited for.
    pub activation: WaitConfig,
    /// Whether the API is served over TLS; by default it is where a certificate is named.
    pub protocol: Option<Protocol>,
    /// The API's certificate.
    pub https: HttpsConfig,
    /// What it bears of its clients (ours).
    pub http: HttpLimits,
    /// Who may disable a controller.
    #[serde(deserialize_with = "text::text")]
    pub username: String,
    /// The password of who may disable a controller; without one nobody may.
    pub password: Password,
}

/// `whisk.controller.activation`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WaitConfig {
    /// Whether results that did not fit a message are read from the store.
    pub polling_from_db: bool,
    /// The longest, and the default, that a blocking invocation waits.
    #[serde(with = "humantime_serde")]
    pub max_wait_for_blocking_activation: Duration,
}

impl Default for WaitConfig {
    fn default() -> Self {
        Self { polling_from_db: true, max_wait_for_blocking_activation: Duration::from_secs(60) }
    }
}

/// `whisk.feature-flags`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FeatureFlags {
    /// New actions get `provide-api-key: false` unless they say otherwise.
    pub require_api_key_annotation: bool,
    /// PUT and DELETE answer with the entity.
    pub require_response_payload: bool,
}

impl Default for FeatureFlags {
    fn default() -> Self {
        Self { require_api_key_annotation: true, require_response_payload: true }
    }
}
