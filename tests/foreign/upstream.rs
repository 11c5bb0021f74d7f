//! What upstream itself ships: its manifest, and its action proxy in Go.

use std::path::{Path, PathBuf};

use common::config::images::RuntimesConfig;
use common::manifest::Manifest;
use serde_json::{Value, json};
use tests::daemon::{NODEJS, Recipe};
use tests::{fixtures, place};

use crate::{Shelf, blackbox, is_possible, log_of, start};

fn manifest_file() -> PathBuf {
    place::workspace().join("runtimes/upstream.json")
}

fn manifest() -> Value {
    serde_json::from_str(&std::fs::read_to_string(manifest_file()).unwrap()).unwrap()
}

/// The same without containers that wait, which would be made of images that are not here.
pub fn without_stem_cells() -> Value {
    let mut manifest = manifest();
    for kind in manifest["runtimes"].as_object_mut().unwrap().values_mut() {
        kind.as_array_mut().unwrap().iter_mut().for_each(|kind| {
            kind.as_object_mut().unwrap().remove("stemCells");
        });
    }
    manifest
}

/// The same with these images among those whose sentinels are waited for.
pub fn with_native(images: &[&str]) -> Value {
    let mut manifest = without_stem_cells();
    manifest["blackboxes"] = images.iter().map(|image| parts(image)).collect();
    manifest
}

/// `registry/prefix/name:tag` as a manifest has it.
fn parts(image: &str) -> Value {
    let [registry, prefix, rest] = image.splitn(3, '/').collect::<Vec<_>>().try_into().unwrap();
    let (name, tag) = rest.split_once(':').unwrap();
    json!({ "registry": registry, "prefix": prefix, "name": name, "tag": tag })
}

#[test]
fn the_second_manifest_names_upstreams_images() {
    let manifest = Manifest::load(Some(&manifest_file()), &RuntimesConfig::default()).unwrap();
    let images: Vec<String> = manifest.kinds().map(|kind| kind.image.reference()).collect();
    assert!(images.iter().all(|image| image.starts_with("openwhisk/") && image.ends_with(":nightly")));
    let default = |family: &str| manifest.resolve(&format!("{family}:default")).unwrap().kind.clone();
    for (family, expected) in [
        ("nodejs", "nodejs:20"),
        ("python", "python:3.10"),
        ("swift", "swift:5.3"),
        ("java", "java:8"),
        ("php", "php:8.1"),
        ("ruby", "ruby:2.5"),
        ("go", "go:1.20"),
        ("dotnet", "dotnet:3.1"),
        ("rust", "rust:1.34"),
    ] {
        assert_eq!(default(family), expected);
    }
    let java = manifest.resolve("java:8").unwrap();
    assert!(java.require_main && java.sentinelled_logs);
    assert_eq!(manifest.resolve("nodejs:20").unwrap().stem_cells[0].initial_count, 2);
    assert!(manifest.is_native("openwhisk/dockerskeleton:nightly"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_of_the_second_manifest_runs() {
    if !is_possible().await {
        return;
    }
    let mut shelf = Shelf::open().await;
    // Upstream's images are nowhere to be had here: ours takes the place of one.
    shelf.tag(NODEJS, "openwhisk/action-nodejs-v20:nightly").await;
    let server = start(|options| options.manifest = Some(manifest())).await;
    let namespace = server.whisk().namespace().await;
    let name = namespace.put_js("echo", fixtures::ECHO).await;
    assert_eq!(namespace.result(&name, &json!({"a": 1})).await, json!({"a": 1}));
    server.stop().await;
    shelf.clear().await;
}

/// An action as upstream's proxy runs it: a line in, a line out on descriptor 3.
const LOOP: &str = "#!/bin/bash
while read -r line; do
  echo \"on stdout\"
  echo \"on stderr\" >&2
  name=$(echo \"$line\" | sed -n 's/.*\"name\":\"\\([^\"]*\\)\".*/\\1/p')
  echo \"{\\\"greeting\\\": \\\"hello $name\\\", \\\"namespace\\\": \\\"$__OW_API_HOST\\\"}\" >&3
done
";

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_proxy_in_go_runs_unchanged() {
    let Some(proxy) = std::env::var_os("OXWHISK_GO_PROXY").map(PathBuf::from) else {
        // Its module is in no registry that a fresh machine can count on.
        eprintln!(
            "SKIPPED, NOT TESTED: upstream's Go proxy; in apache/openwhisk-runtime-go, CGO_ENABLED=0 go build -o \
             proxy ./main, and set OXWHISK_GO_PROXY to its path"
        );
        return;
    };
    if !is_possible().await {
        return;
    }
    let mut shelf = Shelf::open().await;
    let folder = proxy.parent().map(Path::display).unwrap();
    let file = proxy.file_name().unwrap().to_string_lossy().into_owned();
    let recipe = Recipe {
        script: format!("cp /in/{file} /bin/proxy; mkdir -p /proxy/action"),
        binds: vec![format!("{folder}:/in:ro")],
        command: vec!["/bin/proxy".to_owned()],
        user: "0".to_owned(),
        framing: "",
    };
    let image = shelf.derive("go", recipe).await;
    let mut manifest = without_stem_cells();
    manifest["runtimes"]["go"] = json!([{"kind": "go:1.20", "image": parts(&image)}]);
    let server = start(|options| options.manifest = Some(manifest)).await;
    let namespace = server.whisk().namespace().await;
    let body = json!({"exec": {"kind": "go:1.20", "code": LOOP}, "limits": {"memory": 128}});
    let managed = namespace.create("loop", &body).await;
    let users = blackbox(&namespace, &image, Some(LOOP)).await;
    for action in [&managed, &users] {
        for word in ["one", "two", "three"] {
            let record = namespace.record_of(action, &json!({ "name": word })).await;
            assert_eq!(record["response"]["result"]["greeting"], json!(format!("hello {word}")), "{record}");
            // Nobody waits for the sentinels of users' images, which promise none.
            if action == &users {
                continue;
            }
            let mut log = log_of(&record);
            log.sort_unstable();
            assert_eq!(log, ["stderr: on stderr", "stdout: on stdout"], "{record}");
        }
    }
    // What cannot run is told by the proxy, in its words.
    let body = json!({"exec": {"kind": "go:1.20", "code": "no program"}, "limits": {"memory": 128}});
    let broken = namespace.create("broken", &body).await;
    let record = namespace.record_of(&broken, &json!({})).await;
    assert_eq!(record["response"]["status"], json!("action developer error"), "{record}");
    server.stop().await;
    shelf.clear().await;
}
