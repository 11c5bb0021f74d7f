//! A storage driver that can bound what a container writes does so: nobody measures and kills.

use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use serde_json::json;
use tests::dockerd::Dockerd;
use tests::place;
use tests::server::{Options, Server};

use crate::site::SETTINGS;

const IMAGE: &str = "oxwhisk/action-nodejs-v20:latest";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_bounded_by_a_driver_that_can() {
    let Some(daemon) = Dockerd::start_on_btrfs().await else { return };
    daemon.load(IMAGE).await;
    let options = Options {
        container_runtime: "docker".to_owned(),
        environment: vec![("DOCKER_HOST".to_owned(), daemon.host())],
        config: Some(SETTINGS.to_owned()),
        ..Options::default()
    };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let code = std::fs::read_to_string(place::workspace().join("tests/limits/nodejs/disk.js"));
    let name = me.put_js("disk", &code.expect("the action of the case lies there")).await;
    let before = me.result(&name, &json!({ "calm": true })).await;
    // The write that is too much fails, as on a disk that is full, and the container goes on. For EDQUOT Node.js has no name.
    assert_eq!(me.result(&name, &json!({})).await, json!({ "code": "UNKNOWN" }));
    assert_eq!(me.result(&name, &json!({ "calm": true })).await, before);

    let client = daemon.client().negotiate_version().await.expect("the daemon answers");
    let containers = client.list_containers(None::<ListContainersOptions>).await.expect("the daemon answers");
    for container in &containers {
        let id = container.id.as_deref().unwrap_or_default();
        let inspected = client.inspect_container(id, None::<InspectContainerOptions>).await;
        let options = inspected.expect("it runs").host_config.and_then(|host| host.storage_opt);
        assert!(options.is_some_and(|options| options.contains_key("size")), "{container:?}");
    }
    assert!(!containers.is_empty());
    server.stop().await;
    daemon.stop().await;
}
