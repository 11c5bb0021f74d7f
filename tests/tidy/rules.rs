//! The rules. Each names every offender at once.

use regex::Regex;

use crate::tree::{self, File};

/// No file is longer.
const LINES: usize = 600;

/// A foreign library and the places that may name it, as beginnings of paths.
const ROOMS: [(&str, &[&str]); 9] = [
    ("bollard", &["invoker/src/container/docker", "xtask/", "tests/"]),
    ("sqlx", &["common/src/store", "tests/"]),
    ("actix_web", &["controller/src/api", "invoker/src/routes.rs", "server/"]),
    ("actix_(http|server|service)", &["server/"]),
    ("hyper_rustls", &["common/src/tls"]),
    ("rustls", &["common/src/tls", "tests/"]),
    ("tokio_rustls", &["common/src/connection.rs", "common/src/tls"]),
    ("rdkafka", &["common/src/bus/kafka", "tests/"]),
    ("opentelemetry(_sdk|_proto)?", &["common/src/trace", "tests/"]),
];

/// Decisions, which wait for nothing.
const PURE: [&str; 15] = [
    "invoker/src/logs/cut.rs",
    "invoker/src/logs/marked.rs",
    "invoker/src/pool/containers.rs",
    "invoker/src/pool/decide.rs",
    "invoker/src/proxy/state.rs",
    "controller/src/load_balancer/schedule.rs",
    "controller/src/load_balancer/health.rs",
    "controller/src/invoke/composition/answer.rs",
    "controller/src/api/web_actions/accept.rs",
    "controller/src/api/web_actions/context.rs",
    "controller/src/api/web_actions/guard.rs",
    "controller/src/api/web_actions/media.rs",
    "controller/src/api/web_actions/path.rs",
    "controller/src/api/web_actions/pretty.rs",
    "controller/src/api/web_actions/render.rs",
];

fn offenders(what: &str, offends: impl Fn(&File) -> bool) {
    let found: Vec<String> =
        tree::rust_files().into_iter().filter(|file| offends(file)).map(|file| file.path).collect();
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

/// The text without comments and without what stands in string literals, so that a rule may be named.
fn code(text: &str) -> String {
    let literal = Regex::new(r#""(?:[^"\\]|\\.)*""#).expect("a pattern");
    let lines = text.lines().map(|line| {
        let line = literal.replace_all(line, "\"\"");
        line.split_once("//").map_or(line.to_string(), |(code, _)| code.to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_module_says_why_it_is_there() {
    offenders("these do not begin with `//!`", |file| !file.text.starts_with("//!"));
}

#[test]
fn no_file_is_endless() {
    offenders(&format!("these have more than {LINES} lines"), |file| file.text.lines().count() > LINES);
}

#[test]
fn modules_are_files_beside_their_folder() {
    offenders("these are called mod.rs", |file| file.path.ends_with("/mod.rs"));
}

#[test]
fn nothing_is_left_to_do_or_skipped() {
    let left = Regex::new(r"\b(todo|unimplemented)!\s*[\(\[{]|#\[ignore").expect("a pattern");
    offenders("these hold unfinished or ignored work", |file| left.is_match(&code(&file.text)));
}

#[test]
fn foreign_libraries_stay_in_their_rooms() {
    for (library, rooms) in ROOMS {
        let named = Regex::new(&format!(r"\b{library}\b")).expect("a pattern");
        let elsewhere = |file: &File| !rooms.iter().any(|room| file.path.starts_with(room));
        let what = format!("these name {library} outside its room");
        offenders(&what, |file| elsewhere(file) && named.is_match(&code(&file.text)));
    }
}

#[test]
fn decisions_do_not_wait() {
    let waits = Regex::new(r"\.await\b|\basync\b|\btokio\b").expect("a pattern");
    offenders("these are pure and yet wait", |file| {
        PURE.contains(&file.path.as_str()) && waits.is_match(&code(&file.text))
    });
}

/// The dependencies that a manifest names, build and test dependencies included.
fn dependencies(part: &str) -> Vec<String> {
    let entry = Regex::new(r"^([A-Za-z0-9_-]+)(\.workspace)?\s*=").expect("a pattern");
    let mut names = Vec::new();
    let mut inside = false;
    for line in tree::manifest(part).lines() {
        if let Some(section) = line.strip_prefix('[') {
            inside = section.contains("dependencies");
        } else if inside && let Some(found) = entry.captures(line) {
            names.push(found[1].to_owned());
        }
    }
    assert!(!names.is_empty(), "{part} depends on something");
    names
}

#[test]
fn arrows_point_one_way() {
    for (part, forbidden) in [
        ("common", &["server", "controller", "invoker", "standalone"][..]),
        ("server", &["controller", "invoker", "standalone"]),
        ("controller", &["invoker", "standalone"]),
        ("invoker", &["controller", "standalone"]),
        ("admin", &["server", "controller", "invoker", "standalone"]),
    ] {
        let known = dependencies(part);
        let wrong: Vec<_> = known.iter().filter(|name| forbidden.contains(&name.as_str())).collect();
        assert!(wrong.is_empty(), "{part} must not depend on {wrong:?}");
    }
}
