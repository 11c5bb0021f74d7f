//! How activations are spread over invokers, and when one counts as lost.

use std::time::Duration;

use serde::Deserialize;

/// `whisk.loadbalancer`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BalancerConfig {
    /// An activation counts as lost after its time limit (at least the standard one) times this, plus the add-on.
    pub timeout_factor: u32,
    /// What is added to that.
    #[serde(with = "humantime_serde")]
    pub timeout_addon: Duration,
    /// The share of invokers that run actions of the manifest's kinds.
    pub managed_fraction: Fraction,
    /// The share of invokers that run users' images; at least what the other share leaves.
    pub blackbox_fraction: Fraction,
}

impl Default for BalancerConfig {
    fn default() -> Self {
        Self {
            timeout_factor: 2,
            timeout_addon: Duration::from_secs(60),
            managed_fraction: Fraction(0.9),
            blackbox_fraction: Fraction(0.1),
        }
    }
}

/// A part of a whole: `0.9` or `"90%"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fraction(pub f64);

impl Fraction {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let value = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
            None => text.parse().ok()?,
        };
        Some(value).filter(|value| value.is_finite() && *value >= 0.0).map(Self)
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(f64),
            Text(String),
        }
        let read = match Wire::deserialize(deserializer)? {
            Wire::Number(number) => Self::parse(&number.to_string()),
            Wire::Text(text) => Self::parse(&text),
        };
        read.ok_or_else(|| serde::de::Error::custom("a fraction is written 0.9 or 90%"))
    }
}

impl BalancerConfig {
    /// How long after its start an activation of that time limit counts as lost.
    pub fn completion_timeout(&self, time_limit: Duration, standard: Duration) -> Duration {
        time_limit.max(standard) * self.timeout_factor + self.timeout_addon
    }
}
