//! The test action of invokers, as it is stored.

use common::clock::Millis;
use common::config::Config;
use common::entity::action::Action;
use common::entity::id::ControllerId;
use common::manifest::Manifest;
use common::store::sqlite::SqliteStores;
use controller::load_balancer::test_action::{self, TestActionError};

const MANIFEST: &str = r#"{"runtimes":{"nodejs":[{"kind":"nodejs:18","image":{"name":"o"}},
    {"kind":"nodejs:20","default":true,"image":{"name":"n"}}]}}"#;

#[tokio::test]
async fn it_is_written_by_each_controller_and_written_over_at_each_start() {
    let folder = tempfile::tempdir().unwrap();
    let stores = SqliteStores::open(folder.path()).await.unwrap();
    let (manifest, config) = (Manifest::parse(MANIFEST).unwrap(), Config::default());
    for (controller, time) in [("0", 1), ("0", 2), ("b.1", 3)] {
        let id = ControllerId::new(controller);
        test_action::store(&*stores.artifacts, &id, &manifest, &config, Millis(time)).await.unwrap();
        let path = format!("whisk.system/invokerHealthTestAction{controller}");
        let action: Action = stores.artifacts.get(&path).await.unwrap().unwrap().read().unwrap();
        assert_eq!((action.exec.kind(), action.updated), ("nodejs:20", Millis(time)));
        assert_eq!(
            (action.limits.memory, action.limits.timeout, action.limits.concurrency),
            (128, 60_000, 1)
        );
        let code = stores.artifacts.code(&action.exec.code().unwrap().digest).await.unwrap().unwrap();
        assert_eq!(code, "function main(params) { return params; }");
    }
    let id = ControllerId::new("0");
    let bare = Manifest::parse(r#"{"runtimes":{}}"#).unwrap();
    let told = test_action::store(&*stores.artifacts, &id, &bare, &config, Millis(4)).await;
    assert!(matches!(told, Err(TestActionError::Kind)));
    let id = ControllerId::new("not/a/name");
    let told = test_action::store(&*stores.artifacts, &id, &manifest, &config, Millis(4)).await;
    assert!(matches!(told, Err(TestActionError::Name(_))));
    stores.close().await;
}
