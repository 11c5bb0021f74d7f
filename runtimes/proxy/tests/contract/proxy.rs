//! What the proxy does whatever the language: with Python, and with launchers of a few lines of shell.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::harness::{Client, Server, run_body};

/// Acknowledges, and then does `run` for every request, which is in `$line`.
fn shell(run: &str) -> Server {
    let script = format!("echo '{{\"ok\":true}}' >&3; while read -r line; do {run}; done");
    Server::proxied(&[], &["sh", "-c", &script])
}

#[test]
fn refusals_carry_upstreams_statuses_and_sentences() {
    let mut server = shell("echo '{}' >&3");
    let response = server.run(json!({}));
    assert_eq!((response.status, response.error()), (500, "no action defined yet"));
    let response = server.init("");
    assert_eq!((response.status, response.error()), (403, "Missing main/no code to execute."));
    let response = server.post_text("/init", "no json").unwrap();
    assert_eq!(response.status, 400);
    assert!(response.error().starts_with("Error unmarshaling request: "));
    let response = server.init_with(json!({"code": "%", "binary": true}));
    assert_eq!(response.status, 400);
    assert!(response.error().starts_with("cannot decode the request: "));
    assert_eq!(server.init("x").body, json!({"ok": true}));
    let response = server.init("x");
    assert_eq!((response.status, response.error()), (403, "Cannot initialize the action more than once."));
    for body in ["no json", "[]", "\"x\"", ""] {
        assert_eq!(server.post_text("/run", body).unwrap().status, 400, "{body}");
    }
    assert_eq!(server.post("/other", &json!({})).unwrap().status, 404);
    assert_eq!(server.run(json!({})).status, 200);
    server.printed();
}

#[test]
fn the_launcher_is_given_the_folder_and_main() {
    let script = "echo '{\"ok\":true}' >&3; while read -r line; do \
                  printf '{\"main\":\"%s\",\"code\":\"%s\"}\\n' \"$2\" \"$(cat \"$1/exec\")\" >&3; done";
    let mut server = Server::proxied(&[], &["sh", "-c", script, "sh"]);
    server.init_with(json!({"main": "niam", "code": "source"}));
    assert_eq!(server.run(json!({})).body, json!({"main": "niam", "code": "source"}));
}

#[test]
fn a_launcher_that_refuses_or_is_missing_is_reported() {
    let mut server = Server::proxied(&[], &["sh", "-c", "echo '{\"ok\":false}' >&3"]);
    assert_eq!(server.init("x").error(), "The action did not initialize properly.");
    let mut server = Server::proxied(&[], &["/nonexistent/launcher"]);
    let response = server.init("x");
    assert_eq!(response.status, 502);
    assert!(response.error().starts_with("cannot start action: "), "{response:?}");
}

#[test]
fn answers_that_are_no_json_objects_are_refused() {
    for answer in ["5", "\"x\"", "null", "{broken", ""] {
        let mut server = shell(&format!("printf '%s\\n' '{answer}' >&3"));
        server.init("x");
        let response = server.run(json!({}));
        assert_eq!(response.status, 502, "{answer}");
        assert_eq!(response.error(), "The action did not return a dictionary or array.");
    }
}

