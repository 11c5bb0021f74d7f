//! Parameters and annotations, and how those of an action meet those of an invocation.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/Parameter.scala`. Values are kept
//! as the compact text that was sent.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::json;

/// One named value.
#[derive(Clone, Debug, Serialize)]
pub struct Parameter {
    /// Not empty.
    pub key: String,
    /// Any JSON, compact.
    pub value: Box<RawValue>,
    /// Goes to the container's `/init` as environment, not to its `/run`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub init: bool,
    /// The cipher under which the value is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption: Option<String>,
}

/// Named values; of duplicates the last counts. Annotations have the same form.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct Parameters(Vec<Parameter>);

impl PartialEq for Parameter {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
            && self.value.get() == other.value.get()
            && self.init == other.init
            && self.encryption == other.encryption
    }
}

impl PartialEq for Parameters {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Parameters {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// This and one more; an earlier one of that name is replaced.
    pub fn with<T: Serialize + ?Sized>(mut self, key: &str, value: &T) -> Self {
        self.set(key, json::raw(value));
        self
    }

    /// Sets a plain value; an earlier one of that name is replaced.
    pub fn set(&mut self, key: &str, value: Box<RawValue>) {
        self.insert(Parameter { key: key.to_owned(), value, init: false, encryption: None });
    }

    fn insert(&mut self, parameter: Parameter) {
        match self.0.iter_mut().find(|p| p.key == parameter.key) {
            Some(earlier) => *earlier = parameter,
            None => self.0.push(parameter),
        }
    }

    /// Removes the value of that name.
    pub fn remove(&mut self, key: &str) {
        self.0.retain(|p| p.key != key);
    }

    /// The value of that name.
    pub fn get(&self, key: &str) -> Option<&RawValue> {
        self.0.iter().find(|p| p.key == key).map(|p| &*p.value)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Parameter> {
        self.0.iter()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// These, with the others put over them.
    pub fn merged(&self, over: &Parameters) -> Self {
        let mut merged = self.clone();
        for parameter in &over.0 {
            merged.insert(parameter.clone());
        }
        merged
    }

    /// Keys and compact values, in bytes: what the size limit counts.
    pub fn size(&self) -> u64 {
        self.0.iter().map(|p| (p.key.len() + p.value.get().len()) as u64).sum()
    }

    /// The names of those that go to the environment at `/init`.
    pub fn init_keys(&self) -> Vec<String> {
        self.0.iter().filter(|p| p.init).map(|p| p.key.clone()).collect()
    }

    /// The names that an invocation of a `final` action may not use: those with a value other than null.
    pub fn immutable_keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|p| p.value.get() != "null").map(|p| p.key.as_str())
    }

    /// Whether a flag such as `provide-api-key` holds: absent is `default`; a number is true unless 0, a
    /// text unless empty, null is false, arrays and objects are true.
    pub fn is_truthy(&self, key: &str, default: bool) -> bool {
        match self.get(key).map(RawValue::get) {
            None => default,
            Some("true") => true,
            Some("false" | "null" | "\"\"") => false,
            Some(text) if text.starts_with(['"', '[', '{']) => true,
            Some(number) => number.parse::<f64>() != Ok(0.0),
        }
    }

    /// Whether a strict flag such as `final` is the boolean true.
    pub fn is_true(&self, key: &str) -> bool {
        self.get(key).map(RawValue::get) == Some("true")
    }

