//! How a request reaches a web action: paths, verbs, and what becomes of query and body.

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::place::unique;
use tests::whisk::Whisk;

use crate::web::{INVOKING, METHOD, export, export_with, exported, refused};

const NOT_THERE: &str = "The requested resource does not exist.";
const NOT_ALLOWED: &str = "Request defines parameters that are not allowed (e.g., reserved properties).";
const RESERVED: [&str; 6] =
    ["__ow_method", "__ow_headers", "__ow_path", "__ow_user", "__ow_query", "__ow_body"];

#[tokio::test]
async fn case_375_only_what_is_exported_is_there() {
    let me = Whisk::shared().await.namespace().await;
    for annotations in [json!([]), json!([{ "key": "web-export", "value": "true" }])] {
        let mut body = fixtures::js(ECHO);
        body["annotations"] = annotations;
        let name = me.create("hidden", &body).await;
        let answer = me.get(format!("/api/v1/web/{}/default/{name}.json", me.name)).await;
        refused(answer, 404, NOT_THERE);
    }
    let path = export(&me, ECHO).await;
    me.get(format!("{path}.json")).await.expect(200);
    me.get(format!("{path}.json")).anonymous().await.expect(200);
}

#[tokio::test]
async fn case_376_what_is_not_there_looks_like_what_is_hidden() {
    let me = Whisk::shared().await.namespace().await;
    let missing = unique("missing");
    let paths = [
        format!("/api/v1/web/{missing}/p/a.json"),
        format!("/api/v1/web/{}/{missing}/a.json", me.name),
        format!("/api/v1/web/{}/default/{missing}.json", me.name),
        "/api/v1/web/_/default/a".to_owned(),
    ];
    for path in &paths {
        for method in INVOKING.into_iter().chain([Method::OPTIONS]) {
            let answer = me.request(method.clone(), path).anonymous().await.expect(404);
            if method != Method::HEAD {
                refused(answer, 404, NOT_THERE);
            }
        }
    }
}

#[tokio::test]
async fn cases_377_378_a_path_has_three_parts() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, ECHO).await;
    me.get(format!("{path}.json")).await.expect(200);
    for path in ["a", "p", "", "p/"] {
        let path = format!("/api/v1/web/{}/{path}", me.name);
        me.get(&path).await.expect(404);
        me.get(&path).anonymous().await.expect_any(&[401, 404]);
    }
}

#[tokio::test]
async fn case_379_every_verb_invokes() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, METHOD).await;
    for method in INVOKING {
        let answer = me.request(method.clone(), &path).anonymous().await.expect(204);
        assert_eq!(answer.header("x-method"), Some(method.as_str().to_ascii_lowercase().as_str()));
    }
    me.request(Method::TRACE, &path).await.expect_any(&[404, 405]);
}

#[tokio::test]
async fn case_380_a_query_is_arguments() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, ECHO).await;
    let answer = me.get(format!("{path}.json?a=b&c=d&a=%C3%BC+x")).anonymous().header("X-Mine", "1").await;
    let mut given = answer.expect(200).json();
    assert_eq!(given["__ow_headers"]["x-mine"], "1");
    assert!(given["__ow_headers"].get("content-type").is_none() && given["__ow_headers"]["host"].is_string());
    given.as_object_mut().expect("arguments are an object").remove("__ow_headers");
    assert_eq!(given, json!({ "a": "ü x", "c": "d", "__ow_method": "get", "__ow_path": "" }));
    for rest in ["/", "/content", "/a%20b/c"] {
        let given = me.get(format!("{path}.json{rest}")).await.expect(200).json();
        assert_eq!(given["__ow_path"], rest);
    }
    let answer = me.get(format!("{path}.json?a=%")).await;
    refused(answer, 400, "The request content was malformed:\nThe request's query string is invalid.");
}

#[tokio::test]
async fn case_382_who_has_signed_in_is_told() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let path = format!("{}.json", export(&me, ECHO).await);
    assert_eq!(me.get(&path).await.expect(200).json()["__ow_user"], json!(me.name));
    if let Some(other) = whisk.other(382).await {
        assert_eq!(other.get(&path).await.expect(200).json()["__ow_user"], json!(other.name));
    }
    let wrong = tests::client::basic(&format!("uuid:{}", "k".repeat(64)));
    for call in [
        me.get(&path).anonymous(),
        me.get(&path).authorization(&wrong),
        me.get(&path).authorization("Bearer x"),
    ] {
        let given = call.await.expect(200).json();
        assert!(given.get("__ow_user").is_none(), "{given}");
    }
}

