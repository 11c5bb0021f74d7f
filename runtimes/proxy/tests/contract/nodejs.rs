//! Node.js actions, on the server that their image has.

use std::fs;
use std::thread;

use serde_json::{Value, json};

use crate::harness::{Client, Server, run_body};

fn nodejs() -> Option<Server> {
    Server::nodejs(&[])
}

#[test]
fn an_action_greets_whom_it_is_told_to() {
    let Some(mut server) = nodejs() else { return };
    let code = "function main(a) { return {hello: a.name || 'stranger', more: a.more} }";
    assert_eq!(server.init(code).body, json!({"OK": true}));
    for name in ["Zoë", "☃ 雪", "\u{0}\n\u{1F980}"] {
        let response = server.run(json!({ "name": name, "more": [1, {"x": null}] }));
        let expected = json!({ "hello": name, "more": [1, {"x": null}] });
        assert_eq!((response.status, response.body), (200, expected));
    }
    assert_eq!(server.printed(), (String::new(), String::new()));
}

#[test]
fn every_way_to_name_the_entry_point_works() {
    let cases = [
        ("main", "exports.main = () => ({at: 1})"),
        ("main", "module.exports.main = async () => ({at: 1})"),
        ("main", "global.main = function () { return {at: 1} }"),
        ("main", "const main = () => Promise.resolve({at: 1})"),
        ("main", "'use strict'; let main = () => ({at: 1}) // no line end"),
        ("niam", "var niam = () => ({at: 1})"),
        ("a.b", "const a = {b: () => ({at: 1})}"),
        ("a.b", "exports.a = {b: () => ({at: 1})}"),
        ("main", "import path from 'node:path'; export function main() { return {at: path.sep.length} }"),
        ("main", "export default () => ({at: 1})"),
        ("main", "async function main() { return {at: (await import('node:path')).sep.length} }"),
    ];
    for (main, code) in cases {
        let Some(mut server) = nodejs() else { return };
        let response = server.init_with(json!({"main": main, "code": code}));
        assert_eq!(response.status, 200, "{code}: {response:?}");
        assert_eq!(server.run(json!({})).body, json!({"at": 1}), "{code}");
    }
}

#[test]
fn a_megabyte_an_array_and_nothing_come_back() {
    let Some(mut server) = nodejs() else { return };
    server.init("const main = a => a.nothing ? undefined : a");
    let large = json!({"text": "ü".repeat(1 << 19)});
    assert_eq!(server.run(large.clone()).body, large);
    assert_eq!(server.run(json!(["a", 1])).body, json!(["a", 1]));
    assert_eq!(server.run(json!({"nothing": true})).body, json!({}));
    assert_eq!(server.run(Value::Null).body, json!({}));
}

