//! Compiled actions, which are their own launchers: here programs of a few lines of shell.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Server, archive};

/// Answers each request with what it was told about acknowledging.
const LOOP: &str = "while read -r line; do \
                    echo \"{\\\"ack\\\":\\\"$__OW_WAIT_FOR_ACK\\\",\\\"env\\\":\\\"$__OW_EXECUTION_ENV\\\"}\" >&3; done";

fn program(first: &str) -> String {
    format!("#!/bin/sh\n{first}\n{LOOP}\n")
}

fn zip(files: &[(&str, &str)]) -> Value {
    json!({"code": archive(files), "binary": true})
}

#[test]
fn a_program_without_a_mark_is_not_waited_for() {
    let mut server = Server::executable(&[]);
    let code = STANDARD.encode(program("echo started"));
    assert_eq!(server.init_with(json!({"code": code, "binary": true})).status, 200);
    assert_eq!(server.run(json!({})).body, json!({"ack": "", "env": ""}));
    assert_eq!(server.printed().0, "started\n");
}

#[test]
fn a_mark_beside_the_program_makes_it_acknowledge() {
    let mut server = Server::executable(&[]);
    let acknowledging = program("sleep 0.05; echo '{\"ok\": true}' >&3");
    assert_eq!(server.init_with(zip(&[("exec", &acknowledging), ("exec.env", "some/image\n")])).status, 200);
    assert_eq!(server.run(json!({})).body, json!({"ack": "1", "env": "some/image"}));
}

#[test]
fn an_image_may_have_all_its_programs_acknowledge() {
    let mut server = Server::executable(&["--ack"]);
    let refusing = program("echo '{\"ok\":false,\"error\":\"not today\"}' >&3");
    let response = server.init_with(zip(&[("exec", &refusing)]));
    assert_eq!((response.status, response.error()), (502, "not today"));
}

#[test]
fn a_program_that_fails_at_once_says_why() {
    let mut server = Server::executable(&["--ack"]);
    let response = server.init_with(zip(&[("exec", "#!/bin/sh\necho no library >&2; exit 127\n")]));
    assert_eq!(response.status, 502);
    assert_eq!(response.error(), "Command exited abruptly during initialization.\nno library");
}

#[test]
fn what_cannot_be_started_is_refused_with_the_remedy() {
    for value in [
        json!({"code": "package main", "binary": false}),
        zip(&[("exec", "package main")]),
        zip(&[("exec", "#![allow(unused)]")]),
    ] {
        let response = Server::executable(&["--ack"]).init_with(value);
        assert_eq!(response.status, 502);
        assert!(response.error().contains("-compile MAIN"), "{response:?}");
    }
    let response = Server::executable(&[]).init_with(zip(&[("main.go", "package main")]));
    assert_eq!(response.error(), "The action's archive holds no program called 'exec'.");
}
