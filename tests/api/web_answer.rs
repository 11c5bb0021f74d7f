//! How the result of a web action becomes an answer.

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::fixtures::{ARRAY, SLEEP, THROW};
use tests::namespace::Namespace;
use tests::server::Options;
use tests::whisk::Whisk;

use crate::web::{FAIL, METHOD, RETURN, export, refused, returning};

const NO_HTTP: &str = "Response is not valid 'message/http'.";
const OTHER_TYPE: &str = "Response type in header did not match generated content type.";
const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// An action that returns what it is told to.
async fn world() -> (Namespace, String) {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, RETURN).await;
    (me, path)
}

#[track_caller]
fn content_type(answer: &Answer) -> &str {
    answer.header("content-type").unwrap_or_default()
}

/// Demands an answer without content.
#[track_caller]
fn empty(answer: &Answer) {
    assert!(answer.body.is_empty() && answer.header("content-type").is_none(), "{}", answer.story());
    assert!(answer.header("x-openwhisk-activation-id").is_some(), "{}", answer.story());
}

#[tokio::test]
async fn case_400_json() {
    let (me, path) = world().await;
    let path = format!("{path}.json");
    let answer = returning(&me, &path, &json!({ "foobar": "foobar" })).await.expect(200);
    assert_eq!(answer.text(), "{\n  \"foobar\": \"foobar\"\n}");
    assert_eq!(content_type(&answer), "application/json");
    let array = format!("{}.json", export(&me, ARRAY).await);
    assert_eq!(me.get(&array).await.expect(200).json(), json!(["a", "b"]));
}

#[tokio::test]
async fn cases_401_402_status_and_headers() {
    let (me, path) = world().await;
    for path in [format!("{path}.http"), path.clone()] {
        let result = json!({ "headers": { "location": "http://x" }, "statusCode": 302 });
        let answer = returning(&me, &path, &result).await.expect(302);
        assert_eq!(answer.header("location"), Some("http://x"));
        for (given, status) in [(json!(444), 444), (json!("200"), 200), (json!("404"), 404)] {
            returning(&me, &path, &json!({ "statusCode": given })).await.expect(status);
        }
        for given in [json!("xyz"), json!(200.5), json!(true), json!(99), json!(600), json!(100)] {
            refused(returning(&me, &path, &json!({ "statusCode": given })).await, 400, NO_HTTP);
        }
        let given = json!({ "headers": { "a": { "b": 1 } } });
        refused(returning(&me, &path, &given).await, 400, NO_HTTP);
    }
}

#[tokio::test]
async fn cases_403_404_nothing_to_send() {
    let (me, path) = world().await;
    for result in [json!({}), json!({ "body": "" }), json!({ "body": null })] {
        empty(&returning(&me, &path, &result).await.expect(204));
        empty(&returning(&me, &path, &result).header("Accept", "application/json").await.expect(204));
    }
    let headers = json!({ "content-type": "application/json", "Set-Cookie": "a=b" });
    let result = json!({ "statusCode": 201, "headers": headers });
    let answer = returning(&me, &path, &result).header("Accept", "image/png").await.expect(201);
    empty(&answer);
    assert_eq!(answer.header("set-cookie"), Some("a=b"));
}

#[tokio::test]
async fn cases_406_407_408_409_410_411_412_bodies_and_their_types() {
    let (me, path) = world().await;
    let typed = |kind: Option<&'static str>, body: Value| {
        let headers = kind.map_or_else(|| json!({}), |kind| json!({ "Content-Type": kind }));
        let call = returning(&me, &path, &json!({ "headers": headers, "body": body }));
        async move { call.await }
    };
    let (object, text) = (json!({ "field": "value" }), "{\"field\":\"value\"}");
    const JSON: &str = "application/json";
    for (kind, body, shown) in [
        (Some(JSON), json!(text), JSON),
        (Some(JSON), object.clone(), JSON),
        (None, object.clone(), JSON),
        (Some("application/json-patch+json"), object.clone(), "application/json-patch+json"),
        (
            Some("application/json-patch+json"),
            json!("eyJmaWVsZCI6InZhbHVlIn0="),
            "application/json-patch+json",
        ),
        (Some("application/hal+json"), object.clone(), "application/hal+json"),
    ] {
        let answer = typed(kind, body).await.expect(200);
        assert_eq!((content_type(&answer), answer.json()), (shown, object.clone()), "{kind:?}");
    }
    refused(typed(Some("text/html"), object.clone()).await, 400, OTHER_TYPE);
    let answer = typed(None, json!(3)).await.expect(200);
    assert_eq!((content_type(&answer), answer.text().as_str()), (JSON, "3"));
    let answer = typed(Some("image/png"), json!(PNG)).await.expect(200);
    assert_eq!((content_type(&answer), &answer.body[..4]), ("image/png", &b"\x89PNG"[..]));
    refused(typed(Some("image/png"), json!("no base64")).await, 400, OTHER_TYPE);
    let answer = typed(Some(JSON), json!("hello world")).await.expect(200);
    assert_eq!((content_type(&answer), answer.text().as_str()), (JSON, "hello world"));
    let answer = typed(None, json!("hello")).await.expect(200);
    assert_eq!((content_type(&answer), answer.text().as_str()), ("text/html; charset=UTF-8", "hello"));
    let unknown = "Response did not specify a known content-type.";
    refused(typed(Some("xyzbar"), json!("hello")).await, 400, unknown);
}

