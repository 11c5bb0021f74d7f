//! Node.js actions whose runs may overlap: everything that is printed is marked with its activation.

use std::collections::BTreeMap;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Client, Response, Server, run_body};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The mark, token, id, length and newline.
const HEAD: usize = 70;
const NOBODY: &str = "00000000000000000000000000000000";

/// What a stream holds: by activation, and what is not marked.
type Shares = BTreeMap<String, String>;

fn id(n: usize) -> String {
    format!("{n:032x}")
}

/// A server that was told to mark its output, with this code; `/init` was activation 1's.
fn marking(code: &str) -> Option<(Server, Response)> {
    let mut server = Server::nodejs(&[("__OW_ALLOW_CONCURRENT", "true")])?;
    let value = json!({"name": "a", "main": "main", "code": code, "binary": false,
        "env": {"__OW_ACTIVATION_ID": id(1), "__OW_NAMESPACE": "guest"}});
    let response = server.post("/init", &json!({"value": value, "log_token": TOKEN})).unwrap();
    assert_eq!(response.status, 200, "{response:?}");
    Some((server, response))
}

fn body(n: usize, value: Value) -> String {
    let mut body = run_body(value);
    body["activation_id"] = json!(id(n));
    body.to_string()
}

fn run(server: &mut Server, n: usize, value: Value) -> Response {
    server.post_text("/run", &body(n, value)).unwrap()
}

/// Takes a stream's marks off. The end of it may not have come yet.
fn shares(mut stream: &str) -> Shares {
    let mut shares = Shares::new();
    let mark = format!("\u{1e}{TOKEN}");
    while !stream.is_empty() {
        let start = stream.find(&mark).unwrap_or(stream.len());
        if start > 0 {
            shares.entry("unmarked".to_owned()).or_default().push_str(&stream[..start]);
        }
        stream = &stream[start..];
        let Some((head, rest)) = stream.split_at_checked(HEAD) else { return shares };
        let length = usize::from_str_radix(&head[65..69], 16).unwrap();
        assert!(head.ends_with('\n') && HEAD + length <= 4096, "{head:?}");
        let Some((piece, rest)) = rest.split_at_checked(length) else { return shares };
        shares.entry(head[33..65].to_owned()).or_default().push_str(piece);
        stream = rest;
    }
    shares
}

/// What activation `n` has printed, once so many bytes of it are here.
fn printed(server: &Server, n: usize, (stdout, stderr): (usize, usize)) -> (String, String) {
    for round in 0.. {
        let streams = server.everything();
        let share = |stream: &str| shares(stream).remove(&id(n)).unwrap_or_default();
        let found = (share(&streams.0), share(&streams.1));
        if found.0.len() >= stdout && found.1.len() >= stderr || round == 6000 {
            assert_eq!((found.0.len(), found.1.len()), (stdout, stderr), "{found:?}");
            return found;
        }
        thread::sleep(Duration::from_millis(5));
    }
    unreachable!("the last round returns or fails")
}

#[test]
fn overlapping_runs_are_told_apart_across_everything_that_waits() {
    const RUNS: usize = 20;
    let code = "const fs = require('fs'), cp = require('child_process'), { EventEmitter } = require('events');
        const waiting = [];
        async function main({ n, runs }) {
            console.log(`in ${n}`);
            await new Promise(go => { waiting.push(go); if (waiting.length === runs) waiting.forEach(f => f()) });
            process.stdout.write(`half `);
            await new Promise(setImmediate);
            process.stdout.write(`and half ${n}\\n`);
            await new Promise(done => setTimeout(done, 5));
            console.error(`timer ${n}`);
            await new Promise(done => fs.readFile('/proc/self/stat', done));
            fs.writeSync(2, `file ${n}\\n`);
            await new Promise(done => cp.spawn('sh', ['-c', 'echo $__OW_ACTIVATION_ID'], {stdio: 'inherit'}).on('close', done));
            await new Promise(done => fs.write(1, `write ${n}\\n`, done));
            const emitter = new EventEmitter().on('it', () => console.log(`event ${n}`));
            process.nextTick(() => emitter.emit('it'));
            await new Promise(setImmediate);
            return { n, id: process.env.__OW_ACTIVATION_ID };
        }";
    let Some((server, _)) = marking(code) else { return };
    let address = server.address;
    let post = move |n: usize| {
        Client::connect(address).post("/run", &body(n, json!({"n": n, "runs": RUNS}))).unwrap()
    };
    let callers: Vec<_> = (2..2 + RUNS).map(|n| (n, thread::spawn(move || post(n)))).collect();
    for (n, caller) in callers {
        let response = caller.join().unwrap();
        assert_eq!((response.status, response.body), (200, json!({"n": n, "id": id(n)})));
        let (stdout, stderr) = printed(&server, n, response.log_bytes);
        assert_eq!(stdout, format!("in {n}\nhalf and half {n}\n{}\nwrite {n}\nevent {n}\n", id(n)));
        assert_eq!(stderr, format!("timer {n}\nfile {n}\n"));
    }
}

