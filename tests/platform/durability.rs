//! What was created is there after a restart, also after one that nobody announced.

use serde_json::{Value, json};
use tests::docker::Instance;
use tests::fixtures::ECHO;
use tests::namespace::{Isolation, Namespace};
use tests::server::{Home, Options, Server};

/// Creates, updates and deletes; returns what must be there afterwards.
async fn write(me: &Namespace) -> (Value, String, String) {
    let kept = me.put_js("kept", ECHO).await;
    let action = me.update(&kept, &json!({ "publish": true })).await;
    let deleted = me.put_js("deleted", ECHO).await;
    me.delete(format!("actions/{deleted}")).await.expect(200);
    let record = me.record_of(&kept, &json!({ "a": 1 })).await;
    (action, deleted, record["activationId"].as_str().unwrap_or_default().to_owned())
}

async fn is_there(home: Home, auth: &str, (action, deleted, id): &(Value, String, String)) -> Server {
    let server = home.start().await;
    let me = server.whisk().sign_in(auth).await;
    let name = action["name"].as_str().unwrap_or_default();
    assert_eq!(me.get(format!("actions/{name}")).await.expect(200).json(), *action);
    me.get(format!("actions/{deleted}")).await.expect(404);
    let record = me.get(format!("activations/{id}")).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "a": 1 }));
    assert_eq!(me.result(name, &json!({ "b": 2 })).await, json!({ "b": 2 }));
    server
}

#[tokio::test]
async fn entities_survive_a_restart() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let written = write(&me).await;
    let server = is_there(server.stop().await, &me.auth, &written).await;
    server.stop().await;
}

#[tokio::test]
async fn entities_survive_a_crash_and_its_containers_do_not() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let written = write(&me).await;
    let old = match me.isolation().await {
        Isolation::Containers(id) => {
            let instance = Instance::of_container(&id).await;
            Some((instance.containers().await, instance))
        }
        Isolation::Processes => None,
    };
    let server = is_there(server.kill().await, &me.auth, &written).await;
    if let Some((old, instance)) = old {
        let now = instance.containers().await;
        let left: Vec<_> = old.intersection(&now).collect();
        assert!(left.is_empty(), "containers of the crashed run are left: {left:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_write_that_was_answered_survives_a_crash_right_after() {
    let mut home = Home::new(Options::default());
    let mut names = Vec::new();
    let mut auth = String::new();
    for _ in 0..3 {
        let server = home.start().await;
        let me = match auth.as_str() {
            "" => server.whisk().namespace().await,
            known => server.whisk().sign_in(known).await,
        };
        auth.clone_from(&me.auth);
        names.push(me.put_js("a", ECHO).await);
        home = server.kill().await;
    }
    let server = home.start().await;
    let me = server.whisk().sign_in(&auth).await;
    for name in names {
        me.get(format!("actions/{name}")).await.expect(200);
    }
    server.stop().await;
}
