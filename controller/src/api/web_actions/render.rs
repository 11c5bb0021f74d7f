//! From the result of an action to an answer, by extension.
//!
//! Upstream's rules, quirks included: a text with a JSON type that looks like base64 is decoded, and one
//! with a binary type must be. Two things are ours: a status that has no body loses it, and an interim
//! status (1xx) is no answer.

use std::borrow::Cow;

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use common::entity::exec::is_binary_code;
use common::entity::json::{self, Shape};
use serde_json::Value;
use serde_json::value::RawValue;

use super::media::{Charset, MediaType};
use super::path::Extension;
use super::pretty::pretty;
use crate::entities::members::Members;

/// As lenient as upstream's decoder.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The server's own; an action's are dropped.
const OWN_HEADERS: [&str; 6] =
    ["content-type", "content-length", "transfer-encoding", "connection", "date", "server"];

/// Why a result is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is not what the extension needs.
    #[error("Response is not valid '{0}'.")]
    Media(&'static str),
    /// It has no member for a text.
    #[error("Response does not include requested property.")]
    NoProperty,
    /// Its content type is none.
    #[error("Response did not specify a known content-type.")]
    UnknownType,
    /// Its content type is of something else.
    #[error("Response type in header did not match generated content type.")]
    OtherType,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Rendered {
    /// 200 to 599.
    pub status: u16,
    /// Legal names and values; a name may be there more than once.
    pub headers: Vec<(String, String)>,
    /// What it carries, if anything.
    pub entity: Option<Entity>,
}

/// What an answer carries.
#[derive(Debug, PartialEq, Eq)]
pub struct Entity {
    /// What it is.
    pub media: MediaType,
    /// The same, as it is written.
    pub content_type: String,
    /// The bytes.
    pub body: Vec<u8>,
}

impl Entity {
    fn new(media: MediaType, charset: Charset, body: impl Into<Vec<u8>>) -> Self {
        let content_type = media.written(charset);
        Self { media, content_type, body: body.into() }
    }

    fn text(main: &str, sub: &str, text: impl Into<Vec<u8>>) -> Self {
        let media = MediaType::new(main, sub);
        let charset = media.charset();
        Self::new(media, charset, text)
    }

    fn json(media: MediaType, value: &RawValue) -> Self {
        Self::new(media, Charset::Fixed, pretty(value.get()))
    }

    fn with_status(self, status: u16, headers: Vec<(String, String)>) -> Rendered {
        // To these no body belongs.
        let entity = (!matches!(status, 204 | 205 | 304)).then_some(self);
        Rendered { status, headers, entity }
    }
}

/// Makes an answer of a result.
pub fn render(extension: Extension, result: &RawValue) -> Result<Rendered, Unfit> {
    let entity = match extension {
        Extension::Http => return http(result).ok_or(Unfit::Media("message/http"))?,
        Extension::Json if json::shape(result) == Shape::Scalar => {
            return Err(Unfit::Media("application/json"));
        }
        Extension::Json => Entity::json(MediaType::new("application", "json"), result),
        Extension::Html => {
            Entity::text("text", "html", projected(result, "html").ok_or(Unfit::Media("text/html"))?)
        }
        Extension::Svg => {
            Entity::text("image", "svg+xml", projected(result, "svg").ok_or(Unfit::Media("image/svg+xml"))?)
        }
        Extension::Text => Entity::text("text", "plain", text(result)?),
    };
    Ok(entity.with_status(200, Vec::new()))
}

/// The member `body`, or else that of the extension's name; a result that is no object stands for itself.
fn projection<'a>(result: &'a RawValue, name: &str) -> Option<&'a RawValue> {
    if json::shape(result) != Shape::Object {
        return Some(result);
    }
    json::member(result, "body").or_else(|| json::member(result, name))
}

fn projected(result: &RawValue, name: &str) -> Option<String> {
    serde_json::from_str(projection(result, name)?.get()).ok()
}

