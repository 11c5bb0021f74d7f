//! `oxwhisk doctor`: a healthy place, and broken ones.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use tests::doctor::Findings;
use tests::pki::{Authority, Identity};
use tests::place;
use tests::server::{Home, Options};

fn check(home: &Home) -> Findings {
    let mut command = home.command();
    command.arg("--check");
    Findings::of(command)
}

fn files(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

#[tokio::test]
async fn a_healthy_place_is_left_as_it_is() {
    let home = Home::new(Options::default());
    let fresh = check(&home);
    fresh.expect_health();
    fresh.expect("ok", &["port", &home.port().to_string(), "is free"]);
    assert!(files(&home.data()).is_empty(), "nothing was made");

    let server = home.start().await;
    let found = check(server.home());
    found.expect_health();
    found.expect("ok", &["the data directory is served by oxwhisk", &server.process().to_string()]);
    found.expect("ok", &["port", &server.home().port().to_string(), "serves already"]);
    found.expect("ok", &["entities.db has the tables of this version"]);
    found.expect("ok", &["secret", "is closed to others"]);

    let mut second = Command::new(place::oxwhisk());
    second.args(["doctor", "--port", "0", "--container-runtime", "process", "--data-dir"]);
    second.arg(server.home().data());
    Findings::of(second).expect("warn", &["is served by oxwhisk", "and not at port 0", "--data-dir"]);

    let home = server.stop().await;
    let before = files(&home.data());
    check(&home).expect_health();
    assert_eq!(files(&home.data()), before);
    let everywhere = home.with(|options| options.host = "0.0.0.0".to_owned());
    check(&everywhere).expect("FAIL", &["well-known guest key", "wskadmin user delete guest"]);
    let home = everywhere.with(|options| options.host = "127.0.0.1".to_owned());
    home.start().await.stop().await;
}

#[tokio::test]
async fn the_first_word_may_be_doctor() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut command = Command::new(place::oxwhisk());
    command.args(["doctor", "--log-format", "json", "--container-runtime", "process", "--data-dir"]);
    // No interpreter is in an empty folder.
    let output = command.arg(folder.path()).env("PATH", folder.path()).output().expect("oxwhisk can be run");
    let lines = String::from_utf8(output.stdout).expect("text");
    for line in lines.lines() {
        let finding: serde_json::Value = serde_json::from_str(line).expect("an object a line");
        assert!(finding["verdict"].is_string() && finding["what"].is_string(), "{line}");
    }
    assert!(lines.contains("NOT ISOLATED"), "{lines}");
    for (family, package) in
        [("nodejs", "nodejs"), ("python", "python3"), ("ruby", "ruby"), ("php", "php-cli")]
    {
        let told = format!("no {family} action can run: there is no");
        let line =
            lines.lines().find(|line| line.contains(&told)).unwrap_or_else(|| panic!("{family}: {lines}"));
        assert!(line.contains(&format!("apt-get install {package}")), "{line}");
    }
}

#[tokio::test]
async fn what_is_broken_is_named_with_its_remedy() {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, place::free_port())).expect("the port was free");
    let port = taken.local_addr().expect("a bound socket has an address").port();
    let home = Home::new(Options::default()).on_port(port);
    check(&home).expect_only_failure(&[&format!("port {port} of 127.0.0.1 is held by platform"), "--port"]);

    // Not even root makes a folder below a file.
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let file = folder.path().join("file");
    fs::write(&file, "not a folder").expect("a new folder is writable");
    let data = Some(file.join("data"));
    let home = Home::new(Options { data, ..Options::default() });
    check(&home).expect_only_failure(&["the data directory", "is no folder", "--data-dir"]);

    let home = Home::new(Options::default());
    fs::write(home.data().join("secret"), [7; 32]).expect("a new folder is writable");
    let mode = fs::Permissions::from_mode(0o644);
    fs::set_permissions(home.data().join("secret"), mode).expect("it is ours");
    check(&home).expect_only_failure(&["secret", "open to everybody", "(mode 644)", "chmod 600"]);
    fs::write(home.data().join("secret"), "too short").expect("it is ours");
    fs::write(home.data().join("entities.db"), "no database at all, however long it is").expect("it is ours");
    let found = check(&home);
    found.expect("FAIL", &["secret", "holds 9 bytes"]);
    found.expect("FAIL", &["entities.db cannot be read", "restore it from a backup"]);

    let config = Some("[whisk]\ntypo = 1\n".to_owned());
    let home = Home::new(Options { config, ..Options::default() });
    check(&home).expect_only_failure(&["unknown field `typo`", "docs/settings.md"]);

    let user_memory = "100000g".to_owned();
    let home = Home::new(Options { user_memory, ..Options::default() });
    check(&home).expect_only_failure(&["containers may use", "lower --user-memory"]);
}

