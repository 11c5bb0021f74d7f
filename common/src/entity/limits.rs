//! What an action may use and a namespace may ask for.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/{Limits,TimeLimit,MemoryLimit,LogLimit,Identity}.scala`.
//! Memory and logs are MB, times are ms. A namespace's own limits narrow the system's, never widen them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A number of bytes; on the wire `"1048576 B"`, read also as `"1 MB"`, `"256m"` and the like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

/// A text that is no size.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a size; write a number and B, KB, MB or GB")]
pub struct ByteSizeError(String);

impl ByteSize {
    /// So many bytes.
    pub const fn from_bytes(bytes: u64) -> Self {
        Self(bytes)
    }

    /// So many MB of 1,048,576 bytes.
    pub const fn from_mb(mb: u64) -> Self {
        Self(mb * 1024 * 1024)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The whole MB in it.
    pub const fn mb(self) -> u64 {
        self.0 / (1024 * 1024)
    }

    /// Parses `n[ ](GB|MB|KB|B|G|M|K)`, in any case.
    pub fn parse(text: &str) -> Result<Self, ByteSizeError> {
        let error = || ByteSizeError(text.to_owned());
        let trimmed = text.trim();
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = trimmed[..digits].parse().map_err(|_| error())?;
        let unit: u64 = match trimmed[digits..].trim_start().to_ascii_uppercase().as_str() {
            "B" => 1,
            "K" | "KB" => 1 << 10,
            "M" | "MB" => 1 << 20,
            "G" | "GB" => 1 << 30,
            _ => return Err(error()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(error)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B", self.0)
    }
}

impl std::str::FromStr for ByteSize {
    type Err = ByteSizeError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl Serialize for ByteSize {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ByteSize {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The limits of one action.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ActionLimits {
    /// The longest an init or a run may take, ms.
    pub timeout: u64,
    /// The memory of its containers, MB.
    pub memory: u64,
    /// The most log kept of one activation, MB.
    #[serde(default = "ten")]
    pub logs: u64,
    /// Activations at once in one container.
    #[serde(default = "one")]
    pub concurrency: u32,
    /// Containers at once; kept and shown, used by schedulers that count containers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instances: Option<u32>,
}

fn ten() -> u64 {
    10
}

fn one() -> u32 {
    1
}

/// The limits of an action as a PUT names them: those that are absent keep what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionLimitsPut {
    /// ms
    pub timeout: Option<u64>,
    /// MB
    pub memory: Option<u64>,
    /// MB
    pub logs: Option<u64>,
    /// activations
    pub concurrency: Option<u64>,
    /// containers
    pub instances: Option<u64>,
}

/// Limits that no range could ever allow, told before any range is looked at.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LimitsMalformed(String);

impl ActionLimitsPut {
    /// Reads the `limits` member of a PUT.
    pub fn parse(value: &serde_json::Value) -> Result<Self, LimitsMalformed> {
        use serde_json::Value;
        let Value::Object(members) = value else {
            return Err(LimitsMalformed("JSON object expected".to_owned()));
        };
        let read = |key: &str, what: &str, negative: &str| match members.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::Number(number)) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
                (Some(n), _, _) => Ok(Some(n)),
                (None, Some(_), _) => Err(LimitsMalformed(format!("requirement failed: {negative}"))),
                (None, None, Some(f)) if f.fract() == 0.0 && (0.0..9e15).contains(&f) => Ok(Some(f as u64)),
                _ => Err(LimitsMalformed(format!("requirement failed: {what} must be whole number"))),
            },
            Some(_) => Err(LimitsMalformed(format!("{what} malformed"))),
        };
        let size = "a negative size of an object is not allowed.";
        Ok(Self {
            timeout: read("timeout", "time limit", "duration is negative")?,
            memory: read("memory", "memory limit", size)?,
            logs: read("logs", "log limit", size)?,
            concurrency: read("concurrency", "intra concurrency limit", "concurrency is negative")?,
            instances: read(
                "instances",
                "instance concurrency limit",
                "Action container concurrency must be greater than or equal to 0.",
            )?,
        })
    }
}

/// A lowest, a highest and a standard value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The least that is allowed.
    pub min: u64,
    /// The most that is allowed.
    pub max: u64,
    /// What an action has that names none.
    pub std: u64,
}

impl Range {
    /// This range, narrowed by a namespace's own bounds.
    fn narrowed(self, min: Option<u64>, max: Option<u64>) -> Self {
        Self {
            min: min.map_or(self.min, |own| own.max(self.min)),
            max: max.map_or(self.max, |own| own.min(self.max)),
            std: self.std,
        }
    }
}

/// An action's limit outside of what its namespace may have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("requirement failed: {0}")]
pub struct LimitOutOfRange(String);

/// The ranges that hold for one namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionLimitRanges {
    /// ms
    pub timeout: Range,
    /// MB
    pub memory: Range,
    /// MB
    pub logs: Range,
    /// activations in one container
    pub concurrency: Range,
}