#[tokio::test]
async fn case_414_a_header_may_have_several_values() {
    let (me, path) = world().await;
    let result =
        json!({ "headers": { "Set-Cookie": ["a=b", "c=d; Path = /"], "x-flag": true, "x-number": 7 } });
    let answer = returning(&me, &path, &result).await.expect(204);
    let cookies: Vec<_> = answer.headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=b", "c=d; Path = /"]);
    assert_eq!((answer.header("x-flag"), answer.header("x-number")), (Some("true"), Some("7")));
}

#[tokio::test]
async fn case_415_html() {
    let (me, path) = world().await;
    let path = format!("{path}.html");
    for result in [json!({ "html": "<p>" }), json!({ "body": "<p>" })] {
        let answer = returning(&me, &path, &result).await.expect(200);
        assert_eq!((content_type(&answer), answer.text().as_str()), ("text/html; charset=UTF-8", "<p>"));
    }
    refused(returning(&me, &path, &json!({})).await, 400, "Response is not valid 'text/html'.");
}

#[tokio::test]
async fn case_416_svg() {
    let (me, path) = world().await;
    let path = format!("{path}.svg");
    let answer = returning(&me, &path, &json!({ "svg": "<svg/>" })).await.expect(200);
    assert_eq!((content_type(&answer), answer.text().as_str()), ("image/svg+xml", "<svg/>"));
    refused(returning(&me, &path, &json!({})).await, 400, "Response is not valid 'image/svg+xml'.");
}

#[tokio::test]
async fn cases_417_418_text() {
    let (me, path) = world().await;
    let path = format!("{path}.text");
    for (result, text) in [
        (json!({ "text": "t" }), "t"),
        (json!({ "body": { "a": 1 } }), "{\n  \"a\": 1\n}"),
        (json!({ "body": true }), "true"),
        (json!({ "body": 1 }), "1"),
        (json!({ "body": null }), "null"),
    ] {
        let answer = returning(&me, &path, &result).await.expect(200);
        assert_eq!((content_type(&answer), answer.text().as_str()), ("text/plain; charset=UTF-8", text));
    }
    let answer = returning(&me, &path, &json!({ "other": 1 })).await;
    refused(answer, 404, "Response does not include requested property.");
}

#[tokio::test]
async fn case_420_without_an_extension_it_is_http() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, METHOD).await;
    for path in [path.clone(), format!("{path}/rest"), format!("{path}.http")] {
        assert_eq!(me.get(&path).await.expect(204).header("x-method"), Some("get"));
    }
}

#[tokio::test]
async fn cases_422_423_425_failures() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, FAIL).await;
    let failing = |path: String, error: Value| {
        let call = me.post(path, &json!({ "error": error }));
        async move { call.await }
    };
    let answer = failing(format!("{path}.json"), json!("bad")).await;
    let answer = refused(answer, 400, "Response is not valid 'application/json'.");
    assert!(answer.header("x-openwhisk-activation-id").is_some(), "{}", answer.story());
    let own = json!({ "statusCode": 418, "body": "no tea for you", "headers": { "x-pot": "1" } });
    let answer = failing(format!("{path}.http"), own).await.expect(418);
    assert_eq!((answer.text().as_str(), answer.header("x-pot")), ("no tea for you", Some("1")));
    let thrown = export(&me, THROW).await;
    let exiting = export(&me, tests::fixtures::EXIT).await;
    for path in [thrown, exiting] {
        for extension in [".json", ".text", ""] {
            let answer = me.get(format!("{path}{extension}")).await;
            let answer = refused(answer, 400, "There was an error processing your request.");
            assert!(answer.header("x-openwhisk-activation-id").is_some(), "{}", answer.story());
        }
    }
}

#[tokio::test]
async fn case_424_what_takes_longer_than_anybody_waits() {
    let wait = ("CONFIG_whisk_controller_activation_maxWaitForBlockingActivation", "1s");
    let environment = vec![(wait.0.to_owned(), wait.1.to_owned())];
    let options = Options { environment, ..Options::default() };
    let Some(server) = Whisk::own_server(424, options).await else { return };
    let me = server.whisk().namespace().await;
    let path = export(&me, SLEEP).await;
    let answer = refused(me.post(&path, &json!({ "ms": 3000 })).await, 202, "Response not yet ready.");
    let id = answer.header("x-openwhisk-activation-id").expect("it has begun").to_owned();
    me.wait_for_activation(&id).await;
    server.stop().await;
}

#[tokio::test]
async fn case_432_head() {
    let me = Whisk::shared().await.namespace().await;
    let code =
        "function main() { return { headers: { location: 'http://x' }, statusCode: 200, body: 'long' }; }";
    let path = export(&me, code).await;
    let answer = me.request(Method::HEAD, &path).await.expect(200);
    assert_eq!(answer.header("location"), Some("http://x"));
    assert!(answer.body.is_empty());
}

#[tokio::test]
async fn cases_433_434_what_is_not_acceptable() {
    let Some((me, _)) = Whisk::shared().await.fresh(433).await else { return };
    let path = export(&me, "function main() { return { body: 'Plain text', html: '<p>' }; }").await;
    let text = "Resource representation is only available with these types:\ntext/html; charset=UTF-8";
    let answer = me.get(format!("{path}.http")).header("Accept", "application/json").await;
    refused(answer, 406, text);
    me.wait_for_activation_count(1).await;
    let answer = me.get(format!("{path}.html")).header("Accept", "text/xml").await;
    refused(answer, 406, text);
    for accept in ["text/html", "text/*", "text/xml, */*;q=0.1"] {
        me.get(format!("{path}.html")).header("Accept", accept).await.expect(200);
    }
    let failing = export(&me, "function main() { return { statusCode: 404, body: 'no' }; }").await;
    me.get(&failing).header("Accept", "application/json").await.expect(404);
}
