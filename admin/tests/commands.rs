//! Every command of the real `wskadmin` on a data directory of its own: what it prints, and how it exits.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

const UUID: &str = "23bc46b1-71f6-4ed5-8c54-816aa4f8c502";
const KEY: &str = "123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP";

/// A data directory, and the tool on it.
struct Place(TempDir);

impl Place {
    /// A directory that is not an installation yet.
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// An installation with the subject `guest`, whose key is known.
    fn with_guest() -> Self {
        let place = Self::new();
        place.expect(&["user", "create", "guest", "-u", &format!("{UUID}:{KEY}")], 0);
        place
    }

    fn data(&self) -> std::path::PathBuf {
        self.0.path().join("data")
    }

    /// Runs a command that must exit so; returns what it printed, without the last line end.
    fn expect(&self, arguments: &[&str], code: i32) -> String {
        let (out, err) = run(&self.data(), arguments, code);
        assert_eq!(err, "", "{arguments:?}");
        out
    }

    /// Runs a command that must fail so; returns its complaint.
    fn complaint(&self, arguments: &[&str], code: i32) -> String {
        let (out, err) = run(&self.data(), arguments, code);
        assert_eq!(out, "", "{arguments:?}");
        err
    }
}

fn run(data: &Path, arguments: &[&str], code: i32) -> (String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_wskadmin"))
        .arg("--data-dir")
        .arg(data)
        .args(arguments)
        .env_remove("OXWHISK_DATA_DIR")
        .env_remove("OXWHISK_POSTGRES")
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().trim_end_matches('\n').to_owned();
    let (out, err) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {out} {err}");
    (out, err)
}

fn is_auth(text: &str) -> bool {
    text.split_once(':').is_some_and(|(uuid, key)| {
        uuid.len() == 36
            && uuid.as_bytes()[14] == b'4'
            && key.len() == 64
            && key.bytes().all(|byte| byte.is_ascii_alphanumeric())
    })
}

#[test]
fn create_makes_the_installation_and_prints_the_key() {
    let place = Place::new();
    let auth = place.expect(&["user", "create", "alice"], 0);
    assert!(is_auth(&auth), "{auth}");
    assert_eq!(place.expect(&["user", "get", "alice"], 0), auth);
    assert_eq!(place.expect(&["user", "create", "alice"], 1), "Namespace already exists");
    let other = place.expect(&["user", "create", "alice", "-ns", "second"], 0);
    assert!(is_auth(&other) && other != auth);
    assert_eq!(place.expect(&["user", "create", "-s", "silent"], 0), "");
    assert!(is_auth(&place.expect(&["user", "get", "silent"], 0)));
}

#[test]
fn create_takes_a_key_and_refuses_a_bad_one() {
    let place = Place::with_guest();
    assert_eq!(place.expect(&["user", "get", "guest"], 0), format!("{UUID}:{KEY}"));
    let create = |auth: &str, code| place.expect(&["user", "create", "somebody", "-u", auth], code);
    assert_eq!(create(&format!("not-a-uuid:{KEY}"), 2), "authorization id is not a valid UUID");
    let short = format!("{UUID}:{}", &KEY[1..]);
    assert_eq!(create(&short, 2), "authorization key must be at least 64 characters long");
    assert!(create(UUID, 2).starts_with("failed to determine authorization id and key"));
    let taken = format!("Failed to create subject (authorization id {UUID} is already in use)");
    assert_eq!(create(&format!("{UUID}:{KEY}"), 1), taken);
    let given = format!("23bc46b1-71f6-1ed5-0c54-816aa4f8c503:{KEY}");
    let forced = format!("23bc46b1-71f6-4ed5-8c54-816aa4f8c503:{KEY}");
    assert_eq!(create(&given, 0), forced, "version and variant are those of a random uuid");
}

