//! What a web action is given: the request as `__ow_…`, and what the query and the body carry.
//!
//! Query parameters and the members of a body are arguments, the body's over the query's; neither may have
//! a reserved or an immutable name. A raw action gets both as they are. Whatever a client sends, only what
//! is known here becomes `__ow_…`. Bodies that are JSON pass as text.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::entity::json::{self, Shape};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::media::{Charset, MediaType};
use crate::entities::members::{Malformed, parse_value};

const METHOD: &str = "__ow_method";
const HEADERS: &str = "__ow_headers";
const PATH: &str = "__ow_path";
const USER: &str = "__ow_user";
const QUERY: &str = "__ow_query";
const BODY: &str = "__ow_body";
const RESERVED: [&str; 6] = [METHOD, HEADERS, PATH, USER, QUERY, BODY];

/// The type of a body that comes without one.
const UNTYPED: &str = "application/octet-stream";

/// These are about the connection, not about the request.
const UNSEEN: [&str; 2] = ["content-length", "transfer-encoding"];

/// A request, as far as an action sees it.
#[derive(Debug)]
pub struct Context<'a> {
    /// The verb.
    pub method: &'a str,
    /// Names in small letters and values; of duplicates the last counts.
    pub headers: Vec<(&'a str, Cow<'a, str>)>,
    /// What follows the action's name.
    pub path: &'a str,
    /// As it was sent, without the question mark.
    pub query: &'a str,
    /// The namespace of who has signed in.
    pub user: Option<&'a str>,
    /// The whole body.
    pub body: &'a [u8],
}

/// Why a request is not passed on.
#[derive(Debug, PartialEq, Eq)]
pub enum Refused {
    /// The query or the body is not what it should be.
    Malformed(Malformed),
    /// It sets a name that it may not.
    NotAllowed,
}

impl From<Malformed> for Refused {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

/// What a body is to an action that is not raw.
enum Content<'a> {
    Nothing,
    /// An object, and the names of its members.
    Members(&'a RawValue, HashSet<String>),
    /// A form.
    Fields(Vec<(String, String)>),
    /// Any other value, as JSON.
    Value(Cow<'a, RawValue>),
}

impl Context<'_> {
    /// The arguments of an action, as one object. `is_fixed` says of a name whether it is immutable.
    pub fn arguments(&self, is_fixed: impl Fn(&str) -> bool) -> Result<Box<RawValue>, Refused> {
        let query =
            pairs(self.query).ok_or_else(|| Malformed::new("The request's query string is invalid."))?;
        let content = self.content()?;
        let allowed = |name: &str| !RESERVED.contains(&name) && !is_fixed(name);
        let body_allowed = match &content {
            Content::Members(_, names) => names.iter().all(|name| allowed(name)),
            Content::Fields(fields) => fields.iter().all(|(name, _)| allowed(name)),
            Content::Nothing | Content::Value(_) => true,
        };
        if !body_allowed || !query.iter().all(|(name, _)| allowed(name)) {
            return Err(Refused::NotAllowed);
        }
        let mut arguments = Object::new();
        match content {
            Content::Nothing => arguments.texts(query, &HashSet::new()),
            Content::Members(members, names) => {
                arguments.texts(query, &names);
                arguments.members(members, !names.is_empty());
            }
            // The last of a name counts, so that of the form.
            Content::Fields(fields) => {
                arguments.texts(query.into_iter().chain(fields).collect(), &HashSet::new())
            }
            Content::Value(value) => {
                arguments.texts(query, &HashSet::new());
                arguments.member(BODY, &*value);
            }
        }
        Ok(self.with_request(arguments))
    }

    /// The arguments of a raw action, as one object.
    pub fn raw_arguments(&self) -> Box<RawValue> {
        let mut arguments = Object::new();
        arguments.member(QUERY, self.query);
        let media = self.media();
        let is_encoded = media.is_plain_json() || media.charset() == Charset::Binary;
        arguments
            .member(BODY, &*if is_encoded { Cow::Owned(STANDARD.encode(self.body)) } else { self.text() });
        self.with_request(arguments)
    }

    /// Last, so that nothing that was sent stands over it.
    fn with_request(&self, mut arguments: Object) -> Box<RawValue> {
        arguments.member(METHOD, &self.method.to_ascii_lowercase());
        arguments.member(HEADERS, &self.seen_headers());
        arguments.member(PATH, self.path);
        if let Some(user) = self.user {
            arguments.member(USER, user);
        }
        arguments.finish()
    }

    fn seen_headers(&self) -> HashMap<&str, &str> {
        let seen = self.headers.iter().filter(|(name, _)| !UNSEEN.contains(name));
        let mut seen: HashMap<&str, &str> = seen.map(|(name, value)| (*name, value.as_ref())).collect();
        if !self.body.is_empty() {
            seen.entry("content-type").or_insert(UNTYPED);
        }
        seen
    }

    fn content_type(&self) -> Option<&str> {
        let given = self.headers.iter().rev().find(|(name, _)| *name == "content-type");
        given.map(|(_, value)| value.as_ref())
    }

    fn media(&self) -> MediaType {
        let given = self.content_type().and_then(MediaType::parse);
        given.unwrap_or_else(|| MediaType::new("application", "octet-stream"))
    }

    fn text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(self.body)
    }