impl ActionLimitRanges {
    /// Upstream's system limits (`common/scala/src/main/resources/application.conf`).
    pub const UPSTREAM: Self = Self {
        timeout: Range { min: 100, max: 300_000, std: 60_000 },
        memory: Range { min: 128, max: 512, std: 256 },
        logs: Range { min: 0, max: 10, std: 10 },
        concurrency: Range { min: 1, max: 1, std: 1 },
    };

    /// These, narrowed by a namespace's own limits.
    pub fn for_namespace(self, own: &UserLimits) -> Self {
        Self {
            timeout: self.timeout.narrowed(own.min_action_timeout, own.max_action_timeout),
            memory: self.memory.narrowed(own.min_action_memory, own.max_action_memory),
            logs: self.logs.narrowed(own.min_action_logs, own.max_action_logs),
            concurrency: self.concurrency.narrowed(own.min_action_concurrency, own.max_action_concurrency),
        }
    }

    /// Checks the limits that a PUT names; the first that is out of range is told.
    pub fn check(&self, put: &ActionLimitsPut) -> Result<(), LimitOutOfRange> {
        let check = |value: Option<u64>, range: Range, what: &str, unit: &str| match value {
            Some(v) if v > range.max => Err(LimitOutOfRange(format!(
                "{what} {v}{unit} exceeds allowed threshold of {}{unit}",
                range.max
            ))),
            Some(v) if v < range.min => Err(LimitOutOfRange(format!(
                "{what} {v}{unit} below allowed threshold of {}{unit}",
                range.min
            ))),
            _ => Ok(()),
        };
        check(put.memory, self.memory, "memory size", " MB")?;
        check(put.timeout, self.timeout, "duration", " milliseconds")?;
        check(put.logs, self.logs, "log size", " MB")?;
        check(put.concurrency, self.concurrency, "concurrency", "")
    }

    /// Checks all limits of a stored action, as the invoker does before each run.
    pub fn check_all(&self, limits: &ActionLimits) -> Result<(), LimitOutOfRange> {
        self.check(&ActionLimitsPut {
            timeout: Some(limits.timeout),
            memory: Some(limits.memory),
            logs: Some(limits.logs),
            concurrency: Some(u64::from(limits.concurrency)),
            instances: None,
        })
    }

    /// The limits of an action that names none.
    pub fn standard(&self) -> ActionLimits {
        ActionLimits {
            timeout: self.timeout.std,
            memory: self.memory.std,
            logs: self.logs.std,
            concurrency: u32::try_from(self.concurrency.std).unwrap_or(1),
            instances: None,
        }
    }
}

