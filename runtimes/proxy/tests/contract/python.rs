//! Python actions, behind the proxy.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::Server;

fn python() -> Option<Server> {
    Server::python(&[])
}

#[test]
fn an_action_greets_whom_it_is_told_to() {
    let Some(mut server) = python() else { return };
    assert_eq!(
        server.init("def main(a):\n  return {'hello': a.get('name', 'stranger')}").body,
        json!({"ok": true})
    );
    for name in ["Zoë", "☃ 雪", "\u{0}\n\u{1F980}"] {
        let response = server.run(json!({ "name": name }));
        assert_eq!((response.status, response.body), (200, json!({ "hello": name })));
    }
    assert_eq!(server.run(json!({})).body, json!({"hello": "stranger"}));
    assert_eq!(server.printed(), (String::new(), String::new()));
}

#[test]
fn a_megabyte_goes_in_and_out_and_so_does_an_array() {
    let Some(mut server) = python() else { return };
    server.init("def main(a):\n  return a");
    let large = json!({"text": "ü".repeat(1 << 19)});
    assert_eq!(server.run(large.clone()).body, large);
    assert_eq!(server.run(json!(["a", 1])).body, json!(["a", 1]));
    // The platform's JSON may be spread over lines.
    let response = server.post_text("/run", "{\n \"value\": {\n\"a\": 1}\r\n}\n").unwrap();
    assert_eq!(response.body, json!({"a": 1}));
}

