//! Who asks: Basic credentials, and what is refused before anything else is looked at.

use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::json;
use tests::client::basic;
use tests::namespace::Namespace;
use tests::place::unique;
use tests::wait;
use tests::whisk::Whisk;

const INVALID: &str = "The supplied authentication is invalid";
const NONE: &str = "The resource requires authentication, which was not supplied with the request";

/// The two halves of the credentials.
fn halves(me: &Namespace) -> (&str, &str) {
    me.auth.split_once(':').expect("credentials are uuid:key")
}

#[tokio::test]
async fn case_025_no_credentials() {
    let whisk = Whisk::shared().await;
    let answer = whisk.anonymous().get("/api/v1/namespaces/_/actions").await.expect(401).error(NONE);
    let challenge = answer.header("www-authenticate").unwrap_or_default();
    assert!(challenge.starts_with(r#"Basic realm="OpenWhisk secure realm""#), "{challenge}");
}

#[tokio::test]
async fn case_026_an_unknown_uuid() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let (_, key) = halves(&me);
    let unknown = basic(&format!("{}:{key}", uuid::Uuid::new_v4()));
    me.get("actions").authorization(&unknown).await.expect(401).error(INVALID);
}

#[tokio::test]
async fn case_027_a_wrong_key() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let (id, key) = halves(&me);
    let first = if key.starts_with('a') { "b" } else { "a" };
    let wrong = basic(&format!("{id}:{first}{}", &key[1..]));
    me.get("actions").authorization(&wrong).await.expect(401).error(INVALID);
}

#[tokio::test]
async fn case_028_a_key_of_another_length() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let (id, key) = halves(&me);
    for wrong in [format!("{id}:{}", &key[1..]), format!("{id}:{key}x")] {
        me.get("actions").authorization(&basic(&wrong)).await.expect(401).error(INVALID);
    }
}

#[tokio::test]
async fn case_030_credentials_that_are_none() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let no_colon = format!("Basic {}", BASE64_STANDARD.encode("no colon in here"));
    let no_text = format!("Basic {}", BASE64_STANDARD.encode([0xff, 0xfe, b':', 0xfd]));
    for wrong in [no_colon.as_str(), no_text.as_str(), "Basic !!!", "Basic ", "Bearer abc", "nonsense"] {
        me.get("actions").authorization(wrong).await.expect(401);
    }
}

#[tokio::test]
async fn case_031_a_blocked_subject() {
    let Some((me, admin)) = Whisk::shared().await.fresh(31).await else { return };
    me.get("actions").await.expect(200);
    let status = async || me.get("actions").await.status;
    admin.run(&["user", "block", &me.name]).await;
    let bound = Duration::from_secs(10);
    wait::until("a blocked subject is refused", bound, || async { (status().await == 401).then_some(()) })
        .await;
    me.get("actions").await.expect(401).error(INVALID);
    admin.run(&["user", "unblock", &me.name]).await;
    wait::until("an unblocked subject is let in", bound, || async { (status().await == 200).then_some(()) })
        .await;
}

#[tokio::test]
async fn cases_032_033_each_key_of_a_subject_sees_its_own_namespace() {
    let whisk = Whisk::shared().await;
    let Some((first, admin)) = whisk.fresh(32).await else { return };
    let name = unique("second");
    let auth = admin.run(&["user", "create", &first.name, "-ns", &name]).await;
    let second = whisk.sign_in(&auth).await;
    assert_eq!(first.get("/api/v1/namespaces").await.expect(200).json(), json!([first.name]));
    assert_eq!(second.get("/api/v1/namespaces").await.expect(200).json(), json!([name]));

    let foreign = first.get(format!("/api/v1/namespaces/{name}/actions")).await.expect(403);
    foreign.error(&format!("The supplied authentication is not authorized to access '{name}'."));
}