#[test]
fn create_refuses_bad_names() {
    let place = Place::new();
    let least = "Subject name must be at least 5 characters";
    assert_eq!(place.expect(&["user", "create", "anna"], 2), least);
    assert_eq!(place.expect(&["user", "create", "  anna  "], 2), least);
    assert_eq!(place.expect(&["user", "create", "alice", "-ns", " "], 2), "Namespace must not be empty");
    let bad = place.expect(&["user", "create", "alice", "-ns", "a/b"], 2);
    assert!(bad.starts_with("Namespace \"a/b\" is not valid"), "{bad}");
    assert!(!place.data().exists(), "nothing is made for a request that is refused");
}

#[test]
fn genonly_stores_nothing() {
    let place = Place::new();
    assert!(is_auth(&place.expect(&["user", "create", "alice", "-g"], 0)));
    assert!(!place.data().exists());
}

#[test]
fn revoke_changes_the_key_and_keeps_the_uuid() {
    let place = Place::with_guest();
    let auth = place.expect(&["user", "create", "guest", "-r"], 0);
    let (uuid, key) = auth.split_once(':').unwrap();
    assert_eq!(uuid, UUID);
    assert_ne!(key, KEY);
    assert_eq!(place.expect(&["user", "get", "guest"], 0), auth);
    let fresh = place.expect(&["user", "create", "guest", "-r", "-ns", "other"], 0);
    assert!(is_auth(&fresh), "a namespace that is not there yet is made");
}

#[test]
fn get_shows_one_or_all_namespaces() {
    let place = Place::with_guest();
    let other = place.expect(&["user", "create", "guest", "-ns", "other"], 0);
    assert_eq!(place.expect(&["user", "get", "guest", "-ns", "other"], 0), other);
    assert_eq!(place.expect(&["user", "get", "guest", "-ns=other"], 0), other);
    let all = format!("guest\t{UUID}:{KEY}\nother\t{other}");
    assert_eq!(place.expect(&["user", "get", "guest", "-a"], 0), all);
    let unknown = "namespace \"none\" not found for \"guest\"";
    assert_eq!(place.expect(&["user", "get", "guest", "-ns", "none"], 1), unknown);
    assert_eq!(place.expect(&["user", "get", "nobody"], 1), "Failed to get subject (missing)");
}

#[test]
fn list_shows_who_has_a_key_to_a_namespace() {
    let place = Place::with_guest();
    let second = place.expect(&["user", "create", "zebra", "-ns", "guest"], 0);
    let first = format!("{UUID}:{KEY}");
    assert_eq!(place.expect(&["user", "list", "guest"], 0), format!("{first}\tguest"));
    let both = format!("{first}\tguest\n{second}\tzebra");
    assert_eq!(place.expect(&["user", "list", "guest", "-a"], 0), both);
    assert_eq!(place.expect(&["user", "list", "guest", "-p", "2"], 0), both);
    assert_eq!(place.expect(&["user", "list", "guest", "-a", "-k"], 0), format!("{first}\n{second}"));
    for pick in ["0", "-1"] {
        let told = place.expect(&["user", "list", "guest", "-p", pick], 2);
        assert_eq!(told, "pick at least 1 identity to show");
    }
    assert_eq!(place.expect(&["user", "list", "none"], 0), "no identities found for namespace \"none\"");
    place.expect(&["user", "block", "guest"], 0);
    let left = place.expect(&["user", "list", "guest", "-a"], 0);
    assert_eq!(left, format!("{second}\tzebra"), "who is blocked is not listed");
}

#[test]
fn whois_knows_a_key_by_all_of_it() {
    let place = Place::with_guest();
    let recognized = "subject: guest\nnamespace: guest";
    assert_eq!(place.expect(&["user", "whois", &format!("{UUID}:{KEY}")], 0), recognized);
    let unknown = "Subject id is not recognized";
    let other = format!("{UUID}:{}", KEY.replace('1', "2"));
    assert_eq!(place.expect(&["user", "whois", &other], 0), unknown);
    assert!(place.expect(&["user", "whois", UUID], 2).contains("uuid:key"));
    place.expect(&["user", "block", "guest"], 0);
    assert_eq!(place.expect(&["user", "whois", &format!("{UUID}:{KEY}")], 0), unknown);
}

