//! Actions in packages of others: public, private, and through bindings.

use serde_json::json;
use tests::fixtures::{self, ECHO};
use tests::namespace::{Namespace, annotation};
use tests::place::unique;
use tests::whisk::Whisk;

use crate::packages::forbidden;
use crate::packages_bindings::to;

/// A package of somebody's with the action `a`.
async fn package(of: &Namespace, publish: bool) -> String {
    let name = of.put_package("p", &json!({ "publish": publish })).await;
    of.put_js_in(&name, "a", ECHO).await;
    name
}

#[tokio::test]
async fn case_236_nothing_is_written_into_packages_of_others() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(236).await else { return };
    let me = whisk.namespace().await;
    let public = package(&other, true).await;
    for (package, name) in [(&public, "a"), (&public, "new"), (&unique("missing"), "a")] {
        let path = other.path(&format!("actions/{package}/{name}"));
        let text = forbidden(&format!("{}/{package}/{name}", other.name));
        me.put(&path, &fixtures::js(ECHO)).await.expect(403).error(&text);
        me.delete(&path).await.expect(403).error(&text);
    }
}

#[tokio::test]
async fn case_243_an_action_of_a_public_package() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(243).await else { return };
    let me = whisk.namespace().await;
    let public = package(&other, true).await;
    let path = other.path(&format!("actions/{public}/a"));
    assert_eq!(
        me.get(&path).await.expect(200).json()["namespace"],
        json!(format!("{}/{public}", other.name))
    );
    let list = me.get(other.path(&format!("actions/{public}/"))).await.expect(200).json();
    assert_eq!(list.as_array().map(Vec::len), Some(1));
    let id = me.post(&path, &json!({})).await.expect(202).activation_id();
    let record = me.wait_for_activation(&id).await;
    assert_eq!(record["namespace"], json!(me.name), "the record is the caller's");
    assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{public}/a", other.name))));
    other.get(format!("activations/{id}")).await.expect(404);
    me.get(other.path(&format!("actions/{public}/missing"))).await.expect(404);
}

#[tokio::test]
async fn case_244_actions_of_private_packages() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(244).await else { return };
    let me = whisk.namespace().await;
    let private = package(&other, false).await;
    let elsewhere = other.put_js("a", ECHO).await;
    for name in [private, unique("missing"), elsewhere] {
        let text = forbidden(&format!("{}/{name}", other.name));
        let path = other.path(&format!("actions/{name}/a"));
        me.get(&path).await.expect(403).error(&text);
        me.post(&path, &json!({})).await.expect(403).error(&text);
        me.get(other.path(&format!("actions/{name}/"))).await.expect(403).error(&text);
    }
}

#[tokio::test]
async fn cases_241_242_through_a_binding_to_what_cannot_be_read() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(241).await else { return };
    let me = whisk.namespace().await;
    let public = package(&other, true).await;
    let binding = me.put_package("b", &to(&other.name, &public)).await;
    let path = format!("actions/{binding}/a");
    let record = me.post(format!("{path}?blocking=true"), &json!({})).await.expect(200).json();
    assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{public}/a", other.name))));
    assert_eq!(annotation(&record, "binding"), Some(&json!(format!("{}/{binding}", me.name))));
    assert_eq!(
        me.get(&path).await.expect(200).json()["namespace"],
        json!(format!("{}/{public}", other.name))
    );
    let list = me.get(format!("actions/{binding}/")).await.expect(200).json();
    assert_eq!(list[0]["namespace"], json!(format!("{}/{public}", other.name)));

    let text = forbidden(&format!("{}/{binding}", me.name));
    other.put(format!("packages/{public}?overwrite=true"), &json!({ "publish": false })).await.expect(200);
    me.get(&path).await.expect(403).error(&text);
    me.post(&path, &json!({})).await.expect(403).error(&text);
    other.delete(format!("packages/{public}?force=true")).await.expect(200);
    me.get(&path).await.expect(403).error(&text);
    me.post(&path, &json!({})).await.expect(403).error(&text);
    // Others may not use the binding at all.
    other.get(me.path(&path)).await.expect(403).error(&text);
    other.post(me.path(&path), &json!({})).await.expect(403).error(&text);
}

#[tokio::test]
async fn case_140_kinds_are_those_of_the_namespace_in_packages_too() {
    let Some((me, admin)) = Whisk::shared().await.fresh(140).await else { return };
    let package = me.put_package("p", &json!({})).await;
    admin.set_limits(&me.name, &["--allowedKinds", "nodejs:20"]).await;
    let path = format!("actions/{package}/a");
    tests::wait::until("the limit is seen", std::time::Duration::from_secs(10), || async {
        let answer =
            me.put(format!("{path}?overwrite=true"), &fixtures::python("def main(a): return a")).await;
        (answer.status == 403).then_some(())
    })
    .await;
    me.put(format!("{path}?overwrite=true"), &fixtures::js(ECHO)).await.expect(200);
}
