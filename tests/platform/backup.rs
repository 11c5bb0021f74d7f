//! `wskadmin db backup` of a platform in use, and a restore into a fresh place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use tests::admin::Admin;
use tests::belongings::Belongings;
use tests::server::{Options, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_all_of_before() {
    let server = Server::start(Options::default()).await;
    let admin = Admin::of(&server.home().data());
    let mut belongings = Belongings::make(&server.whisk(), &admin).await;
    let before = belongings.goes_on().await;

    let place = tempfile::tempdir().expect("a temporary folder can be made");
    let folder = place.path().join("backup");
    let printed = admin.run(&["db", "backup", folder.to_str().expect("text")]).await;
    assert_eq!(printed, format!("Backup written to {}", folder.display()));
    belongings.goes_on().await;
    belongings.rest().await;
    drop(server.stop().await);

    let mode =
        |name: &str| fs::metadata(folder.join(name)).expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(""), 0o700);
    for file in ["entities.db", "activations.db", "secret"] {
        assert_eq!(mode(file), 0o600, "{file}");
    }
    let data = place.path().join("fresh");
    let copied = std::process::Command::new("cp").arg("-a").arg(&folder).arg(&data).status();
    assert!(copied.expect("cp can be run").success());
    let server = Server::start(Options { data: Some(data.clone()), ..Options::default() }).await;
    belongings.expect_on(&server.whisk(), &Admin::of(&data), &before).await;
    server.stop().await;
}

#[tokio::test]
async fn a_backup_replaces_nothing() {
    let home = Server::start(Options::default()).await.stop().await;
    let folder = home.folder().join("backup");
    fs::create_dir(&folder).expect("the folder is writable");
    fs::write(folder.join("entities.db"), "precious").expect("the folder is writable");
    let mut command = std::process::Command::new(tests::place::wskadmin());
    command.arg("--data-dir").arg(home.data()).args(["db", "backup"]).arg(&folder);
    let output = command.output().expect("wskadmin can be run");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("cannot be made"), "{told}");
    assert_eq!(fs::read_to_string(folder.join("entities.db")).expect("it is there"), "precious");
}