    fn content(&self) -> Result<Content<'_>, Malformed> {
        if self.body.is_empty() && self.content_type().is_none() {
            return Ok(Content::Nothing);
        }
        let media = self.media();
        if media.is_json() {
            return if self.body.is_empty() { Ok(Content::Nothing) } else { members(self.body) };
        }
        if media.is_form() {
            let fields = pairs(&self.text()).ok_or_else(|| Malformed::new("The form is invalid."))?;
            return Ok(Content::Fields(fields));
        }
        let value = match media.charset() {
            Charset::Binary => json::raw(&STANDARD.encode(self.body)),
            Charset::Fixed | Charset::Open => json::raw(&*self.text()),
        };
        Ok(Content::Value(Cow::Owned(value)))
    }
}

fn members(body: &[u8]) -> Result<Content<'_>, Malformed> {
    let value = parse_value(body)?;
    if json::shape(value) != Shape::Object {
        return Ok(Content::Value(Cow::Borrowed(value)));
    }
    // A name that is no text could hide others from whoever looks for them.
    let names: HashMap<String, IgnoredAny> = serde_json::from_str(value.get())?;
    Ok(Content::Members(value, names.into_keys().collect()))
}

/// Names and values of a query or a form; `None` if an escape is broken.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pairs = text.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?, decode(value)?))
        })
        .collect()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        bytes.push(match first {
            b'+' => b' ',
            b'%' => {
                let [high, low, tail @ ..] = tail else { return None };
                let digit = |b: &u8| char::from(*b).to_digit(16);
                rest = tail;
                u8::try_from(digit(high)? * 16 + digit(low)?).ok()?
            }
            other => *other,
        });
    }
    Some(
        String::from_utf8(bytes)
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()),
    )
}

/// An object that is being written.
struct Object(String);

impl Object {
    fn new() -> Self {
        Self("{".to_owned())
    }