/// A namespace's own limits; each absent one is the system's. Document `<ns>/limits` upstream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UserLimits {
    /// Invocations accepted a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invocations_per_minute: Option<u64>,
    /// Activations in flight at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrent_invocations: Option<u64>,
    /// Triggers fired a minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fires_per_minute: Option<u64>,
    /// The kinds its actions may have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_kinds: Option<Vec<String>>,
    /// False: no activation record is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_activations: Option<bool>,
    /// MB
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_memory: Option<u64>,
    /// MB
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_memory: Option<u64>,
    /// MB
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_logs: Option<u64>,
    /// MB
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_logs: Option<u64>,
    /// ms
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_timeout: Option<u64>,
    /// ms
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_timeout: Option<u64>,
    /// activations in one container
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_action_concurrency: Option<u64>,
    /// activations in one container
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_concurrency: Option<u64>,
    /// Of parameters and of annotations, each.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_parameter_size: Option<ByteSize>,
    /// Of a request to invoke, and of a result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_payload_size: Option<ByteSize>,
    /// How much of a result that is too large is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncation_size: Option<ByteSize>,
    /// Containers of one action at once; kept for schedulers that count containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_action_instances: Option<u64>,
    /// Kept for schedulers that hold containers warm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmed_container_keeping_count: Option<u64>,
    /// Kept for schedulers that hold containers warm; a duration as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub warmed_container_keeping_timeout: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sizes_are_read_in_every_unit() {
        for (text, bytes) in [
            ("1 MB", 1 << 20),
            ("256m", 256 << 20),
            ("7 B", 7),
            ("2g", 2 << 30),
            ("3KB", 3072),
            ("4 gb", 4 << 30),
        ] {
            assert_eq!(ByteSize::parse(text), Ok(ByteSize::from_bytes(bytes)), "{text}");
        }
        for bad in ["", "7", "x MB", "-1 MB", "1 TB", "99999999999999 GB"] {
            assert!(ByteSize::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_first_limit_out_of_range_is_told() {
        let ranges = ActionLimitRanges::UPSTREAM;
        let told = |put: serde_json::Value| {
            ranges.check(&ActionLimitsPut::parse(&put).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(
            told(json!({"memory": 513, "timeout": 1})),
            "requirement failed: memory size 513 MB exceeds allowed threshold of 512 MB"
        );
        assert_eq!(
            told(json!({"timeout": 300_001})),
            "requirement failed: duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds"
        );
        assert_eq!(
            told(json!({"logs": 11})),
            "requirement failed: log size 11 MB exceeds allowed threshold of 10 MB"
        );
        assert_eq!(
            told(json!({"concurrency": 0})),
            "requirement failed: concurrency 0 below allowed threshold of 1"
        );
    }

    #[test]
    fn a_namespace_narrows_and_never_widens() {
        let own = UserLimits {
            max_action_memory: Some(4096),
            min_action_timeout: Some(1000),
            max_action_timeout: Some(2000),
            ..UserLimits::default()
        };
        let ranges = ActionLimitRanges::UPSTREAM.for_namespace(&own);
        assert_eq!((ranges.memory.max, ranges.timeout.min, ranges.timeout.max), (512, 1000, 2000));
    }

    #[test]
    fn malformed_limits_name_the_field() {
        let told = |put| ActionLimitsPut::parse(&put).unwrap_err().to_string();
        assert_eq!(told(json!({"timeout": 1000.5})), "requirement failed: time limit must be whole number");
        assert_eq!(told(json!({"memory": "1"})), "memory limit malformed");
        assert_eq!(
            told(json!({"logs": -1})),
            "requirement failed: a negative size of an object is not allowed."
        );
        assert_eq!(
            told(json!({"instances": -1})),
            "requirement failed: Action container concurrency must be greater than or equal to 0."
        );
    }

    #[test]
    fn limits_read_as_scala_writes_them() {
        let limits: ActionLimits = serde_json::from_str(r#"{"timeout":60000,"memory":256}"#).unwrap();
        assert_eq!(limits, ActionLimitRanges::UPSTREAM.standard());
        assert_eq!(serde_json::to_string(&UserLimits::default()).unwrap(), "{}");
        let own: UserLimits = serde_json::from_str(r#"{"maxPayloadSize":"1 KB","unknown":1}"#).unwrap();
        assert_eq!(own.max_payload_size, Some(ByteSize::from_bytes(1024)));
    }
}