fn text(result: &RawValue) -> Result<String, Unfit> {
    let value = projection(result, "text").ok_or(Unfit::NoProperty)?;
    match json::shape(value) {
        Shape::Object | Shape::Array => Ok(pretty(value.get())),
        Shape::Scalar if value.get().starts_with('"') => {
            serde_json::from_str(value.get()).map_err(|_| Unfit::Media("text/plain"))
        }
        Shape::Scalar => Ok(value.get().to_owned()),
    }
}

/// `None` if the result has not the form that it needs.
fn http(result: &RawValue) -> Option<Result<Rendered, Unfit>> {
    let members = Members::of(result).ok()?;
    let status = match (members.get("statusCode"), members.contains("statusCode")) {
        (Some(status), _) => Some(parse_status(status)?),
        (None, true) => return None,
        (None, false) => None,
    };
    let mut headers = match (members.get("headers"), members.contains("headers")) {
        (Some(headers), _) => parse_headers(headers)?,
        (None, true) => return None,
        (None, false) => Vec::new(),
    };
    let given = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let given = given.map(|(_, value)| value.clone());
    headers.retain(|(name, _)| !OWN_HEADERS.iter().any(|own| name.eq_ignore_ascii_case(own)));
    let body = match members.get("body") {
        Some(body) if body.get() != "\"\"" => body,
        _ => return Some(Ok(Rendered { status: status.unwrap_or(204), headers, entity: None })),
    };
    let entity = if body.get().starts_with('"') {
        let text: String = serde_json::from_str(body.get()).ok()?;
        of_text(given.as_deref(), text)
    } else {
        of_json(given.as_deref(), body)
    };
    Some(entity.map(|entity| entity.with_status(status.unwrap_or(200), headers)))
}

fn parse_type(given: Option<&str>, main: &str, sub: &str) -> Result<MediaType, Unfit> {
    match given {
        None => Ok(MediaType::new(main, sub)),
        Some(given) => MediaType::parse(given).ok_or(Unfit::UnknownType),
    }
}

fn of_text(given: Option<&str>, text: String) -> Result<Entity, Unfit> {
    let media = parse_type(given, "text", "html")?;
    let charset = media.charset();
    let body = if charset == Charset::Binary || media.is_json() && is_binary_code(&text) {
        BASE64.decode(&text).map_err(|_| Unfit::OtherType)?
    } else {
        text.into_bytes()
    };
    Ok(Entity::new(media, charset, body))
}

fn of_json(given: Option<&str>, body: &RawValue) -> Result<Entity, Unfit> {
    // What is no type is no JSON type either, here.
    match parse_type(given, "application", "json") {
        Ok(media) if media.is_json() => Ok(Entity::json(media, body)),
        _ => Err(Unfit::OtherType),
    }
}

