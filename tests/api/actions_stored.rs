//! What is stored and no longer fits: deprecated kinds, broken documents, lost races.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::place::unique;
use tests::server::Options;
use tests::whisk::Whisk;

use crate::actions_exec::shipped_manifest;

/// A kind that only the manifests of this file know.
const OLD: &str = "nodejs:8";
/// Updates that race at once, and how often they do before the test gives up to see one lose.
const RACERS: usize = 16;
const RACES: usize = 40;

/// The shipped manifest with a further kind, deprecated or not.
fn manifest_with_old_kind(deprecated: &Value) -> Value {
    let mut manifest = shipped_manifest();
    let kinds = manifest["runtimes"]["nodejs"].as_array_mut().expect("the manifest has Node kinds");
    let mut old = kinds[0].clone();
    old["kind"] = json!(OLD);
    old["default"] = json!(false);
    old["deprecated"] = deprecated.clone();
    if let Some(entry) = old.as_object_mut() {
        entry.remove("stemCells");
    }
    kinds.push(old);
    manifest
}

#[tokio::test]
async fn case_142_a_deprecated_kind() {
    let living = Options { manifest: Some(manifest_with_old_kind(&json!(false))), ..Options::default() };
    let Some(server) = Whisk::own_server(142, living).await else { return };
    let me = server.whisk().namespace().await;
    let body = json!({ "exec": { "kind": OLD, "code": ECHO } });
    let first = me.create("a", &body).await;
    let second = me.create("b", &body).await;

    let deprecated = manifest_with_old_kind(&json!(true));
    let server = server.stop().await.with(|options| options.manifest = Some(deprecated)).start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    let text = format!(
        "The '{OLD}' runtime is no longer supported. You may read and delete but not update or invoke this action."
    );
    me.put(format!("actions/{}", unique("c")), &body).await.expect(400).error(&text);
    let path = format!("actions/{first}");
    assert_eq!(me.get(&path).await.expect(200).json()["exec"]["kind"], OLD);
    me.get("actions").await.expect(200);
    me.post(&path, &json!({})).await.expect(400).error(&text);
    let overwrite = format!("{path}?overwrite=true");
    me.put(&overwrite, &json!({ "publish": true })).await.expect(400).error(&text);
    me.put(&overwrite, &body).await.expect(400).error(&text);
    me.put(&overwrite, &fixtures::js(ECHO)).await.expect(200);
    me.delete(format!("actions/{second}")).await.expect(200);
    server.stop().await;
}

#[tokio::test]
async fn case_143_an_unreadable_document() {
    let Some((me, admin)) = Whisk::shared().await.fresh(143).await else { return };
    let name = me.put_js("a", ECHO).await;
    admin.corrupt_entity(&format!("{}/{name}", me.name)).await;
    let text = "Resource is corrupted and cannot be read.";
    let path = format!("actions/{name}");
    me.get(&path).await.expect(500).error(text);
    me.put(format!("{path}?overwrite=true"), &fixtures::js(ECHO)).await.expect(500).error(text);
    me.delete(&path).await.expect(500).error(text);
}

#[tokio::test]
async fn case_144_of_concurrent_updates_one_wins() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("a", ECHO).await;
    let path = format!("actions/{name}?overwrite=true");
    let mut updates = 0;
    for _ in 0..RACES {
        let racers = (0..RACERS).map(|racer| {
            let body = json!({ "parameters": [{ "key": "racer", "value": racer }] });
            let call = me.put(&path, &body);
            async move { (racer, call.await) }
        });
        let answers = join_all(racers).await;
        let mut lost = 0;
        let mut won = Vec::new();
        for (racer, answer) in answers {
            match answer.expect_any(&[200, 409]) {
                winner if winner.status == 200 => won.push((winner.json()["version"].clone(), racer)),
                loser => {
                    loser.error("Concurrent modification to resource detected.");
                    lost += 1;
                }
            }
        }
        updates += won.len();
        // Every winner made a version of its own, and the last of them is what is stored.
        let action = me.get(format!("actions/{name}")).await.expect(200).json();
        assert_eq!(action["version"], json!(format!("0.0.{}", updates + 1)));
        let last = won.iter().find(|(version, _)| *version == action["version"]).expect("somebody won");
        assert_eq!(action["parameters"][0]["value"], json!(last.1));
        if lost > 0 {
            return;
        }
    }
    panic!("{RACES} times {RACERS} concurrent updates, and none lost");
}