#[test]
fn the_environment_is_the_actions_and_of_this_run() {
    let Some(mut server) = python() else { return };
    let code = "import os\nat_init = os.environ['SOME_VAR']\n\
                def main(a):\n  return {'at_init': at_init, 'env': {k: v for k, v in os.environ.items()}}";
    let env = json!({"SOME_VAR": "xyz", "N": 5, "O": {"a": 1}, "__OW_NAMESPACE": "init"});
    let value = json!({"main": "main", "code": code, "env": env});
    assert_eq!(server.init_with(value).status, 200);
    let body = server.run(json!({})).body;
    assert_eq!(body["at_init"], "xyz");
    let expected = [
        ("SOME_VAR", "xyz"),
        ("N", "5"),
        ("O", r#"{"a":1}"#),
        ("__OW_API_HOST", "http://api.example"),
        ("__OW_NAMESPACE", "guest"),
        ("__OW_ACTION_NAME", "/guest/a"),
        ("__OW_ACTION_VERSION", "0.0.1"),
        ("__OW_ACTIVATION_ID", "f00"),
        ("__OW_TRANSACTION_ID", "t1"),
        ("__OW_DEADLINE", "1700000060000"),
        ("__OW_API_KEY", "u:k"),
    ];
    for (name, value) in expected {
        assert_eq!(body["env"][name], value, "{name}");
    }
    assert_eq!(body["env"]["OUTER_SECRET"], Value::Null);
    // Versions of other types than text are left out instead of ending the launcher.
    let odd = json!({"value": {}, "action_version": null, "deadline": 5});
    assert_eq!(server.post("/run", &odd).unwrap().status, 200);
}

#[test]
fn an_exception_is_an_error_and_its_traceback_a_log() {
    let Some(mut server) = python() else { return };
    server.init("def main(a):\n  return {'x': 1 / a['y']}");
    let response = server.run(json!({"y": 0}));
    assert_eq!((response.status, &response.body), (200, &json!({"error": "division by zero"})));
    assert!(server.printed().1.contains("ZeroDivisionError"));
    assert_eq!(server.run(json!({"y": 1})).body, json!({"x": 1.0}));
}

#[test]
fn what_is_no_dictionary_is_refused() {
    let Some(mut server) = python() else { return };
    server.init("results = {'text': 'no', 'none': None, 'nan': {'n': float('nan')}, 'fine': {}}\ndef main(a):\n  return results[a['k']]");
    for kind in ["text", "none", "nan"] {
        let response = server.run(json!({ "k": kind }));
        assert_eq!(response.status, 502, "{kind}");
        assert_eq!(response.error(), "The action did not return a dictionary or array.");
    }
    assert_eq!(server.run(json!({"k": "fine"})).status, 200);
}

#[test]
fn results_that_are_hard_to_write_do_not_end_the_action() {
    let Some(mut server) = python() else { return };
    server.init("def main(a):\n  return {'x': {1}} if a.get('set') else {'x': '\\ud800'}");
    assert!(server.run(json!({"set": true})).error().contains("not JSON serializable"));
    assert_eq!(server.run(json!({})).status, 200);
}

#[test]
fn code_that_does_not_load_is_explained() {
    let cases = [
        ("def main(a):\n  return {\n", "SyntaxError"),
        ("import iamnotsupported\ndef main(a): pass", "ModuleNotFoundError"),
        ("raise ValueError('at load')", "ValueError: at load"),
        ("def other(a): pass", "does not define 'main'"),
        ("main = 5", "'main' is not a function"),
    ];
    for (code, expected) in cases {
        let Some(mut server) = python() else { return };
        let response = server.init(code);
        assert_eq!(response.status, 502, "{code}");
        assert!(response.error().contains(expected), "{code}: {}", response.error());
        assert!(!response.error().contains("launcher.py"), "{}", response.error());
        let (_, stderr) = server.printed();
        assert!(stderr.contains(expected), "{stderr}");
        assert_eq!(server.run(json!({})).status, 500);
    }
}

#[test]
fn archives_are_unpacked_and_bring_their_modules_and_files() {
    let Some(mut server) = python() else { return };
    let files = [
        (
            "__main__.py",
            "from lib.echo import echo\nassert __name__ != '__main__'\ndef niam(a):\n  return echo(a)",
        ),
        ("lib/echo.py", "def echo(a):\n  return {'echo': a, 'file': open('data.txt').read()}"),
        ("data.txt", "here"),
    ];
    assert_eq!(server.init_zip("niam", &files).status, 200);
    assert_eq!(server.run(json!({"m": 1})).body, json!({"echo": {"m": 1}, "file": "here"}));
}

#[test]
fn virtual_environments_are_found_both_ways() {
    let main = "import agent\ndef main(a):\n  return {'agent': agent.NAME}";
    let activate =
        "import os, sys\nsys.path.insert(0, os.path.join(os.path.dirname(__file__), '../packages'))";
    let with_script = [
        ("__main__.py", main),
        ("virtualenv/bin/activate_this.py", activate),
        ("virtualenv/packages/agent.py", "NAME = 'script'"),
    ];
    let with_packages =
        [("__main__.py", main), ("virtualenv/lib/python3.9/site-packages/agent.py", "NAME = 'packages'")];
    for (files, expected) in [(&with_script[..], "script"), (&with_packages[..], "packages")] {
        let Some(mut server) = python() else { return };
        let response = server.init_zip("main", files);
        assert_eq!(response.status, 200, "{response:?}");
        assert_eq!(server.run(json!({})).body, json!({ "agent": expected }));
    }
    let Some(mut server) = python() else { return };
    let response = server.init_zip("main", &[("__main__.py", main), ("virtualenv/readme.md", "")]);
    assert!(response.error().contains("Invalid virtualenv"), "{response:?}");
}

#[test]
fn archives_that_are_no_actions_are_refused() {
    let Some(mut server) = python() else { return };
    let response = server.init_zip("echo", &[("echo.py", "def echo(a): return a")]);
    assert_eq!(response.status, 502);
    assert!(response.error().contains("Zip file does not include"), "{response:?}");
    let text = json!({"main": "main", "code": "Q2VjaSBuJ2VzdCBwYXMgdW4gemlwLgo=", "binary": true});
    let response = server.init_with(text);
    assert_eq!(response.status, 502);
    assert!(response.error().contains("uncompressing"), "{response:?}");
    let response = server.init_zip("main", &[("../evil.py", "")]);
    assert!(response.error().contains("leads out of the archive"), "{response:?}");
    // A failed /init may be followed by a better one.
    assert_eq!(server.init("def main(a):\n  return a").status, 200);
}

#[test]
fn an_action_that_exits_takes_the_server_along_without_an_answer() {
    let Some(mut server) = python() else { return };
    server.init("import sys\ndef main(a):\n  print('last words')\n  sys.exit(3)");
    assert!(server.try_run(json!({})).is_none());
    assert_eq!(server.ended().code(), Some(3));
    assert_eq!(server.last_words(), "last words\n");
}

#[test]
fn an_action_that_exits_while_it_loads_says_so_only_if_it_can() {
    let Some(mut server) = python() else { return };
    let body = json!({"value": {"code": "import sys; sys.exit(1)"}});
    assert!(server.post("/init", &body).is_none());
    assert_eq!(server.ended().code(), Some(1));

    let Some(mut server) = python() else { return };
    let response = server.init("import sys; sys.exit('no licence')");
    assert_eq!(response.status, 502);
    assert!(response.error().contains("no licence"), "{response:?}");
}

#[test]
fn log_counts_are_exact_with_subprocesses_and_large_output() {
    let Some(mut server) = python() else { return };
    let code = "import os, subprocess, sys\nprint('loading')\ndef main(a):\n\
                \x20 print('ü' * a['n'])\n  print('err', file=sys.stderr)\n\
                \x20 subprocess.run(['sh', '-c', 'echo from a child; echo oops >&2'])\n\
                \x20 os.write(1, b'raw\\n')\n  return {}";
    assert_eq!(server.init(code).log_bytes, (8, 0));
    let fixed = "from a child\nraw\n".len();
    for n in [0, 1, 100_000, 2_000_000] {
        // What Python still holds when the child prints comes later; that it comes in time is what counts.
        let response = server.run(json!({ "n": n }));
        assert_eq!(response.log_bytes, (2 * n + 1 + fixed, "err\noops\n".len()), "{n}");
    }
    server.printed();
}

#[test]
fn standard_input_is_not_the_protocol() {
    let Some(mut server) = python() else { return };
    server.init(
        "import subprocess, sys\ndef main(a):\n  subprocess.run(['cat'])\n  return {'in': sys.stdin.read()}",
    );
    assert_eq!(server.run(json!({})).body, json!({"in": ""}));
    assert_eq!(server.run(json!({})).body, json!({"in": ""}));
}

/// Tells which process runs it, and two things of how that was started.
const PARENT: &str = "import os\ndef main(a):\n  return {'pid': os.getpid(), 'seed': os.environ.get('PYTHONHASHSEED'), \
                      'flag': __import__('sys').flags.hash_randomization, 'x': os.environ.get('X')}";

fn waiting(server: &Server) -> Vec<u32> {
    let file = format!("/proc/{0}/task/{0}/children", server.id());
    let children = std::fs::read_to_string(file).unwrap();
    children.split_whitespace().map(|id| id.parse().unwrap()).collect()
}

#[test]
fn an_interpreter_is_there_before_the_code_is() {
    let Some(mut server) = python() else { return };
    let id = started(&server);
    let init = json!({"code": PARENT, "env": {"X": "a\nü\u{1F980}"}});
    assert_eq!(server.init_with(init).status, 200);
    let body = server.run(json!({})).body;
    assert_eq!((&body["pid"], &body["x"]), (&json!(id), &json!("a\nü\u{1F980}")));
    assert_eq!(waiting(&server), [id]);
    // Without the option it is started for the code.
    let Some(mut server) = Server::python_with(&[]) else { return };
    assert_eq!(server.init(PARENT).status, 200);
    assert_eq!(server.run(json!({})).status, 200);
}

/// The process that waits, once there is one.
fn started(server: &Server) -> u32 {
    for _ in 0..3000 {
        if let [id] = waiting(server)[..] {
            return id;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    panic!("no interpreter is started");
}

#[test]
fn variables_that_are_read_at_the_start_are_there_at_the_start() {
    let Some(mut server) = python() else { return };
    let id = started(&server);
    let init = json!({"code": PARENT, "env": {"PYTHONHASHSEED": "0"}});
    assert_eq!(server.init_with(init).status, 200);
    let body = server.run(json!({})).body;
    assert_ne!(body["pid"], json!(id));
    assert_eq!((&body["seed"], &body["flag"]), (&json!("0"), &json!(0)));
}

#[test]
fn an_interpreter_that_ended_before_there_was_code_is_replaced() {
    let Some(mut server) = python() else { return };
    let id = started(&server);
    Command::new("kill").args(["-9", &id.to_string()]).status().unwrap();
    for _ in 0..3000 {
        if waiting(&server).is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    assert_eq!(server.init(PARENT).status, 200);
    assert_ne!(server.run(json!({})).body["pid"], json!(id));
}