/// A whole number, also as a text.
fn parse_status(status: &RawValue) -> Option<u16> {
    let code = match serde_json::from_str(status.get()).ok()? {
        Value::Number(number) => match number.as_i64() {
            Some(code) => code,
            None => number.as_f64().filter(|code| code.fract() == 0.0 && code.abs() < 1e6)? as i64,
        },
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    u16::try_from(code).ok().filter(|code| (200..600).contains(code))
}

fn parse_headers(headers: &RawValue) -> Option<Vec<(String, String)>> {
    let Value::Object(headers) = serde_json::from_str(headers.get()).ok()? else { return None };
    let mut parsed = Vec::new();
    for (name, value) in &headers {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        if name.is_empty() || !name.bytes().all(is_token) {
            return None;
        }
        push_values(&mut parsed, name, value)?;
    }
    Some(parsed)
}

fn push_values(parsed: &mut Vec<(String, String)>, name: &str, value: &Value) -> Option<()> {
    let text: Cow<'_, str> = match value {
        Value::String(text) => text.into(),
        Value::Bool(flag) => flag.to_string().into(),
        Value::Number(number) => number.to_string().into(),
        Value::Array(values) => return values.iter().try_for_each(|value| push_values(parsed, name, value)),
        Value::Null | Value::Object(_) => return None,
    };
    // A line break would begin another header, or the body.
    if text.chars().any(|c| c.is_ascii_control() && c != '\t') {
        return None;
    }
    parsed.push((name.to_owned(), text.into_owned()));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn rendered(extension: Extension, result: &Value) -> Result<Rendered, Unfit> {
        render(extension, &json::raw(result))
    }

    /// Status, content type and body.
    fn shown(extension: Extension, result: &Value) -> Result<(u16, String, String), Unfit> {
        let Rendered { status, entity, .. } = rendered(extension, result)?;
        let entity = entity.unwrap_or_else(|| panic!("{result} has a body"));
        Ok((status, entity.content_type, String::from_utf8_lossy(&entity.body).into_owned()))
    }

    fn answer(status: u16, content_type: &str, body: &str) -> Result<(u16, String, String), Unfit> {
        Ok((status, content_type.to_owned(), body.to_owned()))
    }

    #[test]
    fn extensions_have_projections() {
        const HTML: &str = "text/html; charset=UTF-8";
        const TEXT: &str = "text/plain; charset=UTF-8";
        for (extension, result, expected) in [
            (Extension::Json, json!({"a": "b"}), answer(200, "application/json", "{\n  \"a\": \"b\"\n}")),
            (Extension::Json, json!([1, 2]), answer(200, "application/json", "[1, 2]")),
            (Extension::Json, json!("bad"), Err(Unfit::Media("application/json"))),
            (Extension::Html, json!({"html": "<p>"}), answer(200, HTML, "<p>")),
            (Extension::Html, json!({"html": "x", "body": "<p>"}), answer(200, HTML, "<p>")),
            (Extension::Html, json!("<p>"), answer(200, HTML, "<p>")),
            (Extension::Html, json!({"html": 1}), Err(Unfit::Media("text/html"))),
            (Extension::Html, json!({}), Err(Unfit::Media("text/html"))),
            (Extension::Svg, json!({"svg": "<svg/>"}), answer(200, "image/svg+xml", "<svg/>")),
            (Extension::Svg, json!({"svg": null}), Err(Unfit::Media("image/svg+xml"))),
            (Extension::Text, json!({"text": "t\n"}), answer(200, TEXT, "t\n")),
            (Extension::Text, json!({"body": {"a": 1}}), answer(200, TEXT, "{\n  \"a\": 1\n}")),
            (Extension::Text, json!({"body": true}), answer(200, TEXT, "true")),
            (Extension::Text, json!({"body": null, "text": "x"}), answer(200, TEXT, "null")),
            (Extension::Text, json!([1]), answer(200, TEXT, "[1]")),
            (Extension::Text, json!({"a": 1}), Err(Unfit::NoProperty)),
        ] {
            assert_eq!(shown(extension, &result), expected, "{extension:?} {result}");
        }
    }

    #[test]
    fn bodies_agree_with_their_type() {
        let typed = |kind: &str, body: Value| {
            shown(Extension::Http, &json!({ "headers": { "Content-Type": kind }, "body": body }))
        };
        let plain = |body: Value| shown(Extension::Http, &json!({ "body": body }));
        let object = json!({"a": 1});
        let printed = "{\n  \"a\": 1\n}";
        assert_eq!(plain(json!("hi")), answer(200, "text/html; charset=UTF-8", "hi"));
        assert_eq!(plain(object.clone()), answer(200, "application/json", printed));
        assert_eq!(plain(json!(3)), answer(200, "application/json", "3"));
        for kind in ["application/json", "application/json; charset=utf-8"] {
            assert_eq!(typed(kind, json!("hello world")), answer(200, "application/json", "hello world"));
            assert_eq!(typed(kind, json!("{\"a\":1}")), answer(200, "application/json", "{\"a\":1}"));
            assert_eq!(typed(kind, object.clone()), answer(200, "application/json", printed));
        }
        assert_eq!(
            typed("application/json-patch+json", json!("e30=")),
            answer(200, "application/json-patch+json", "{}")
        );
        assert_eq!(
            typed("application/hal+json", object.clone()),
            answer(200, "application/hal+json", printed)
        );
        assert_eq!(typed("application/hal+json", json!("{\"a\":1}")), Err(Unfit::OtherType));
        assert_eq!(typed("image/png", json!("aGk=")), answer(200, "image/png", "hi"));
        assert_eq!(typed("image/png", json!("aGk")), answer(200, "image/png", "hi"));
        assert_eq!(typed("image/svg+xml", json!("<svg/>")), Err(Unfit::OtherType));
        assert_eq!(
            typed("text/css; charset=latin1", json!("p{}")),
            answer(200, "text/css; charset=UTF-8", "p{}")
        );
        assert_eq!(typed("xyzbar", json!("hi")), Err(Unfit::UnknownType));
        for kind in ["text/html", "xyzbar"] {
            assert_eq!(typed(kind, object.clone()), Err(Unfit::OtherType));
        }
    }

    #[test]
    fn without_a_body_there_is_no_content() {
        let empty = |status, headers: &[(&str, &str)]| {
            let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Ok(Rendered { status, headers: headers.collect(), entity: None })
        };
        for result in [json!({}), json!({"body": ""}), json!({"body": null}), json!({"other": 1})] {
            assert_eq!(rendered(Extension::Http, &result), empty(204, &[]), "{result}");
        }
        let typed = json!({
            "statusCode": 201, "headers": { "content-type": "nonsense", "Set-Cookie": "a=b", "Content-Length": 7 }
        });
        assert_eq!(rendered(Extension::Http, &typed), empty(201, &[("Set-Cookie", "a=b")]));
        for status in [204, 304] {
            let refused = json!({ "statusCode": status, "body": "x" });
            assert_eq!(rendered(Extension::Http, &refused), empty(status, &[]));
        }
    }

    #[test]
    fn statuses_are_whole_numbers() {
        for (given, status) in [
            (json!(302), Some(302)),
            (json!(444), Some(444)),
            (json!(599), Some(599)),
            (json!(200.0), Some(200)),
            (json!("404"), Some(404)),
            (json!("xyz"), None),
            (json!(" 200"), None),
            (json!(200.5), None),
            (json!(true), None),
            (json!(null), None),
            (json!(600), None),
            (json!(-200), None),
            (json!(101), None),
            (json!(1e300), None),
        ] {
            let found = rendered(Extension::Http, &json!({ "statusCode": given }));
            match status {
                Some(status) => assert_eq!(found.map(|found| found.status), Ok(status), "{given}"),
                None => assert_eq!(found, Err(Unfit::Media("message/http")), "{given}"),
            }
        }
    }

    #[test]
    fn headers_are_texts_numbers_flags_and_lists_of_them() {
        let headers =
            |headers: Value| rendered(Extension::Http, &json!({ "headers": headers })).map(|r| r.headers);
        let expected =
            [("Set-Cookie", "a=b"), ("Set-Cookie", "c=d; Path = /"), ("x-n", "1"), ("x-t", "true")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let given = json!({ "Set-Cookie": ["a=b", "c=d; Path = /"], "x-n": 1, "x-t": [[true]] });
        assert_eq!(headers(given), Ok(expected));
        for bad in [
            json!("x"),
            json!(null),
            json!({ "a": null }),
            json!({ "a": {} }),
            json!({ "a b": "c" }),
            json!({ "": "c" }),
            json!({ "a": "c\r\nd: e" }),
        ] {
            assert_eq!(headers(bad.clone()), Err(Unfit::Media("message/http")), "{bad}");
        }
        for bad in [json!([1]), json!("x"), json!(null)] {
            assert_eq!(rendered(Extension::Http, &bad), Err(Unfit::Media("message/http")), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_result_is_judged(
            status in prop_oneof![any::<i64>().prop_map(Value::from), any::<f64>().prop_map(Value::from), "\\PC{0,5}".prop_map(Value::from)],
            name in "[a-zA-Z-]{0,12}|\\PC{0,4}",
            value in "\\PC{0,12}",
            kind in "[a-z/+;=\" ]{0,16}",
            body in "\\PC{0,12}",
        ) {
            let result = json!({
                "statusCode": status, "headers": { name: value, "content-type": kind }, "body": body, "text": body
            });
            for extension in [Extension::Http, Extension::Json, Extension::Html, Extension::Svg, Extension::Text] {
                let _ = rendered(extension, &result);
                let _ = rendered(extension, &json!(body));
            }
        }
    }
}