#[test]
fn db_shows_subjects_and_limits_without_keys() {
    let place = Place::with_guest();
    place.expect(&["limits", "set", "guest", "--invocationsPerMinute", "0"], 0);
    let shown = place.expect(&["db", "get", "subjects", "--docs"], 0);
    let (first, table) = shown.split_once('\n').unwrap();
    assert_eq!(first, "getting contents for subjects (primary index)");
    let expected = format!(
        "{{\n    \"offset\": 0,\n    \"rows\": [\n        {{\n            \"doc\": {{\n                \"_id\": \"guest\",\n                \
         \"_rev\": \"1-0\",\n                \"blocked\": false,\n                \"namespaces\": [\n                    {{\n                        \
         \"name\": \"guest\",\n                        \"uuid\": \"{UUID}\"\n                    }}\n                ],\n                \
         \"subject\": \"guest\"\n            }},\n            \"id\": \"guest\",\n            \"key\": \"guest\","
    );
    assert!(table.starts_with(&expected), "{table}");
    assert!(
        table.contains("\"id\": \"guest/limits\"") && table.ends_with("    \"total_rows\": 2\n}"),
        "{table}"
    );
    assert!(!shown.contains(KEY));
    let blocked = place.expect(&["db", "get", "subjects", "-w", "namespaceThrottlings/blockedNamespaces"], 0);
    assert!(blocked.contains("\"key\": \"guest\"") && blocked.contains("\"total_rows\": 1"), "{blocked}");
    let empty = place.expect(&["db", "get", "activations"], 0);
    assert!(empty.ends_with("{\n    \"offset\": 0,\n    \"rows\": [],\n    \"total_rows\": 0\n}"), "{empty}");
    let unknown = place.expect(&["db", "get", "nothing"], 1);
    assert!(unknown.contains("Failed to get database ({\"error\":\"not_found\""), "{unknown}");
    place.expect(&["db", "get", "whisks", "-w", "whisks.v2.1.0/nothing"], 1);
    let misnamed = place.expect(&["db", "get", "whisks", "-w", "actions"], 2);
    assert_eq!(misnamed, "view name \"actions\" is not formatted correctly, should be design/view");
}

