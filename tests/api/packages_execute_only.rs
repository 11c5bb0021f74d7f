//! `whisk.shared-packages-execute-only`: what is in a public package is run, and not read.

use serde_json::json;
use tests::fixtures::ECHO;
use tests::server::Options;
use tests::whisk::Whisk;

use crate::packages_bindings::to;

#[tokio::test]
async fn cases_446_447_448_shared_packages_are_for_running_alone() {
    let setting = ("CONFIG_whisk_sharedPackagesExecuteOnly".to_owned(), "true".to_owned());
    let options = Options { environment: vec![setting], ..Options::default() };
    let Some(server) = Whisk::own_server(446, options).await else { return };
    let whisk = server.whisk();
    let (other, me) = (whisk.namespace().await, whisk.namespace().await);
    let public = other.put_package("public", &json!({ "publish": true })).await;
    other.put_js_in(&public, "a", ECHO).await;
    let shared = me.put_package("b", &to(&other.name, &public)).await;

    let path = other.path(&format!("actions/{public}/a"));
    let place = format!("{}/{public}", other.name);
    let text = format!("GET not permitted for '{place}' since it's an action in a shared package");
    for query in ["", "?code=false"] {
        me.get(format!("{path}{query}")).await.expect(403).error(&text);
    }
    me.post(&path, &json!({})).await.expect(202);

    let path = format!("actions/{shared}/a");
    let text = format!(
        "GET not permitted for '{}/{shared}/a'. Resource does not exist or is an action in a shared package binding.",
        me.name
    );
    me.get(&path).await.expect(403).error(&text);
    me.get(format!("actions/{shared}/missing")).await.expect(403);
    me.post(&path, &json!({})).await.expect(202);

    let text = format!("GET not permitted for '{place}' since it's a shared package");
    me.get(other.path(&format!("packages/{public}"))).await.expect(403).error(&text);
    let text = format!("GET not permitted since {shared} is a binding of a shared package");
    me.get(format!("packages/{shared}")).await.expect(403).error(&text);

    // What is one's own is read as ever.
    let own = other.put_package("own", &to("_", &public)).await;
    for path in [format!("packages/{own}"), format!("actions/{own}/a"), format!("actions/{public}/a")] {
        other.get(path).await.expect(200);
    }
    server.stop().await;
}
