//! Small actions, each with one property, and archives made in memory.

use std::io::{Cursor, Write};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// Returns its arguments.
pub const ECHO: &str = "function main(args) { return args; }";
/// Returns after `ms` milliseconds.
pub const SLEEP: &str =
    "function main({ ms }) { return new Promise(done => setTimeout(() => done({ slept: ms }), ms)); }";
/// Throws.
pub const THROW: &str = "function main() { throw new Error('on purpose'); }";
/// Ends with an application error.
pub const APPLICATION_ERROR: &str = "function main() { return { error: 'x', other: 1 }; }";
/// Does not parse.
pub const SYNTAX_ERROR: &str = "function main( { return 1";
/// Ends its process.
pub const EXIT: &str = "function main() { process.exit(1); }";
/// Returns a number.
pub const NUMBER: &str = "function main() { return 42; }";
/// Returns an array.
pub const ARRAY: &str = "function main() { return ['a', 'b']; }";
/// Never ends its initialization.
pub const HANG_IN_INIT: &str = "while (true) {}\nfunction main() { return {}; }";
/// Takes 1 GiB, which is more than any action may have, and no more, for the sake of the machine.
pub const HOG: &str = "function main() {
  const hog = [];
  for (let i = 0; i < 64; i++) hog.push(Buffer.alloc(16 << 20, 1));
  return { blocks: hog.length };
}";
/// Returns `size` characters.
pub const BIG_RESULT: &str = "function main({ size }) { return { big: 'x'.repeat(size) }; }";
/// Returns how long its argument `text` is.
pub const LENGTH: &str = "function main({ text }) { return { length: text.length }; }";
/// Prints `lines` lines of 100 characters and returns.
pub const CHATTY: &str = "function main({ lines }) {
  const line = 'x'.repeat(99) + '\\n';
  for (let i = 0; i < lines; i += 1000) process.stdout.write(line.repeat(1000));
  return { lines };
}";
/// Prints the argument `text`, one line on standard output.
pub const LOG: &str = "function main({ text }) { console.log(text); return { text }; }";
/// Returns its environment and its arguments.
pub const ENVIRONMENT: &str = "function main(args) { return { env: process.env, args }; }";
/// Returns a NUL character.
pub const NUL: &str = "function main() { return { nul: '\\u0000' }; }";
/// Tells where it runs.
pub const WHERE: &str =
    "function main() { return { hostname: require('os').hostname(), pid: process.pid }; }";
/// Greets, as a newcomer's first Python action does.
pub const GREETING_PY: &str =
    "def main(args): return {\"greeting\": \"Hello \" + args.get(\"name\", \"stranger\") + \"!\"}";
/// Greets, and prints that it does.
pub const GREETING_JS: &str = "function main({ name = 'stranger' }) {
  console.log(`greeting ${name}`);
  return { greeting: `Hello ${name}!` };
}";
/// Calls another action of its namespace with the client library that the runtime brings.
pub const CALL_BACK: &str = "const openwhisk = require('openwhisk');
function main({ action, params }) {
  return openwhisk().actions.invoke({ name: action, blocking: true, result: true, params });
}";

/// Adds one to `n`.
pub const INCREMENT: &str = "function main({ n }) {
  if (typeof n === 'undefined') return { error: 'missing parameter' };
  return { n: n + 1 };
}";
/// A conductor that says what its arguments say: `action` and `state` as they are, all else in `params`.
pub const CONDUCTOR: &str = "function main(args) {
  if (args.error) return args;
  const { action, state, params, ...rest } = args;
  return { action, state, params: { ...rest, ...params } };
}";

/// The body of a sequence of these components.
pub fn sequence(components: &[impl AsRef<str>]) -> Value {
    let components: Vec<&str> = components.iter().map(AsRef::as_ref).collect();
    json!({ "exec": { "kind": "sequence", "components": components } })
}

/// The body of a conductor of this code.
pub fn conductor(code: &str) -> Value {
    let mut body = js(code);
    body["annotations"] = json!([{ "key": "conductor", "value": true }]);
    body
}

/// The body of an action of the default Node kind, at the least memory.
pub fn js(code: &str) -> Value {
    action("nodejs:default", code)
}

/// The body of an action of the default Python kind, at the least memory.
pub fn python(code: &str) -> Value {
    action("python:default", code)
}

fn action(kind: &str, code: &str) -> Value {
    json!({ "exec": { "kind": kind, "code": code }, "limits": { "memory": 128 } })
}

/// A zip archive of these files, as base64, the way it travels in `exec.code`.
pub fn zip(files: &[(&str, &str)]) -> String {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, text) in files {
        archive.start_file(*name, SimpleFileOptions::default()).expect("an archive in memory takes files");
        archive.write_all(text.as_bytes()).expect("an archive in memory takes bytes");
    }
    let bytes = archive.finish().expect("an archive in memory can be closed").into_inner();
    BASE64_STANDARD.encode(bytes)
}

/// A Node archive whose main module needs another one from `node_modules`.
pub fn node_zip() -> String {
    zip(&[
        ("package.json", r#"{"name":"greeting","version":"1.0.0","main":"index.js"}"#),
        ("index.js", "exports.main = args => require('greeter')(args.name);"),
        ("node_modules/greeter/package.json", r#"{"name":"greeter","version":"1.0.0","main":"lib.js"}"#),
        ("node_modules/greeter/lib.js", "module.exports = name => ({ greeting: `Hello ${name}!` });"),
    ])
}

/// A Python archive whose `__main__.py` needs a package beside it.
pub fn python_zip() -> String {
    zip(&[
        ("__main__.py", "from greeter import greet\ndef main(args): return greet(args[\"name\"])\n"),
        ("greeter/__init__.py", "def greet(name): return {\"greeting\": \"Hello \" + name + \"!\"}\n"),
    ])
}