#[test]
fn the_files_of_tls_are_looked_at() {
    let authority = Authority::new("doctor");
    let found = |identity: &Identity, clients: &Path, collector: &Path| {
        let environment = [
            ("OXWHISK_TLS_CLIENT_CA", clients),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", Path::new("https://localhost:4318")),
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", collector),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.display().to_string()));
        let (tls, environment) = (Some(identity.clone()), environment.to_vec());
        check(&Home::new(Options { tls, environment, ..Options::default() }))
    };
    let (ca, nowhere) = (authority.file(), Path::new("/nowhere/ca.pem"));
    let identity = authority.identity("ours");
    let healthy = found(&identity, &ca, &ca);
    healthy.expect_health();
    healthy.expect("ok", &["the TLS certificate", "ours.cert.pem: good until"]);
    healthy.expect("ok", &["the TLS key", "ours.key.pem is closed to others"]);
    healthy.expect("ok", &["the authorities of TLS clients", "ca.pem: good until"]);
    healthy.expect("ok", &["the collector's authorities", "ca.pem: good until"]);
    let missing = found(&identity, nowhere, &ca);
    missing.expect_only_failure(&["of TLS clients /nowhere/ca.pem: it cannot be read", "--tls-client-ca"]);
    let missing = found(&identity, &ca, nowhere);
    missing.expect_only_failure(&["whisk.tracing.otlp.ca", "/nowhere/ca.pem: it cannot be read", "mend"]);

    let soon = found(&authority.identity_until("soon", 13), &ca, &ca);
    soon.expect_health();
    soon.expect("warn", &["soon.cert.pem: expires on", "renew it"]);
    let gone = authority.identity_until("gone", -1);
    found(&gone, &ca, &ca).expect_only_failure(&["gone.cert.pem: expired on", "renew it"]);
    found(&identity, gone.certificate(), &ca).expect("warn", &["of TLS clients", "expired on"]);

    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(identity.key(), open).expect("it is ours");
    found(&identity, &ca, &ca).expect_only_failure(&["ours.key.pem is open to everybody", "chmod 600"]);
    fs::copy(gone.key(), identity.key()).expect("both are ours");
    let words = ["ours.key.pem: it is not the key of", "ours.cert.pem", "--tls-key"];
    found(&identity, &ca, &ca).expect_only_failure(&words);
    fs::remove_file(identity.key()).expect("it is ours");
    found(&identity, &ca, &ca).expect_only_failure(&["ours.key.pem: it cannot be read", "--tls-key"]);
}

#[tokio::test]
async fn docker_and_its_images_may_be_missing() {
    let socket = "unix:///nowhere/dead.sock".to_owned();
    let environment = vec![("DOCKER_HOST".to_owned(), socket)];
    let with = |runtime: &str| Options {
        container_runtime: runtime.to_owned(),
        environment: environment.clone(),
        ..Options::default()
    };
    let found = check(&Home::new(with("docker")));
    found.expect_only_failure(&["Docker at unix:///nowhere/dead.sock does not answer", "start it"]);
    let found = check(&Home::new(with("auto")));
    found.expect("warn", &["actions would run in local processes, NOT ISOLATED"]);
    let found = check(&Home::new(Options { host: "0.0.0.0".to_owned(), ..with("process") }));
    found.expect_only_failure(&["NOT ISOLATED", "--host 0.0.0.0 is not a loopback address"]);

    let image = |prefix: &str| json!({ "prefix": prefix, "name": "no-such-thing", "tag": "1" });
    let kind = |prefix: &str| json!({ "runtimes": { "nodejs": [{ "kind": "nodejs:20", "default": true, "image": image(prefix) }] } });
    // Where there is no Docker at all, its images are not looked for.
    if std::env::var("OXWHISK_TEST_RUNTIME").as_deref() != Ok("docker") {
        return;
    }
    let home = Home::new(Options { manifest: Some(kind("oxwhisk")), ..Options::default() });
    let found = check(&home);
    found.expect_only_failure(&[
        "the image oxwhisk/no-such-thing:1 of nodejs:20 is missing",
        "cargo xtask images no-such-thing",
    ]);
    let home = Home::new(Options { manifest: Some(kind("elsewhere")), ..Options::default() });
    let found = check(&home);
    found.expect_health();
    found.expect("warn", &["elsewhere/no-such-thing:1", "will be pulled"]);
}
