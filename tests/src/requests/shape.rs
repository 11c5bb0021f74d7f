//! What a JSON body must be like.
//!
//! An object has at least the fields of its shape; an array has exactly its elements, or, behind a `"…"`, each of
//! them somewhere. Of texts, `"<id>"` is an activation id, `"<text>"`, `"<number>"`, `"<boolean>"`,
//! `"<object>"` and `"<array>"` are any of that type, `"<none>"` is no field at all, `"~x"` matches the
//! pattern `x`; any other value is itself.

use regex::Regex;
use serde_json::Value;

/// Where and how a value differs from its shape.
pub fn differs(shape: &Value, value: &Value, place: &str) -> Option<String> {
    let told = |what: &str| Some(format!("at '{place}' expected {what}, found {value}"));
    match (shape, value) {
        (Value::Object(fields), Value::Object(found)) => fields.iter().find_map(|(name, shape)| {
            let place = format!("{place}/{name}");
            match found.get(name) {
                Some(_) if *shape == "<none>" => Some(format!("'{place}' is there")),
                Some(value) => differs(shape, value, &place),
                None if *shape == "<none>" => None,
                None => Some(format!("'{place}' is missing")),
            }
        }),
        (Value::Array(shapes), Value::Array(found)) => match shapes.split_first() {
            Some((first, shapes)) if *first == "…" => shapes.iter().find_map(|shape| {
                let some = found.iter().any(|value| differs(shape, value, place).is_none());
                if some { None } else { told(&format!("among others {shape}")) }
            }),
            _ if shapes.len() != found.len() => told(&format!("{} elements", shapes.len())),
            _ => shapes
                .iter()
                .zip(found)
                .enumerate()
                .find_map(|(at, (shape, value))| differs(shape, value, &format!("{place}/{at}"))),
        },
        (Value::String(text), value) => {
            let right = match text.as_str() {
                "<id>" => value.as_str().is_some_and(is_id),
                "<text>" => value.is_string(),
                "<number>" => value.is_number(),
                "<boolean>" => value.is_boolean(),
                "<object>" => value.is_object(),
                "<array>" => value.is_array(),
                text => match text.strip_prefix('~') {
                    Some(pattern) => value.as_str().is_some_and(|value| {
                        Regex::new(pattern).is_ok_and(|pattern| pattern.is_match(value))
                    }),
                    None => value == text,
                },
            };
            if right { None } else { told(&format!("{text:?}")) }
        }
        (shape, value) if shape == value => None,
        (shape, _) => told(&shape.to_string()),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

#[test]
fn shapes_tell_right_from_wrong() {
    let differs = |shape: &str, value: &str| {
        let read = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        differs(&read(shape), &read(value), "").is_some()
    };
    for (shape, right) in [
        (r#"{"a":1}"#, r#"{"a":1,"b":2}"#),
        (r#"["…",2]"#, "[1,2,3]"),
        (r#"[1,"<number>"]"#, "[1,2]"),
        (r#"{"a":"<none>","b":"~^x+$"}"#, r#"{"b":"xx"}"#),
        (r#""<id>""#, r#""0123456789abcdef0123456789abcdef""#),
    ] {
        assert!(!differs(shape, right), "{shape} {right}");
    }
    for (shape, wrong) in [
        (r#"{"a":1}"#, r#"{"a":"1"}"#),
        (r#"{"a":1}"#, "{}"),
        (r#"["…",4]"#, "[1,2,3]"),
        ("[1]", "[1,2]"),
        (r#"{"a":"<none>"}"#, r#"{"a":null}"#),
        (r#""<id>""#, r#""0123""#),
        (r#""~^x$""#, "1"),
    ] {
        assert!(differs(shape, wrong), "{shape} {wrong}");
    }
}
