//! JSON text that is passed on rather than taken apart.
//!
//! Payloads, results and parameter values travel as the text that was sent, so that numbers keep their
//! written form and nothing is parsed twice.

use std::collections::HashSet;

use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The text without white space outside of strings.
pub fn compact(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let (mut in_string, mut escaped) = (false, false);
    for c in text.chars() {
        if in_string {
            out.push(c);
            match c {
                _ if escaped => escaped = false,
                '\\' => escaped = true,
                '"' => in_string = false,
                _ => {}
            }
        } else if !matches!(c, ' ' | '\t' | '\n' | '\r') {
            in_string = c == '"';
            out.push(c);
        }
    }
    out
}

/// A value's text without white space outside of strings.
pub fn compact_raw(value: &RawValue) -> Box<RawValue> {
    let text = value.get();
    if text.bytes().any(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r')) {
        RawValue::from_string(compact(text)).expect("valid JSON stays valid without white space")
    } else {
        value.to_owned()
    }
}

/// Any serializable value as raw JSON.
pub fn raw<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).expect("our own types serialize to JSON")
}

/// The empty object.
pub fn empty_object() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("it is JSON")
}

/// Which kind of JSON value a text is, by its first character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// Anything else.
    Scalar,
}

/// The shape of a value.
pub fn shape(value: &RawValue) -> Shape {
    match value.get().as_bytes().first() {
        Some(b'{') => Shape::Object,
        Some(b'[') => Shape::Array,
        _ => Shape::Scalar,
    }
}

/// A member of a JSON object, as raw text; `None` if it is no object or has no such member.
/// Of several of that name the last counts.
pub fn member<'a>(object: &'a RawValue, key: &str) -> Option<&'a RawValue> {
    struct Find<'k>(&'k str);
    impl<'de> Visitor<'de> for Find<'_> {
        type Value = Option<&'de RawValue>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut found = None;
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                if key == self.0 {
                    found = Some(map.next_value()?);
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            Ok(found)
        }
    }
    if shape(object) != Shape::Object {
        return None;
    }
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Find(key)).ok().flatten()
}

/// Two objects as one: members of `over` stand in place of those of their names in `under`.
pub fn merged(under: &RawValue, over: &RawValue) -> Box<RawValue> {
    let given = keys(over);
    if given.is_empty() {
        return under.to_owned();
    }
    let mut text = String::with_capacity(under.get().len() + over.get().len());
    text.push('{');
    let kept: Vec<(String, &RawValue)> = members(under);
    for (key, value) in kept.iter().filter(|(key, _)| !given.contains(key)) {
        text.push_str(raw(key).get());
        text.push(':');
        text.push_str(value.get());
        text.push(',');
    }
    text.push_str(over.get().trim_start_matches('{').trim_start());
    RawValue::from_string(text).expect("members of two objects make an object")
}

/// The members of an object, in their order; none if it is no object.
fn members(object: &RawValue) -> Vec<(String, &RawValue)> {
    struct Collect;
    impl<'de> Visitor<'de> for Collect {
        type Value = Vec<(String, &'de RawValue)>;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }
        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(member) = map.next_entry()? {
                all.push(member);
            }
            Ok(all)
        }
    }
    serde_json::Deserializer::from_str(object.get()).deserialize_map(Collect).unwrap_or_default()
}

/// The names of an object's members; empty if it is no object.
pub fn keys(object: &RawValue) -> HashSet<String> {
    #[derive(Deserialize)]
    #[serde(transparent)]
    struct Keys(std::collections::HashMap<String, IgnoredAny>);
    serde_json::from_str::<Keys>(object.get()).map(|keys| keys.0.into_keys().collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Box<RawValue> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn compact_keeps_strings_and_numbers_as_written() {
        let given = "{ \"a b\" : [ 1.0 , 1e3, \" x \\\" y \" ] ,\n\"c\":12345678901234567890123 }";
        assert_eq!(compact(given), r#"{"a b":[1.0,1e3," x \" y "],"c":12345678901234567890123}"#);
        assert_eq!(compact_raw(&parse("[1, 2]")).get(), "[1,2]");
    }

    #[test]
    fn of_two_objects_the_second_wins() {
        let merged = |under: &str, over: &str| merged(&parse(under), &parse(over)).get().to_owned();
        assert_eq!(
            merged(r#"{"a":1.0,"b":{"a":2},"c":3}"#, r#"{ "a":[4],"d":5}"#),
            r#"{"b":{"a":2},"c":3,"a":[4],"d":5}"#
        );
        assert_eq!(merged(r#"{"a b":"\u00fc"}"#, "{ }"), r#"{"a b":"\u00fc"}"#);
        assert_eq!(merged("{}", r#"{"a":1}"#), r#"{"a":1}"#);
        assert_eq!(merged(r#"{"a":1}"#, r#"{"\u0061":2}"#), r#"{"\u0061":2}"#);
    }

    #[test]
    fn a_member_is_found_at_the_top_level_only() {
        let object = parse(r#"{"a":{"error":1},"err\u006fr":"x","b":[2]}"#);
        assert_eq!(member(&object, "error").map(RawValue::get), Some("\"x\""));
        assert_eq!(member(&object, "b").map(RawValue::get), Some("[2]"));
        assert!(member(&object, "c").is_none());
        assert!(member(&parse("[1]"), "a").is_none());
        assert_eq!(keys(&object).len(), 3);
    }
}