#[test]
fn the_environment_is_of_this_run() {
    let Some(mut server) = nodejs() else { return };
    let code = "const at_init = process.env.SOME_VAR; const main = () => ({at_init, env: process.env})";
    let env = json!({"SOME_VAR": "xyz", "N": 5, "O": {"a": 1}, "__OW_NAMESPACE": "init"});
    server.init_with(json!({"main": "main", "code": code, "env": env}));
    let body = server.run(json!({})).body;
    assert_eq!(body["at_init"], "xyz");
    let expected = [
        ("N", "5"),
        ("O", r#"{"a":1}"#),
        ("__OW_API_HOST", "http://api.example"),
        ("__OW_NAMESPACE", "guest"),
        ("__OW_ACTIVATION_ID", "f00"),
        ("__OW_DEADLINE", "1700000060000"),
        ("__OW_API_KEY", "u:k"),
    ];
    for (name, value) in expected {
        assert_eq!(body["env"][name], value, "{name}");
    }
    assert_eq!(body["env"]["OXWHISK_LISTEN_STDIN"], Value::Null);
}

#[test]
fn a_thrown_error_stops_the_action_and_a_rejection_does_not() {
    let Some(mut server) = nodejs() else { return };
    server.init("function main(a) { if (a.reject) return Promise.reject(a.with); throw 'nooooo' }");
    let rejected = server.run(json!({"reject": true, "with": {"done": true}}));
    assert_eq!((rejected.status, rejected.body), (200, json!({"error": {"done": true}})));
    assert_eq!(server.run(json!({"reject": true})).body, json!({"error": {}}));
    let thrown = server.run(json!({}));
    assert_eq!((thrown.status, thrown.error()), (502, "An error has occurred: nooooo"));
    let after = server.run(json!({}));
    assert_eq!((after.status, after.error()), (403, "System not ready, status is stopped."));
    assert!(server.printed().1.contains("nooooo"));
}

#[test]
fn errors_of_asynchronous_functions_are_told_in_full() {
    let Some(mut server) = nodejs() else { return };
    server.init(
        "async function main(a) { const e = new TypeError('app error'); e.code = 'E1'; e.self = e; throw e }",
    );
    let response = server.run(json!({}));
    assert_eq!(response.status, 200);
    let error = &response.body["error"];
    assert_eq!((&error["name"], &error["message"]), (&json!("TypeError"), &json!("app error")));
    assert_eq!((&error["code"], &error["self"]), (&json!("E1"), &json!("[Circular]")));
    assert!(error["stack"].as_str().unwrap().contains("TypeError: app error"));
}

#[test]
fn results_that_are_no_objects_are_refused() {
    let Some(mut server) = nodejs() else { return };
    server.init("const loop = {}; loop.loop = loop; const main = a => ({text: 'no', number: 5, loop, null: null})[a.k]");
    for kind in ["text", "number"] {
        let response = server.run(json!({ "k": kind }));
        assert_eq!((response.status, response.error()), (502, "The action did not return a dictionary."));
    }
    assert!(server.run(json!({"k": "loop"})).error().contains("circular"));
    let response = server.run(json!({"k": "null"}));
    assert_eq!((response.status, response.body), (200, Value::Null));
}

#[test]
fn code_that_does_not_load_is_explained() {
    let cases = [
        ("10 PRINT 'x'", "SyntaxError"),
        ("function main() {", "SyntaxError"),
        ("throw new Error('at load')", "Error: at load"),
        ("require('nothere'); function main() {}", "Cannot find module 'nothere'"),
        ("function other() {}", "Action entrypoint 'main' is not a function."),
    ];
    for (code, expected) in cases {
        let Some(mut server) = nodejs() else { return };
        let response = server.init(code);
        assert_eq!(response.status, 502, "{code}");
        assert!(response.error().starts_with("Initialization has failed due to: "), "{}", response.error());
        assert!(response.error().contains(expected), "{code}: {}", response.error());
        assert!(server.printed().1.contains(expected));
        assert_eq!(server.run(json!({})).error(), "System not initialized.");
        assert_eq!(server.init("var main").error(), "System not ready, status is stopped.");
    }
}

#[test]
fn refusals_carry_upstreams_statuses_and_sentences() {
    let Some(mut server) = nodejs() else { return };
    let response = server.run(json!({}));
    assert_eq!((response.status, response.error()), (403, "System not initialized."));
    let response = server.init("");
    assert_eq!((response.status, response.error()), (403, "Missing main/no code to execute."));
    assert_eq!(server.post_text("/init", "no json").unwrap().status, 500);
    assert_eq!(server.post("/other", &json!({})).unwrap().error(), "Bad request.");
    assert_eq!(server.init("const main = a => a").status, 200);
    let response = server.init("const main = a => a");
    assert_eq!((response.status, response.error()), (403, "Cannot initialize the action more than once."));
    assert_eq!(server.run(json!("text")).status, 403);
    assert_eq!(server.run(json!({"a": 1})).body, json!({"a": 1}));
    server.printed();
}

#[test]
fn archives_bring_their_packages_and_files() {
    let package = r#"{"name": "x", "main": "lib/start.js"}"#;
    let start = "const fs = require('fs'); exports.main = a => ({dep: require('dep'), file: fs.readFileSync('t.txt', 'utf8'),\
                 here: process.cwd() === require('path').dirname(__dirname)})";
    let Some(mut server) = nodejs() else { return };
    let files = [
        ("package.json", package),
        ("lib/start.js", start),
        ("node_modules/dep/index.js", "module.exports = 'local'"),
        ("t.txt", "here"),
    ];
    let response = server.init_zip("main", &files);
    assert_eq!(response.status, 200, "{response:?}");
    assert_eq!(server.run(json!({})).body, json!({"dep": "local", "file": "here", "here": true}));
}

#[test]
fn archives_may_name_a_file_and_be_es_modules() {
    let cases = [
        ("main", &[("index.js", "exports.main = () => ({at: 1})")][..]),
        ("other.niam", &[("other.js", "exports.niam = () => ({at: 1})")]),
        ("other.niam.xyz", &[("other.js", "exports.niam = {xyz: () => ({at: 1})}")]),
        (
            "main",
            &[("package.json", r#"{"type":"module"}"#), ("index.js", "export const main = () => ({at: 1})")],
        ),
        (
            "main",
            &[
                ("package.json", r#"{"main":"a.mjs"}"#),
                ("a.mjs", "import sep from './b.mjs'; export default {main: () => ({at: sep})}"),
                ("b.mjs", "export default 1"),
            ],
        ),
    ];
    for (main, files) in cases {
        let Some(mut server) = nodejs() else { return };
        let response = server.init_zip(main, files);
        assert_eq!(response.status, 200, "{files:?}: {response:?}");
        assert_eq!(server.run(json!({})).body, json!({"at": 1}), "{files:?}");
    }
}

#[test]
fn archives_that_are_no_actions_are_refused() {
    let not_a_zip = json!({"main": "main", "code": "Q2VjaSBuJ2VzdCBwYXMgdW4gemlwLgo=", "binary": true});
    let Some(mut server) = nodejs() else { return };
    assert!(server.init_with(not_a_zip).error().contains("uncompressing"));
    let cases = [
        (&[("hello", "x")][..], "Zipped actions must contain either package.json or index.js at the root."),
        (&[("../evil.js", "x")], "leads out of the archive"),
        (&[("/evil.js", "x")], "leads out of the archive"),
        (&[("index.js", ""), ("l -> /etc/passwd", "")], "leads out of the archive"),
        (&[("index.js", ""), ("d/x", ""), ("d/l -> ../..", "")], "leads out of the archive"),
        (&[("index.js", ""), ("d/x", ""), ("s -> d", ""), ("s/l -> ..", "")], "leads out of the archive"),
        (&[("index.js", "exports.niam = 1")], "Action entrypoint 'main' is not a function."),
        (&[("index.js", "}")], "SyntaxError"),
    ];
    for (files, expected) in cases {
        let Some(mut server) = nodejs() else { return };
        let response = server.init_zip("main", files);
        assert_eq!(response.status, 502);
        assert!(response.error().contains(expected), "{files:?}: {}", response.error());
    }
    let Some(mut server) = nodejs() else { return };
    let linked = [
        ("index.js", "exports.main = () => require('./l')"),
        ("d/x.js", "exports.at = 1"),
        ("l.js -> d/x.js", ""),
    ];
    assert_eq!(server.init_zip("main", &linked).status, 200);
    assert_eq!(server.run(json!({})).body, json!({"at": 1}));
}

#[test]
fn packages_on_board_are_found_from_everywhere_but_local_ones_win() {
    let board = tempfile::tempdir().unwrap();
    for (name, text) in [("openwhisk", "module.exports = 'on board'"), ("dep", "module.exports = 'on board'")]
    {
        let folder = board.path().join("node_modules").join(name);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("index.js"), text).unwrap();
    }
    let modules = board.path().join("node_modules");
    let variables = [("OXWHISK_NODE_MODULES", modules.to_str().unwrap())];
    let expected = json!({"openwhisk": "on board"});

    let Some(mut server) = Server::nodejs(&variables) else { return };
    server.init("function main() { return {openwhisk: require('openwhisk')} }");
    assert_eq!(server.run(json!({})).body, expected);

    let Some(mut server) = Server::nodejs(&variables) else { return };
    server.init("import openwhisk from 'openwhisk'; export const main = () => ({openwhisk})");
    assert_eq!(server.run(json!({})).body, expected);

    let Some(mut server) = Server::nodejs(&variables) else { return };
    let files = [
        ("index.js", "exports.main = () => ({openwhisk: require('openwhisk'), dep: require('dep')})"),
        ("node_modules/dep/index.js", "module.exports = 'local'"),
    ];
    server.init_zip("main", &files);
    assert_eq!(server.run(json!({})).body, json!({"openwhisk": "on board", "dep": "local"}));
}

#[test]
fn an_action_that_exits_takes_the_server_along_without_an_answer() {
    let cases = [
        "process.exit(3)",
        "setTimeout(() => { throw new Error('uncaught') }, 1); return new Promise(() => {})",
        "Promise.reject(new Error('unhandled')); return new Promise(() => {})",
        "process.kill(process.pid, 'SIGKILL')",
    ];
    for body in cases {
        let Some(mut server) = nodejs() else { return };
        server.init(&format!("function main() {{ console.log('last words'); {body} }}"));
        assert!(server.try_run(json!({})).is_none(), "{body}");
        assert!(!server.ended().success());
        assert_eq!(server.last_words(), "last words\n", "{body}");
    }
    let Some(mut server) = nodejs() else { return };
    let body = json!({"value": {"main": "main", "code": "process.exit(1)"}});
    assert!(server.post("/init", &body).is_none());
}

#[test]
fn runs_overlap_only_where_that_was_allowed() {
    let code = "let arrived = 0; const waiting = [];\n\
                function main(a) { arrived++; console.log('in'); return new Promise(done => {\n\
                waiting.push(() => done({n: a.n})); if (arrived === 8) waiting.forEach(f => f()) }) }";
    let Some(mut server) = Server::nodejs(&[("__OW_ALLOW_CONCURRENT", "true")]) else { return };
    server.init(code);
    let address = server.address;
    let post = move |number: u32| {
        Client::connect(address).post("/run", &run_body(json!({ "n": number })).to_string())
    };
    let callers: Vec<_> = (0..8)
        .map(|number| {
            thread::spawn(move || {
                let response = post(number).unwrap();
                assert_eq!((response.status, response.body), (200, json!({ "n": number })));
                response.log_bytes.0
            })
        })
        .collect();
    assert_eq!(callers.into_iter().map(|caller| caller.join().unwrap()).sum::<usize>(), 8 * 3);

    let Some(mut server) = nodejs() else { return };
    server.init("const main = () => new Promise(done => setTimeout(done, 300, {}))");
    let address = server.address;
    let post = move || Client::connect(address).post("/run", &run_body(json!({})).to_string()).unwrap();
    let responses = [(); 2].map(|()| thread::spawn(post)).map(|caller| caller.join().unwrap());
    let mut statuses = responses.each_ref().map(|response| response.status);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403]);
    let refused = responses.iter().find(|response| response.status == 403).unwrap();
    assert_eq!(refused.error(), "System not ready, status is running.");
}

/// Each line of code prints something on one of the streams; how much is given beside it.
pub const WAYS_TO_PRINT: [(&str, usize, usize); 19] = [
    ("console.log('ü')", 3, 0),
    ("console.error('abc')", 0, 4),
    ("process.stdout.write(Buffer.from('abc'))", 3, 0),
    ("process.stdout.write('616263', 'hex')", 3, 0),
    ("fs.writeSync(1, 'abc')", 3, 0),
    ("fs.writeSync(2, Buffer.from('abc'), 1)", 0, 2),
    ("fs.writeFileSync(1, 'ü')", 2, 0),
    ("fs.writeFileSync('/dev/stderr', 'abc')", 0, 3),
    ("await new Promise(done => fs.write(1, 'abc', done))", 3, 0),
    ("await util.promisify(fs.write)(1, 'abc')", 3, 0),
    ("fs.writevSync(1, [Buffer.from('a'), Buffer.from('bc')])", 3, 0),
    ("process.emitWarning('careful'); await new Promise(setImmediate)", 0, usize::MAX),
    ("cp.execSync('echo abc; echo e >&2', {stdio: 'inherit'})", 4, 2),
    ("cp.execSync('echo abc; echo e >&2')", 0, 2),
    ("cp.spawnSync('sh', ['-c', 'echo abc; echo e >&2'], {stdio: ['ignore', 1, 'inherit']})", 4, 2),
    ("cp.execFileSync('echo', ['abc'], {stdio: [0, process.stderr, 2]})", 0, 4),
    (
        "await new Promise(done => cp.spawn('sh', ['-c', 'echo abc; echo e >&2'], {stdio: 'inherit'}).on('close', done))",
        4,
        2,
    ),
    ("await new Promise(done => cp.fork('/dev/null').on('close', done))", 0, 0),
    (
        "const {spawnSync} = await import('child_process'); spawnSync('echo', ['abc'], {stdio: 'inherit'})",
        4,
        0,
    ),
];

#[test]
fn log_counts_are_exact_whatever_way_is_printed() {
    for (code, stdout, stderr) in WAYS_TO_PRINT {
        let Some(mut server) = nodejs() else { return };
        let init = server.init(&format!(
            "const fs = require('fs'), cp = require('child_process'), util = require('util');\n\
             async function main() {{ {code}; return {{}} }}"
        ));
        assert_eq!(init.status, 200, "{init:?}");
        let response = server.run(json!({}));
        assert_eq!(response.body, json!({}), "{code}");
        if stderr < usize::MAX {
            assert_eq!(response.log_bytes, (stdout, stderr), "{code}");
        }
        server.run(json!({}));
        server.printed();
    }
}

#[test]
fn large_output_is_out_before_the_answer() {
    let Some(mut server) = nodejs() else { return };
    server.init("function main(a) { console.log('x'.repeat(a.n)); console.error('y'); return {} }");
    for n in [0, 100_000, 5_000_000] {
        assert_eq!(server.run(json!({ "n": n })).log_bytes, (n + 1, 2));
    }
    server.printed();
}

#[test]
fn what_a_child_would_have_given_is_given_still() {
    let Some(mut server) = nodejs() else { return };
    let code = "const cp = require('child_process');\n\
        function main() {\n\
        const r = cp.spawnSync('sh', ['-c', 'echo a; echo b >&2; exit 3'], {stdio: ['ignore', 'inherit', 'pipe'], encoding: 'utf8'});\n\
        let thrown; try { cp.execSync('echo c; exit 4', {stdio: 'inherit'}) } catch (e) { thrown = e }\n\
        return {status: r.status, stdout: r.stdout, stderr: r.stderr, code: thrown.status, message: thrown.message} }";
    assert_eq!(server.init(code).status, 200);
    let response = server.run(json!({}));
    let expected = json!({"status": 3, "stdout": null, "stderr": "b\n", "code": 4,
        "message": "Command failed: echo c; exit 4"});
    assert_eq!(response.body, expected);
    assert_eq!(server.printed().0, "a\nc\n");
}
