//! All kinds of things that a namespace may have, with clients that go on using it, to be found again elsewhere:
//! for tests of backups.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::admin::Admin;
use crate::fixtures::{self, ECHO};
use crate::namespace::{Namespace, RECORDED, rules_of};
use crate::wait;
use crate::whisk::Whisk;

/// Clients at once.
const CLIENTS: usize = 3;

/// Records that are wanted before and while a backup is made.
const RECORDS: usize = 20;

/// Tells which key it runs under.
const WHOSE: &str = "function main() { return { key: process.env.__OW_API_KEY }; }";

/// A namespace full of things, in use.
pub struct Belongings {
    me: Namespace,
    inner: String,
    web: String,
    trigger: String,
    rule: String,
    stopping: Arc<AtomicBool>,
    /// Activations whose records were seen.
    recorded: Arc<Mutex<Vec<String>>>,
    clients: JoinSet<()>,
}

impl Belongings {
    /// Makes them and begins to use them.
    pub async fn make(whisk: &Whisk, admin: &Admin) -> Self {
        let me = whisk.namespace().await;
        admin.set_limits(&me.name, &["--firesPerMinute", "77"]).await;
        let package =
            me.put_package("kept", &json!({ "parameters": [{ "key": "from", "value": "package" }] })).await;
        let inner = me.put_js_in(&package, "inner", ECHO).await;
        let mut body = fixtures::js(WHOSE);
        body["annotations"] =
            json!([{ "key": "web-export", "value": true }, { "key": "provide-api-key", "value": true }]);
        let web = me.create("web", &body).await;
        let trigger = me.put_trigger(&json!({})).await;
        let rule = me.put_rule(&trigger, &inner).await;
        let (stopping, recorded) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (me, inner) = (me.clone(), inner.clone());
            let (stopping, recorded) = (stopping.clone(), recorded.clone());
            clients.spawn(async move {
                while !stopping.load(Ordering::SeqCst) {
                    let id = me.fire(&inner, &json!({ "n": 1 })).await;
                    me.wait_for_activation(&id).await;
                    recorded.lock().await.push(id);
                    me.put_js("made-meanwhile", ECHO).await;
                }
            });
        }
        let made = Self { me, inner, web, trigger, rule, stopping, recorded, clients };
        made.goes_on().await;
        made
    }

    /// Waits until some more records were seen; returns all that were seen until then.
    pub async fn goes_on(&self) -> Vec<String> {
        let before = self.recorded.lock().await.len();
        wait::until("more activations are recorded", RECORDED, || async {
            let recorded = self.recorded.lock().await;
            (recorded.len() >= before + RECORDS).then(|| recorded.clone())
        })
        .await
    }

    /// Ends the use.
    pub async fn rest(&mut self) {
        self.stopping.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no client fails");
        }
    }

    /// Demands that all of it is there on another platform, these records among it, and works.
    ///
    /// # Panics
    ///
    /// If something is not.
    pub async fn expect_on(&self, whisk: &Whisk, admin: &Admin, records: &[String]) {
        assert!(records.len() >= RECORDS, "{}", records.len());
        assert_eq!(admin.run(&["user", "get", &self.me.name]).await, self.me.auth, "the key can be shown");
        let me = whisk.sign_in(&self.me.auth).await;
        assert_eq!(me.name, self.me.name);
        assert_eq!(me.get("limits").await.expect(200).json()["firesPerMinute"], json!(77));
        for id in records {
            let record = me.get(format!("activations/{id}")).await.expect(200).json();
            assert_eq!(record["response"]["result"], json!({ "from": "package", "n": 1 }), "{record}");
        }
        let count = usize::try_from(me.activation_count().await).expect("it is small");
        assert!(count >= records.len(), "{count} are counted, {} were there", records.len());

        let result = me.result(&self.inner, &json!({ "n": 2 })).await;
        assert_eq!(result, json!({ "from": "package", "n": 2 }));
        let path = format!("/api/v1/web/{}/default/{}.json", me.name, self.web);
        let told: Value = me.get(&path).anonymous().await.expect(200).json();
        assert_eq!(told["key"], json!(self.me.auth), "the sealed copy of the key opens: {told}");
        let rule = me.get(format!("rules/{}", self.rule)).await.expect(200).json();
        assert_eq!(rule["status"], "active");
        let record = me.fire_trigger(&self.trigger, &json!({ "n": 3 })).await;
        assert_eq!(rules_of(&record)[0]["success"], json!(true), "{record}");
        let listed = me.get("actions?limit=200").await.expect(200).json();
        assert!(listed.as_array().is_some_and(|actions| actions.len() > 2), "{listed}");
    }
}
