//! Source of compiled kinds: it becomes a program once, which outlives containers and servers.

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::Client;
use tests::docker::Instance;
use tests::namespace::{Isolation, Namespace};
use tests::server::{Options, Server};
use tests::wait;

/// Until a container is there.
const CONTAINER: Duration = Duration::from_secs(60);

const GO: &str = "package main

func Main(args map[string]any) map[string]any {
	return map[string]any{\"greeting\": \"Hello \" + args[\"name\"].(string) + \"!\"}
}
";
const JAVA: &str = "import com.google.gson.JsonObject;

public class Hello {
    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        result.addProperty(\"greeting\", \"Hello \" + args.get(\"name\").getAsString() + \"!\");
        return result;
    }
}
";

/// Containers are removed at once, so that every invocation is a cold start.
async fn start() -> Server {
    let config = "[whisk.container-proxy.timeouts]\npause-grace = \"1ms\"\nidle-container = \"1ms\"\n";
    Server::start(Options { config: Some(config.to_owned()), ..Options::default() }).await
}

/// The server's containers, if it has any; without them there are no compilers.
async fn containers(me: &Namespace) -> Option<Instance> {
    match me.isolation().await {
        Isolation::Containers(id) => Some(Instance::of_container(&id).await),
        Isolation::Processes => {
            eprintln!("SKIPPED: without Docker nothing is compiled");
            None
        }
    }
}

/// Whether there are compilers.
async fn compiles(me: &Namespace) -> bool {
    let containers = matches!(me.isolation().await, Isolation::Containers(_));
    if !containers {
        eprintln!("SKIPPED: without Docker nothing is compiled");
    }
    containers
}

/// How many compilations came to this end.
async fn compilations(server: &Server, outcome: &str) -> u64 {
    let text = Client::new(server.url(), None).get("/metrics").await.expect(200).text();
    let name = format!("oxwhisk_invoker_compilations_total{{outcome=\"{outcome}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or(0)
}

async fn greets(me: &Namespace, name: &str) {
    let record = me.record_of(name, &json!({ "name": "Ada" })).await;
    assert_eq!(record["response"]["result"], json!({ "greeting": "Hello Ada!" }), "{record}");
}

#[tokio::test]
async fn source_is_compiled_once_and_its_program_survives_a_restart() {
    let server = start().await;
    let me = server.whisk().namespace().await;
    if !compiles(&me).await {
        return;
    }
    let go = me.create("go", &json!({ "exec": { "kind": "go:1.24", "code": GO } })).await;
    let java = json!({ "exec": { "kind": "java:21", "code": JAVA, "main": "Hello" } });
    let java = me.create("java", &java).await;
    for name in [&go, &java] {
        greets(&me, name).await;
    }
    assert_eq!(compilations(&server, "compiled").await, 2);
    // The same source in another action, and the same action again.
    let same = me.create("same", &json!({ "exec": { "kind": "go:default", "code": GO } })).await;
    for name in [&same, &go, &java] {
        greets(&me, name).await;
    }
    assert_eq!(compilations(&server, "compiled").await, 2);

    let auth = me.auth.clone();
    let server = server.stop().await.start().await;
    let me = server.whisk().sign_in(&auth).await;
    for name in [&go, &java] {
        greets(&me, name).await;
    }
    assert_eq!(
        (compilations(&server, "compiled").await, compilations(&server, "cached").await),
        (0, 2),
        "what an earlier run compiled is there"
    );
    server.stop().await;
}

#[tokio::test]
async fn what_the_compiler_says_is_the_activations_error() {
    let server = start().await;
    let me = server.whisk().namespace().await;
    if !compiles(&me).await {
        return;
    }
    let bad = GO.replace("return", "return nothing,");
    let name = me.create("bad", &json!({ "exec": { "kind": "go:1.24", "code": bad } })).await;
    for _ in 0..3 {
        let record = me.record_of(&name, &json!({})).await;
        assert_eq!(record["response"]["status"], "action developer error", "{record}");
        let error = record["response"]["result"]["error"].as_str().unwrap_or_default();
        assert!(error.contains("undefined: nothing"), "{record}");
        let of_init = |note: &Value| note["key"] == "initTime" && note["value"].is_u64();
        assert!(record["annotations"].as_array().is_some_and(|notes| notes.iter().any(of_init)), "{record}");
    }
    assert_eq!(compilations(&server, "rejected").await, 1, "it is not tried again");
    // Another version is.
    me.update(&name, &json!({ "exec": { "kind": "go:1.24", "code": GO } })).await;
    greets(&me, &name).await;
    server.stop().await;
}

#[tokio::test]
async fn many_invocations_wait_for_one_compilation() {
    let server = start().await;
    let me = server.whisk().namespace().await;
    if !compiles(&me).await {
        return;
    }
    let name = me.create("go", &json!({ "exec": { "kind": "go:1.24", "code": GO } })).await;
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(me.fire(&name, &json!({ "name": "Ada" })).await);
    }
    for id in ids {
        let record = me.wait_for_activation(&id).await;
        assert_eq!(record["response"]["result"], json!({ "greeting": "Hello Ada!" }), "{record}");
    }
    assert_eq!(compilations(&server, "compiled").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn what_takes_too_long_to_compile_is_given_up_and_leaves_nothing() {
    let config = "[whisk.compiler]\ntimeout = \"50ms\"\n";
    let server = Server::start(Options { config: Some(config.to_owned()), ..Options::default() }).await;
    let me = server.whisk().namespace().await;
    let Some(instance) = containers(&me).await else { return };
    let before = instance.containers().await;
    let name = me.create("go", &json!({ "exec": { "kind": "go:1.24", "code": GO } })).await;
    // Patience may be longer next time: it is tried again.
    for attempt in 1..=2 {
        let record = me.record_of(&name, &json!({ "name": "Ada" })).await;
        let expected = "The action's code could not be compiled within 50 milliseconds.";
        assert_eq!(record["response"]["result"], json!({ "error": expected }), "{record}");
        assert_eq!(record["response"]["status"], "action developer error", "{record}");
        assert_eq!(compilations(&server, "timed_out").await, attempt);
    }
    assert_eq!(instance.containers().await, before, "a builder is left");
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_killed_while_it_compiles_does_so_again() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let Some(instance) = containers(&me).await else { return };
    let before = instance.containers().await;
    let name = me.create("go", &json!({ "exec": { "kind": "go:1.24", "code": GO } })).await;
    let id = me.fire(&name, &json!({ "name": "Ada" })).await;
    // Nothing else makes one before the program is there.
    wait::until("the builder is there", CONTAINER, || async {
        (instance.containers().await != before).then_some(())
    })
    .await;
    let home = server.kill().await;
    let killed = instance.containers().await;

    let server = home.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    let record = me.wait_for_activation(&id).await;
    assert_eq!(record["response"]["result"], json!({ "greeting": "Hello Ada!" }), "{record}");
    assert_eq!(compilations(&server, "compiled").await, 1);
    assert!(instance.containers().await.is_disjoint(&killed), "a builder outlived its server");
    server.stop().await;
}

#[tokio::test]
async fn without_containers_source_is_refused_with_the_remedy() {
    let options = Options { container_runtime: "process".to_owned(), ..Options::default() };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let error =
        |record: &Value| record["response"]["result"]["error"].as_str().unwrap_or_default().to_owned();
    let go = me.create("go", &json!({ "exec": { "kind": "go:1.24", "code": GO } })).await;
    let record = me.record_of(&go, &json!({})).await;
    assert!(error(&record).contains("-compile MAIN"), "{record}");
    let java = json!({ "exec": { "kind": "java:21", "code": JAVA, "main": "Hello" } });
    let java = me.create("java", &java).await;
    let record = me.record_of(&java, &json!({})).await;
    assert!(error(&record).contains("'java:21' run in containers only"), "{record}");
    // A program needs no compiler.
    let program = "#!/bin/sh\necho '{\"ok\":true}' >&3\nwhile read -r line; do echo '{\"a\":1}' >&3; done\n";
    let code = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, program);
    let program = me.create("program", &json!({ "exec": { "kind": "go:1.24", "code": code } })).await;
    assert_eq!(me.result(&program, &json!({})).await, json!({ "a": 1 }));
    server.stop().await;
}