    /// These as one object with the payload's members over them. The payload must be an object.
    pub fn merged_with_payload(&self, payload: &RawValue) -> Box<RawValue> {
        if self.0.is_empty() {
            return payload.to_owned();
        }
        let given = json::keys(payload);
        let mut text = String::from("{");
        for parameter in self.0.iter().filter(|p| !given.contains(&p.key)) {
            if text.len() > 1 {
                text.push(',');
            }
            text.push_str(json::raw(&parameter.key).get());
            text.push(':');
            text.push_str(parameter.value.get());
        }
        let members = payload.get().trim_start_matches('{').trim_start();
        let members = if given.is_empty() { "}" } else { members };
        if text.len() > 1 && !given.is_empty() {
            text.push(',');
        }
        text.push_str(members);
        RawValue::from_string(text).expect("members of two objects make an object")
    }
}

impl FromIterator<Parameter> for Parameters {
    fn from_iter<I: IntoIterator<Item = Parameter>>(parameters: I) -> Self {
        let mut all = Self::new();
        for parameter in parameters {
            all.insert(parameter);
        }
        all
    }
}

impl<'de> Deserialize<'de> for Parameters {
    /// Anything but an array of well-formed entries is `parameters malformed!`.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        struct Entry {
            key: String,
            value: Box<RawValue>,
            #[serde(default)]
            init: Option<bool>,
            #[serde(default)]
            encryption: Option<String>,
        }
        let malformed = || serde::de::Error::custom("parameters malformed!");
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let entries: Vec<Entry> = serde_json::from_str(text.get()).map_err(|_| malformed())?;
        if entries.iter().any(|entry| entry.key.is_empty()) {
            return Err(malformed());
        }
        Ok(entries
            .into_iter()
            .map(|entry| Parameter {
                key: entry.key,
                value: json::compact_raw(&entry.value),
                init: entry.init == Some(true),
                encryption: entry.encryption,
            })
            .collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Parameters {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_payload_wins_over_what_is_stored() {
        let stored = parse(r#"[{"key":"a","value":1},{"key":"b","value":{"x": [1.0]}}]"#);
        let merged = |payload: &str| {
            let raw: Box<RawValue> = serde_json::from_str(payload).unwrap();
            serde_json::from_str::<serde_json::Value>(stored.merged_with_payload(&raw).get()).unwrap()
        };
        assert_eq!(merged("{}"), serde_json::json!({"a":1,"b":{"x":[1.0]}}));
        assert_eq!(merged("{ }"), serde_json::json!({"a":1,"b":{"x":[1.0]}}));
        assert_eq!(merged(r#"{"a":3,"c":{}}"#), serde_json::json!({"a":3,"b":{"x":[1.0]},"c":{}}));
        assert_eq!(merged(r#"{"a":3,"b":4}"#), serde_json::json!({"a":3,"b":4}));
    }

    #[test]
    fn entries_are_checked_and_the_last_duplicate_counts() {
        let twice = parse(r#"[{"key":"a","value":1},{"key":"a","value":2,"init":true,"encryption":null}]"#);
        assert_eq!(serde_json::to_string(&twice).unwrap(), r#"[{"key":"a","value":2,"init":true}]"#);
        assert_eq!(
            serde_json::to_string(&parse(r#"[{"key":"a","value":null,"init":false}]"#)).unwrap(),
            r#"[{"key":"a","value":null}]"#
        );
        for bad in [
            r#"{"a":1}"#,
            r#"[{"key":"a"}]"#,
            r#"[{"key":1,"value":1}]"#,
            r#"[{"key":"","value":1}]"#,
            r#"[{"key":"a","value":1,"init":"x"}]"#,
            "7",
        ] {
            let error = serde_json::from_str::<Parameters>(bad).unwrap_err();
            assert!(error.to_string().starts_with("parameters malformed!"), "{bad}: {error}");
        }
    }

    #[test]
    fn truth_is_upstreams() {
        let flags = parse(
            r#"[{"key":"t","value":true},{"key":"s","value":"false"},{"key":"z","value":0},{"key":"n","value":null},{"key":"e","value":""},{"key":"o","value":{}}]"#,
        );
        for (key, truthy) in [("t", true), ("s", true), ("z", false), ("n", false), ("e", false), ("o", true)]
        {
            assert_eq!(flags.is_truthy(key, !truthy), truthy, "{key}");
        }
        assert!(flags.is_truthy("absent", true) && !flags.is_truthy("absent", false));
        assert!(flags.is_true("t") && !flags.is_true("s"));
        assert_eq!(flags.immutable_keys().count(), 5);
        assert_eq!(parse(r#"[{"key":"ab","value":"x"}]"#).size(), 5);
    }
}