#[test]
fn syslog_shows_the_lines_of_components_in_order() {
    let place = Place::new();
    let logs = place.0.path().join("logs");
    let write = |component: &str, text: &str| {
        std::fs::create_dir_all(logs.join(component)).unwrap();
        std::fs::write(logs.join(component).join(format!("{component}_logs.log")), text).unwrap();
    };
    write(
        "controller0",
        "[2026-01-01T00:00:01Z] [INFO] [#tid_abc] one\n[2026-01-01T00:00:03Z] [INFO] [#tid_abcd] three\n",
    );
    write("invoker0", "[2026-01-01T00:00:02Z] [WARN] [#tid_abc] two\n");
    let folder = logs.to_str().unwrap();
    let shown = |arguments: &[&str]| {
        let text = place.expect(&[&["syslog", "get", "--log-dir", folder], arguments].concat(), 0);
        text.lines().map(|line| line.rsplit(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(shown(&[]), ["one", "two", "three"]);
    assert_eq!(shown(&["invoker0"]), ["two"]);
    assert_eq!(shown(&["-t", "abc"]), ["one", "two"]);
    assert_eq!(shown(&["-g", "o(ne|thing)$"]), ["one"]);
    place.expect(&["syslog", "get", "--log-dir", folder, "-g", "("], 2);
    place.expect(&["syslog", "get", "--log-dir", folder, "../controller0"], 2);
    assert!(place.expect(&["syslog", "get"], 2).contains("--log-dir"));
    let (_, complaint) = run(&place.data(), &["syslog", "get", "--log-dir", folder, "invoker7"], 0);
    assert!(complaint.contains("invoker7_logs.log cannot be read"), "{complaint}");
}

#[test]
fn delete_takes_a_subject_or_one_namespace() {
    let place = Place::with_guest();
    place.expect(&["user", "create", "guest", "-ns", "other"], 0);
    let delete = |more: &[&str], code| place.expect(&[&["user", "delete"], more].concat(), code);
    assert_eq!(delete(&["guest", "-ns", "none"], 1), "Namespace \"none\" does not exist for \"guest\"");
    assert_eq!(delete(&["guest", "-ns", "other"], 0), "Namespace deleted");
    assert_eq!(place.expect(&["user", "get", "guest", "-a"], 0), format!("guest\t{UUID}:{KEY}"));
    assert_eq!(delete(&["guest"], 0), "Subject deleted");
    assert_eq!(delete(&["guest"], 1), "Failed to delete subject (missing)");
    assert_eq!(delete(&["guest", "-ns", "x"], 1), "Failed to delete subject (missing)");
    assert_eq!(delete(&[" "], 2), "Subject must not be empty");
    assert_eq!(delete(&["guest", "-ns", " "], 2), "Namespace must not be empty");
}

#[test]
fn block_and_unblock_count_what_failed() {
    let place = Place::with_guest();
    let told = place.expect(&["user", "block", "guest", "ghost", "spirit"], 2);
    let expected = "\"guest\" blocked successfully\nFailed to block \"ghost\" (missing)\n\
                    Failed to block \"spirit\" (missing)";
    assert_eq!(told, expected);
    let edit = place.expect(&["user", "create", "guest", "-ns", "other"], 1);
    assert_eq!(edit, "The subject you want to edit is blocked");
    assert_eq!(place.expect(&["user", "unblock", "guest"], 0), "\"guest\" unblocked successfully");
    let told = place.expect(&["user", "unblock", "ghost"], 1);
    assert_eq!(told, "Failed to unblock \"ghost\" (missing)");
    place.expect(&["user", "create", "guest", "-ns", "other"], 0);
}

#[test]
fn limits_are_set_merged_shown_and_deleted() {
    let place = Place::with_guest();
    let none = "No limits found, default system limits apply";
    assert_eq!(place.expect(&["limits", "get", "guest"], 0), none);
    let done = "Limits successfully set for \"guest\"";
    let set = |flags: &[&str]| place.expect(&[&["limits", "set", "guest"], flags].concat(), 0);
    assert_eq!(set(&["--invocationsPerMinute", "7", "--storeActivations", "no"]), done);
    assert_eq!(set(&["--allowedKinds", "nodejs:20", "python:3.13"]), done);
    let shown = "invocationsPerMinute = 7\nallowedKinds = ['nodejs:20', 'python:3.13']\n\
                 storeActivations = False";
    assert_eq!(place.expect(&["limits", "get", "guest"], 0), shown);
    let all = [
        ("invocationsPerMinute", "1", "1"),
        ("firesPerMinute", "2", "2"),
        ("concurrentInvocations", "0", "0"),
        ("allowedKinds", "blackbox", "['blackbox']"),
        ("storeActivations", "true", "True"),
        ("minActionMemory", "128", "128"),
        ("maxActionMemory", "512", "512"),
        ("minActionLogs", "0", "0"),
        ("maxActionLogs", "10", "10"),
        ("minActionTimeout", "100", "100"),
        ("maxActionTimeout", "60000", "60000"),
        ("minActionConcurrency", "1", "1"),
        ("maxActionConcurrency", "5", "5"),
        ("maxParameterSize", "1 MB", "1 MB"),
        ("maxPayloadSize", "2048 KB", "2 MB"),
        ("truncationSize", "1000 B", "1000 B"),
    ];
    let flags: Vec<String> =
        all.iter().flat_map(|(name, value, _)| [format!("--{name}"), (*value).to_owned()]).collect();
    set(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let shown: Vec<String> = all.iter().map(|(name, _, shown)| format!("{name} = {shown}")).collect();
    assert_eq!(place.expect(&["limits", "get", "guest"], 0), shown.join("\n"));
    assert_eq!(place.expect(&["limits", "delete", "guest"], 0), "Limits deleted");
    assert_eq!(place.expect(&["limits", "delete", "guest"], 1), "Failed to delete limits (missing)");
    assert_eq!(place.expect(&["limits", "get", "guest"], 0), none);
    assert_eq!(place.expect(&["user", "get", "guest"], 0), format!("{UUID}:{KEY}"), "the namespace stays");
}

#[test]
fn what_cannot_be_read_is_a_usage_error() {
    let place = Place::with_guest();
    for bad in [
        &[] as &[&str],
        &["user"],
        &["user", "block"],
        &["user", "create"],
        &["limits", "set", "guest", "--invocationsPerMinute", "many"],
        &["limits", "set", "guest", "--storeActivations", "perhaps"],
        &["limits", "set", "guest", "--maxPayloadSize", "large"],
        &["limits", "set", "guest", "--invocations-per-minute", "1"],
    ] {
        let told = place.complaint(bad, 2);
        assert!(told.contains("--help") || told.contains("Usage"), "{bad:?}: {told}");
    }
}

#[test]
fn a_directory_without_an_installation_is_named_with_the_remedy() {
    let place = Place::new();
    for reading in [
        &["user", "get", "guest"] as &[&str],
        &["user", "list", "guest"],
        &["user", "delete", "guest"],
        &["user", "block", "guest"],
        &["limits", "get", "guest"],
        &["limits", "set", "guest", "--firesPerMinute", "1"],
    ] {
        let told = place.complaint(reading, 1);
        assert!(told.contains(&place.data().display().to_string()), "{told}");
        assert!(told.contains("--data-dir") && told.contains("OXWHISK_DATA_DIR"), "{told}");
    }
    assert!(!place.data().exists(), "reading makes nothing");
}

#[test]
fn keys_are_not_on_the_disk_and_the_files_are_private() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::with_guest();
    for file in std::fs::read_dir(place.data()).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let holds_key = bytes.windows(KEY.len()).any(|window| window == KEY.as_bytes());
        assert!(!holds_key, "{} holds a key", path.display());
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
    }
}

#[test]
fn another_secret_opens_no_key_and_revoking_mends_it() {
    let place = Place::with_guest();
    std::fs::remove_file(place.data().join("secret")).unwrap();
    let told = place.complaint(&["user", "get", "guest"], 1);
    assert!(told.contains("another secret") && told.contains("-r"), "{told}");
    let auth = place.expect(&["user", "create", "guest", "-r"], 0);
    assert_eq!(place.expect(&["user", "get", "guest"], 0), auth);
}

#[test]
fn verbose_names_the_directory_and_many_at_once_lose_nothing() {
    let place = Place::with_guest();
    let (out, err) = run(&place.data(), &["-v", "user", "get", "guest"], 0);
    assert_eq!(out, format!("{UUID}:{KEY}"));
    assert_eq!(err, format!("data directory: {}", place.data().display()));
    std::thread::scope(|scope| {
        for number in 0..6 {
            let place = &place;
            scope.spawn(move || place.expect(&["user", "create", "guest", "-ns", &format!("n{number}")], 0));
        }
    });
    assert_eq!(place.expect(&["user", "get", "guest", "-a"], 0).lines().count(), 7);
}

#[test]
fn the_directory_may_come_from_the_environment() {
    let place = Place::with_guest();
    let output = Command::new(env!("CARGO_BIN_EXE_wskadmin"))
        .args(["user", "get", "guest"])
        .env("OXWHISK_DATA_DIR", place.data())
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{UUID}:{KEY}"));
    let home = place.0.path().join("home");
    std::fs::create_dir_all(home.join(".local/share")).unwrap();
    std::fs::rename(place.data(), home.join(".local/share/oxwhisk")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_wskadmin"))
        .args(["user", "get", "guest"])
        .env_remove("OXWHISK_DATA_DIR")
        .env_remove("OXWHISK_POSTGRES")
        .env_remove("XDG_DATA_HOME")
        .env("HOME", &home)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), format!("{UUID}:{KEY}"));
}