#[test]
fn every_way_to_print_is_marked_and_counted() {
    for (code, stdout, stderr) in crate::nodejs::WAYS_TO_PRINT {
        let code = format!(
            "const fs = require('fs'), cp = require('child_process'), util = require('util');\n\
             async function main() {{ {code}; return {{}} }}"
        );
        let Some((mut server, _)) = marking(&code) else { return };
        let response = run(&mut server, 2, json!({}));
        assert_eq!(response.body, json!({}), "{code}");
        if stderr < usize::MAX {
            assert_eq!(response.log_bytes, (stdout, stderr), "{code}");
        }
        printed(&server, 2, response.log_bytes);
    }
}

#[test]
fn large_and_binary_output_comes_in_pieces_that_are_whole() {
    let code = "function main({ size }) {
        process.stdout.write('x'.repeat(size) + '\\n');
        process.stderr.write(Buffer.from('\\x1e\\x00\\x01'));
        return {};
    }";
    let Some((mut server, _)) = marking(code) else { return };
    for (n, size) in [(2, 0), (3, 4_025), (4, 4_026), (5, 3_000_000)] {
        let response = run(&mut server, n, json!({ "size": size }));
        assert_eq!(response.log_bytes, (size + 1, 3));
        let (stdout, stderr) = printed(&server, n, response.log_bytes);
        assert_eq!((stdout.len(), stderr.as_str()), (size + 1, "\u{1e}\0\u{1}"));
    }
}

#[test]
fn what_is_no_runs_is_nobodys() {
    let code = "console.log('loading');
        const timer = setInterval(() => console.log('tick'), 1);
        async function main({ n }) {
            if (n === 3) {
                // A descriptor that nobody watches, as native code would use it.
                const fd = require('fs').openSync('/dev/stdout', 'w');
                require('fs').writeSync(fd, 'unmarked\\n');
                clearInterval(timer);
            }
            await new Promise(done => setTimeout(done, 10));
            return { namespace: process.env.__OW_NAMESPACE };
        }";
    let Some((mut server, init)) = marking(code) else { return };
    assert_eq!(init.log_bytes, (8, 0));
    assert_eq!(printed(&server, 1, init.log_bytes).0, "loading\n");
    for n in [2, 3] {
        let response = run(&mut server, n, json!({ "n": n }));
        assert_eq!((response.log_bytes, &response.body["namespace"]), ((0, 0), &json!("guest")));
    }
    let shares = shares(&server.everything().0);
    assert!(shares[NOBODY].starts_with("tick\ntick\n"), "{shares:?}");
    assert_eq!(shares["unmarked"], "unmarked\n");
}

#[test]
fn a_run_after_one_that_threw_is_for_another_container() {
    let code =
        "const main = a => { console.log('run'); if (a.fail) throw new Error('on purpose'); return {} }";
    let Some((mut server, _)) = marking(code) else { return };
    let thrown = run(&mut server, 2, json!({"fail": true}));
    assert_eq!((thrown.status, thrown.error()), (502, "An error has occurred: Error: on purpose"));
    assert!(printed(&server, 2, thrown.log_bytes).1.starts_with("Error: on purpose\n"));
    let refused = run(&mut server, 3, json!({}));
    assert_eq!((refused.status, refused.log_bytes), (503, (0, 0)));
}

#[test]
fn only_the_first_init_tells_and_only_a_token_is_one() {
    let Some(mut server) = Server::nodejs(&[]) else { return };
    let value = json!({"main": "main", "code": "const main = () => { console.log('x'); return {} }"});
    for token in [json!("short"), json!("X".repeat(32)), json!(7)] {
        server.post("/init", &json!({"value": {}, "log_token": token})).unwrap();
    }
    server.post("/init", &json!({ "value": value })).unwrap();
    server.post("/init", &json!({"value": value, "log_token": TOKEN})).unwrap();
    assert_eq!(server.run(json!({})).log_bytes, (2, 0));
    assert_eq!(server.printed().0, "x\n");
}