#[tokio::test]
async fn cases_383_384_385_386_a_json_body_is_arguments() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("{}.json", export(&me, ECHO).await);
    let given = me.post(&path, &json!({ "a": 1, "b": { "c": [true] } })).await.expect(200).json();
    assert_eq!((&given["a"], &given["b"]), (&json!(1), &json!({ "c": [true] })));
    assert_eq!(given["__ow_headers"]["content-type"], "application/json");
    let query = format!("{path}?a=query&c=d");
    let given = me.post(&query, &json!({ "a": "body", "e": "f" })).await.expect(200).json();
    assert_eq!((&given["a"], &given["c"], &given["e"]), (&json!("body"), &json!("d"), &json!("f")));
    for value in [json!([1, "str", false]), json!("s"), json!(true), json!(99), Value::Null] {
        let given = me.post(&path, &value).await.expect(200).json();
        assert_eq!(given.get("__ow_body"), Some(&value));
    }
    let empty = me.request(Method::POST, &path).body("application/json", "").await.expect(200).json();
    assert!(empty.get("__ow_body").is_none(), "{empty}");
    let answer = me.request(Method::POST, &path).body("application/json", "{").await.expect(400);
    answer.error_contains("The request content was malformed:\n");
}

#[tokio::test]
async fn cases_387_388_390_other_bodies() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("{}.json", export(&me, ECHO).await);
    let post = |kind: &'static str, body: &'static [u8]| {
        let call = me.request(Method::POST, &path).body(kind, body);
        async move { call.await.expect(200).json() }
    };
    let form = post("application/x-www-form-urlencoded", b"field1=value1&field2=value2").await;
    assert_eq!((&form["field1"], &form["field2"]), (&json!("value1"), &json!("value2")));
    assert_eq!(post("text/html", b"1,2,3").await["__ow_body"], "1,2,3");
    assert_eq!(post("application/octet-stream", b"\x00\xff").await["__ow_body"], "AP8=");
    let event = post("application/cloudevents+json", br#"{"id":"7"}"#).await;
    assert_eq!((&event["id"], event.get("__ow_body")), (&json!("7"), None));
}

#[tokio::test]
async fn case_391_nobody_sets_what_is_reserved() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("{}.json", export(&me, ECHO).await);
    for name in RESERVED {
        refused(me.get(format!("{path}?{name}=x")).await, 400, NOT_ALLOWED);
        refused(me.post(&path, &json!({ name: "x" })).await, 400, NOT_ALLOWED);
        let form =
            me.request(Method::POST, &path).body("application/x-www-form-urlencoded", format!("{name}=x"));
        refused(form.await, 400, NOT_ALLOWED);
    }
    let given = me.get(&path).header("__ow_user", "x").anonymous().await.expect(200).json();
    assert!(given.get("__ow_user").is_none(), "a header is a header: {given}");
}

#[tokio::test]
async fn case_392_nobody_sets_what_is_final() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = exported(ECHO, &[("final", json!(true))]);
    body["parameters"] = json!([{ "key": "y", "value": "Y" }, { "key": "empty", "value": null }]);
    let name = me.create("final", &body).await;
    let path = format!("/api/v1/web/{}/default/{name}.json", me.name);
    refused(me.get(format!("{path}?y=z")).await, 400, NOT_ALLOWED);
    refused(me.post(&path, &json!({ "y": "z" })).await, 400, NOT_ALLOWED);
    let given = me.get(format!("{path}?empty=z")).await.expect(200).json();
    assert_eq!((&given["y"], &given["empty"]), (&json!("Y"), &json!("z")));
    let raw = exported(ECHO, &[("final", json!(true)), ("raw-http", json!(true))]);
    let name = me.create("raw", &raw).await;
    let path = format!("/api/v1/web/{}/default/{name}.json", me.name);
    let given = me.get(format!("{path}?y=z&__ow_user=x")).await.expect(200).json();
    assert_eq!(given["__ow_query"], "y=z&__ow_user=x", "a raw action judges for itself");
}

#[tokio::test]
async fn cases_398_399_raw_actions() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("{}.json", export_with(&me, ECHO, &[("raw-http", json!(true))]).await);
    let given = me.get(&path).await.expect(200).json();
    assert_eq!((&given["__ow_query"], &given["__ow_body"]), (&json!(""), &json!("")));
    let query = format!("{path}?a=b");
    let call = me.request(Method::POST, &query).body("application/json", "{\"x\": 1}");
    let given = call.await.expect(200).json();
    assert_eq!((&given["__ow_query"], &given["__ow_body"]), (&json!("a=b"), &json!("eyJ4IjogMX0=")));
    assert!(given.get("a").is_none() && given.get("x").is_none());
    let given = me.request(Method::POST, &path).body("text/plain", "x=1").await.expect(200).json();
    assert_eq!(given["__ow_body"], "x=1");
}

#[tokio::test]
async fn case_419_an_unknown_extension_is_part_of_the_name() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, ECHO).await;
    for rest in [".xyz", ".xyz/", ".xyz/content", ".xyzz", ".JSON"] {
        refused(me.get(format!("{path}{rest}")).await, 404, NOT_THERE);
    }
    let name = unique("dotted.v1");
    me.put(format!("actions/{name}"), &exported(METHOD, &[])).await.expect(200);
    me.get(format!("/api/v1/web/{}/default/{name}", me.name)).await.expect(204);
}

#[tokio::test]
async fn case_441_extra_logging_is_for_us_alone() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("{}.json", export(&me, ECHO).await);
    let given = me.get(&path).header("X-OW-EXTRA-LOGGING", "on").await.expect(200).json();
    assert!(given["__ow_headers"].get("x-ow-extra-logging").is_none(), "{given}");
}