    fn separate(&mut self) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
    }

    fn member<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) {
        self.separate();
        self.0.push_str(json::raw(name).get());
        self.0.push(':');
        self.0.push_str(json::raw(value).get());
    }

    /// Texts, but not those of these names; of duplicates the last counts.
    fn texts(&mut self, pairs: Vec<(String, String)>, but: &HashSet<String>) {
        let pairs: HashMap<String, String> = pairs.into_iter().collect();
        for (name, value) in pairs.iter().filter(|(name, _)| !but.contains(*name)) {
            self.member(name, value);
        }
    }

    /// The members of an object, as they are written.
    fn members(&mut self, object: &RawValue, are_there_any: bool) {
        let text = object.get();
        if are_there_any {
            self.separate();
            self.0.push_str(&text[1..text.len() - 1]);
        }
    }

    fn finish(mut self) -> Box<RawValue> {
        self.0.push('}');
        RawValue::from_string(self.0).expect("members of objects make an object")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn request<'a>(query: &'a str, content_type: Option<&'a str>, body: &'a [u8]) -> Context<'a> {
        let headers = content_type.map(|value| ("content-type", Cow::Borrowed(value))).into_iter().collect();
        Context { method: "POST", headers, path: "", query, user: None, body }
    }

    fn given(query: &str, content_type: &str, body: &str) -> Result<Value, Refused> {
        let context = request(query, Some(content_type), body.as_bytes());
        let arguments = context.arguments(|name| name == "fixed")?;
        let mut arguments: Value = serde_json::from_str(arguments.get()).unwrap();
        let members = arguments.as_object_mut().unwrap();
        assert_eq!(members.remove(METHOD), Some(json!("post")));
        assert_eq!(members.remove(PATH), Some(json!("")));
        assert_eq!(members.remove(HEADERS), Some(json!({ "content-type": content_type })));
        Ok(arguments)
    }

    #[test]
    fn the_request_is_told() {
        let mut context = request("", None, b"");
        context.headers = vec![("x-a", "1".into()), ("content-length", "0".into()), ("x-a", "2".into())];
        (context.method, context.path, context.user) = ("PATCH", "/a%20b", Some("guest"));
        let told: Value = serde_json::from_str(context.arguments(|_| false).unwrap().get()).unwrap();
        let expected = json!({
            "__ow_method": "patch", "__ow_headers": { "x-a": "2" }, "__ow_path": "/a%20b", "__ow_user": "guest"
        });
        assert_eq!(told, expected);
    }

    #[test]
    fn bodies_are_arguments_by_their_type() {
        const JSON: &str = "application/json";
        const FORM: &str = "application/x-www-form-urlencoded";
        for (query, content_type, body, expected) in [
            ("a=b&c=d&a=e", JSON, "", json!({"a": "e", "c": "d"})),
            ("a=b&c=d", JSON, r#"{"c": 1.0, "e": {}}"#, json!({"a": "b", "c": 1.0, "e": {}})),
            ("a=b", JSON, " { } ", json!({"a": "b"})),
            ("", "application/cloudevents+json; charset=UTF-8", r#"{"a":[]}"#, json!({"a": []})),
            ("", JSON, r#"[1,"str",false]"#, json!({"__ow_body": [1, "str", false]})),
            ("", JSON, "null", json!({"__ow_body": null})),
            ("a=b", JSON, "\"s\"", json!({"a": "b", "__ow_body": "s"})),
            ("a=b&x=%C3%BC+%2B", FORM, "a=c&n&=&x=y%20z", json!({"a": "c", "n": "", "": "", "x": "y z"})),
            ("", FORM, "", json!({})),
            ("", "text/html", "1,2,3", json!({"__ow_body": "1,2,3"})),
            ("", "text/plain; charset=utf-8", "", json!({"__ow_body": ""})),
            ("", "image/png", "\u{1}", json!({"__ow_body": "AQ=="})),
            ("", "nonsense", "\u{1}", json!({"__ow_body": "AQ=="})),
        ] {
            assert_eq!(given(query, content_type, body), Ok(expected), "{query} {content_type} {body}");
        }
        let untyped = request("", None, b"\x01").arguments(|_| false).unwrap();
        let untyped: Value = serde_json::from_str(untyped.get()).unwrap();
        assert_eq!((&untyped[BODY], &untyped[HEADERS]["content-type"]), (&json!("AQ=="), &json!(UNTYPED)));
    }

    #[test]
    fn what_is_reserved_or_fixed_is_nobodys_to_set() {
        for name in RESERVED.into_iter().chain(["fixed"]) {
            let json = json!({ name: 1 }).to_string();
            for (query, content_type, body) in [
                (format!("{name}=x"), "application/json", "{}"),
                (format!("%5F{}", &name[1..]), "application/json", "").clone(),
                (String::new(), "application/json", json.as_str()),
                (String::new(), "application/x-www-form-urlencoded", &format!("{name}=x")),
            ] {
                if query.starts_with("%5F") && name == "fixed" {
                    continue;
                }
                assert_eq!(given(&query, content_type, body), Err(Refused::NotAllowed), "{query} {body}");
            }
        }
        let escaped = r#"{"\u005f_ow_user":"x"}"#;
        assert_eq!(given("", "application/json", escaped), Err(Refused::NotAllowed));
    }

    #[test]
    fn what_is_malformed_is_told() {
        for (query, content_type, body) in [
            ("a=%", "application/json", ""),
            ("a=%g0", "application/json", ""),
            ("", "application/json", "{"),
            ("", "application/json", r#"{"\ud800":1,"__ow_user":"x"}"#),
            ("", "application/x-www-form-urlencoded", "a=%4"),
        ] {
            let refused = given(query, content_type, body);
            assert!(matches!(refused, Err(Refused::Malformed(_))), "{query} {body}: {refused:?}");
        }
    }

    #[test]
    fn a_raw_action_gets_query_and_body_as_they_are() {
        for (query, content_type, body, expected) in [
            ("", None, &b""[..], ""),
            ("fixed=1&__ow_user=x", Some("text/plain"), b"a=%", "a=%"),
            ("", Some("application/json"), b"{\"a\":1}", "eyJhIjoxfQ=="),
            ("", Some("application/problem+json"), b"{}", "{}"),
            ("", Some("application/hal+json"), b"{}", "e30="),
            ("", Some("application/x-www-form-urlencoded"), b"a=b", "a=b"),
        ] {
            let raw = request(query, content_type, body).raw_arguments();
            let raw: Value = serde_json::from_str(raw.get()).unwrap();
            assert_eq!((&raw[QUERY], &raw[BODY]), (&json!(query), &json!(expected)), "{content_type:?}");
            assert!(raw.get(USER).is_none());
        }
    }

    proptest! {
        #[test]
        fn any_request_is_judged_and_forges_nothing(
            query in "\\PC{0,30}",
            marks in "[_owusermthdn=&%5Ff+]{0,24}",
            kind in prop::sample::select(vec![
                "application/json", "application/x-www-form-urlencoded", "text/plain", "image/png", "?",
            ]),
            body in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            for query in [&query, &marks] {
                for body in [&body[..], marks.as_bytes()] {
                    let mut context = request(query, Some(kind), body);
                    context.user = Some("me");
                    if let Ok(arguments) = context.arguments(|_| false) {
                        let arguments: Value = serde_json::from_str(arguments.get()).unwrap();
                        prop_assert_eq!(&arguments[USER], "me");
                    }
                    let raw: Value = serde_json::from_str(context.raw_arguments().get()).unwrap();
                    prop_assert_eq!(&raw[USER], "me");
                }
            }
        }
    }
}
