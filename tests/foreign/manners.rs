//! Servers of every manner, and images that cannot run.

use serde_json::{Value, json};
use tests::daemon::Recipe;

use crate::upstream::with_native;
use crate::{NOWHERE, Shelf, blackbox, failure, is_possible, log_of, server, start};

/// All that users' images may have: CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID.
const KEPT: &str = "00000000000000eb";
const NONE: &str = "0000000000000000";

/// An image whose entry changes the owner of a folder, and goes on as a user of its own.
fn drops_to(user: u32, how: &str) -> Recipe {
    let Recipe { script, command, .. } = server("plain");
    let entry = format!("chown -R {user}:{user} /srv/mine && exec {how}");
    Recipe {
        script: format!("{script}; mkdir /srv/mine; touch /srv/mine/file; useradd --uid {user} app"),
        command: ["sh", "-c", &entry, "entry"].map(str::to_owned).into_iter().chain(command).collect(),
        ..server("plain")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn images_run_as_they_were_built() {
    if !is_possible().await {
        return;
    }
    let mut shelf = Shelf::open().await;
    let mut images = Vec::new();
    for (name, recipe, uid, capabilities, owner) in [
        ("plain", server("plain"), 0, KEPT, Value::Null),
        ("closing", server("closing"), 0, KEPT, Value::Null),
        ("chunked", server("chunked"), 0, KEPT, Value::Null),
        ("slow", server("slow"), 0, KEPT, Value::Null),
        ("own-user", Recipe { user: "1234".into(), ..server("plain") }, 1234, NONE, Value::Null),
        (
            "setpriv",
            drops_to(1234, "setpriv --reuid=1234 --regid=1234 --clear-groups \"$@\""),
            1234,
            NONE,
            json!(1234),
        ),
        ("su", drops_to(1235, "su app -s /bin/sh -c \"$*\""), 1235, NONE, json!(1235)),
    ] {
        images.push((shelf.derive(name, recipe).await, uid, capabilities, owner));
    }
    let names: Vec<_> = images.iter().map(|(image, ..)| image.as_str()).collect();
    let server = start(|options| options.manifest = Some(with_native(&names))).await;
    let namespace = server.whisk().namespace().await;
    let runs = images.iter().map(async |(image, uid, capabilities, owner)| {
        let name = blackbox(&namespace, image, None).await;
        for word in ["one", "two"] {
            let record = namespace.record_of(&name, &json!({ "name": word })).await;
            let result = &record["response"]["result"];
            assert_eq!(result["greeting"], json!(format!("hello {word}")), "{image}: {record}");
            let found = (&result["uid"], &result["capabilities"], &result["owner"]);
            assert_eq!(found, (&json!(uid), &json!(capabilities), owner), "{image}");
            assert_eq!(log_of(&record), [format!("stdout: hello {word}")], "{image}");
        }
    });
    futures::future::join_all(runs).await;
    server.stop().await;
    shelf.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_a_request_whose_last_line_is_the_result() {
    if !is_possible().await {
        return;
    }
    let mut shelf = Shelf::open().await;
    let image = shelf.derive("skeleton", server("skeleton")).await;
    let server = start(|options| options.manifest = Some(with_native(&[&image]))).await;
    let namespace = server.whisk().namespace().await;
    let code = "#!/bin/sh\necho \"was given $1\"\necho '{\"last\": \"line\"}'\n";
    let name = blackbox(&namespace, &image, Some(code)).await;
    let record = namespace.record_of(&name, &json!({"a": 1})).await;
    assert_eq!(record["response"]["result"], json!({"last": "line"}), "{record}");
    assert_eq!(log_of(&record), ["stdout: was given {\"a\": 1}"]);
    server.stop().await;
    shelf.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_image_is_told_in_upstreams_words() {
    if !is_possible().await {
        return;
    }
    let mut shelf = Shelf::open().await;
    let runs = |command: &[&str]| Recipe {
        command: command.iter().map(|word| (*word).to_owned()).collect(),
        ..server("plain")
    };
    let get = shelf.derive("get", server("get")).await;
    let exits = shelf.derive("exits", runs(&["sh", "-c", "echo bye; exit 3"])).await;
    let missing = shelf.derive("missing", runs(&["/no/such/program"])).await;
    let server = start(|_| {}).await;
    let namespace = server.whisk().namespace().await;
    let developer = "action developer error";
    let (status, error) = failure(&namespace, &get).await;
    assert!(status == developer && error.starts_with("The action failed during initialization"), "{error}");
    for (image, expected) in [
        (exits, "The action did not initialize and exited unexpectedly.".to_owned()),
        (missing.clone(), format!("executable file not found in image {missing}")),
        (
            format!("{NOWHERE}/foreign/absent:1"),
            format!("Failed to pull container image '{NOWHERE}/foreign/absent:1'."),
        ),
        (
            format!("{NOWHERE}/foreign/absent"),
            format!("Failed to pull container image '{NOWHERE}/foreign/absent'."),
        ),
    ] {
        assert_eq!(failure(&namespace, &image).await, (developer.to_owned(), expected));
    }
    let output = server.output();
    assert!(output.contains("connection refused"), "the daemon's reason is in the log:\n{output}");
    server.stop().await;
    shelf.clear().await;
}
