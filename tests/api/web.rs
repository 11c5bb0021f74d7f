//! What the tests of web actions share.

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::client::Call;
use tests::fixtures;
use tests::namespace::Namespace;

/// Returns its argument `result`.
pub const RETURN: &str = "function main({ result }) { return result; }";
/// Ends with the application error that its argument `error` is.
pub const FAIL: &str = "function main({ error }) { return { error }; }";
/// Tells its verb in a header.
pub const METHOD: &str = "function main(args) { return { headers: { 'x-method': args.__ow_method } }; }";

/// Every verb of a web action that has it invoked.
pub const INVOKING: [Method; 6] =
    [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::HEAD];

/// The body of an exported action with further annotations.
pub fn exported(code: &str, annotations: &[(&str, Value)]) -> Value {
    let mut body = fixtures::js(code);
    let further = annotations.iter().map(|(key, value)| json!({ "key": key, "value": value }));
    body["annotations"] =
        [json!({ "key": "web-export", "value": true })].into_iter().chain(further).collect();
    body
}

/// Creates an exported action in no package; returns its path, without an extension.
pub async fn export(me: &Namespace, code: &str) -> String {
    export_with(me, code, &[]).await
}

/// The same with further annotations.
pub async fn export_with(me: &Namespace, code: &str, annotations: &[(&str, Value)]) -> String {
    let name = me.create("web", &exported(code, annotations)).await;
    format!("/api/v1/web/{}/default/{name}", me.name)
}

/// Has an action of [`RETURN`] return this.
pub fn returning(me: &Namespace, path: impl AsRef<str>, result: &Value) -> Call {
    me.post(path, &json!({ "result": result }))
}

/// Demands a refusal whose body has four lines, for people.
#[track_caller]
pub fn refused(answer: Answer, status: u16, text: &str) -> Answer {
    let answer = answer.expect(status).error(text);
    assert_eq!(answer.text().lines().count(), 4, "{}", answer.story());
    answer
}