#[test]
fn an_answer_counts_even_if_the_process_ends_with_it() {
    let mut server = shell("echo bye; echo '{\"last\":1}' >&3; exit 0");
    server.init("x");
    let response = server.run(json!({}));
    assert_eq!((response.status, response.log_bytes), (200, (4, 0)));
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_killed_or_mute_action_is_dropped_without_an_answer() {
    let mut server = shell("kill -9 $$");
    server.init("x");
    assert!(server.try_run(json!({})).is_none());
    assert_eq!(server.ended().code(), Some(128 + 9));
    // It closes its channel and lives on: nothing can ever be heard from it.
    let mut server = shell("exec 3>&-; sleep 100");
    server.init("x");
    assert!(server.try_run(json!({})).is_none());
    server.ended();
}

#[test]
fn an_action_that_ends_between_two_runs_ends_the_server() {
    let mut server = shell("echo '{}' >&3; echo after; exit 7");
    server.init("x");
    assert_eq!(server.run(json!({})).status, 200);
    assert_eq!(server.ended().code(), Some(7));
    assert_eq!(server.last_words(), "after\n");
}

#[test]
fn output_after_the_answer_belongs_to_the_next_one() {
    let mut server = shell("echo '{}' >&3; sleep 0.1; echo late >&2");
    server.init("x");
    assert_eq!(server.run(json!({})).log_bytes, (0, 0));
    assert_eq!(server.run(json!({})).log_bytes, (0, 5));
    assert_eq!(server.printed().1, "late\n");
}

#[test]
fn an_action_that_prints_without_end_is_answered_all_the_same() {
    let mut server = shell("[ -n \"$noise\" ] || yes noise & noise=1; echo '{}' >&3");
    server.init("x");
    for _ in 0..5 {
        assert_eq!(server.run(json!({})).status, 200);
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn runs_from_several_connections_take_turns() {
    let mut server = shell("sleep 0.02; echo \"$line\" >&3");
    server.init("x");
    let address = server.address;
    let callers: Vec<_> = (0..8)
        .map(|number| {
            thread::spawn(move || {
                let response =
                    Client::connect(address).post("/run", &run_body(json!({ "n": number })).to_string());
                assert_eq!(response.unwrap().body["value"]["n"], number);
            })
        })
        .collect();
    callers.into_iter().for_each(|caller| caller.join().unwrap());
}

#[test]
fn a_caller_that_hangs_up_leaves_no_answer_behind() {
    let mut server = shell("sleep 0.2; echo \"$line\" >&3");
    server.init("x");
    let mut impatient = Client::connect(server.address);
    impatient.send("/run", &run_body(json!({"n": 1})).to_string());
    thread::sleep(Duration::from_millis(50));
    drop(impatient);
    assert_eq!(server.run(json!({"n": 2})).body["value"]["n"], 2);
}

#[test]
fn limits_are_in_force_for_the_action() {
    let options = ["--nofile", "77", "--fsize-mb", "3", "--die-with-parent"];
    let script = "echo '{\"ok\":true}' >&3; while read -r line; do \
                  printf '{\"n\":%s,\"f\":%s,\"c\":%s}\\n' \"$(ulimit -n)\" \"$(ulimit -f)\" \"$(ulimit -c)\" >&3; done";
    let mut server = Server::proxied(&options, &["sh", "-c", script, "sh"]);
    server.init("x");
    let body = server.run(json!({})).body;
    // A shell counts files in blocks of 512 bytes or of 1024.
    assert!(body["f"] == 6144 || body["f"] == 3072, "{body}");
    assert_eq!((&body["n"], &body["c"]), (&json!(77), &json!(0)));
}

#[test]
fn the_action_dies_with_the_server_and_the_server_with_its_parent() {
    let script = "echo '{\"ok\":true}' >&3; while read -r line; do echo \"{\\\"id\\\":$$}\" >&3; done";
    let mut server = Server::proxied(&["--die-with-parent"], &["sh", "-c", script, "sh"]);
    server.init("x");
    let id = server.run(json!({})).body["id"].as_u64().unwrap();
    let alive =
        || std::fs::read_to_string(format!("/proc/{id}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    assert!(alive());
    Command::new("kill").args(["-9", &server.id().to_string()]).status().unwrap();
    assert_eq!(server.ended().signal(), Some(9));
    for _ in 0..1000 {
        if !alive() {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the action lives on");
}

#[test]
fn a_program_is_not_started_for_a_parent_that_is_gone() {
    let proxy = env!("CARGO_BIN_EXE_action-proxy");
    let output = Command::new(proxy)
        .args(["exec", "--die-with-parent=999999", "--", "echo", "started"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let id = format!("--die-with-parent={}", std::process::id());
    let output = Command::new(proxy).args(["exec", &id, "--", "echo", "started"]).output().unwrap();
    assert_eq!(output.stdout, b"started\n");
}
