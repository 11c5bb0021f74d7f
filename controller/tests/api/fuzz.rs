//! Any request gets an answer that is one: no handler panics, and no fault of the caller's is told to be the
//! platform's. Requests are made from pieces that mean something, and from noise.
//!
//! `OXWHISK_FUZZ_CASES` says how many are tried in place of a few hundred.

use std::cell::Cell;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Answer, Whisk, basic, echo};

const CASES: u32 = 384;

/// After so many requests everything is put there again.
const FURNISHED: u32 = 200;

const METHODS: [&str; 9] = ["GET", "PUT", "POST", "DELETE", "HEAD", "OPTIONS", "PATCH", "TRACE", "FOO"];

/// What is in the path after `/api/v1/`: `@` is a name.
const PATHS: [&str; 34] = [
    "",
    "namespaces",
    "namespaces/@",
    "namespaces/@/limits",
    "namespaces/@/limits/@",
    "namespaces/@/actions",
    "namespaces/@/actions/",
    "namespaces/@/actions/@",
    "namespaces/@/actions/@/",
    "namespaces/@/actions/@/@",
    "namespaces/@/actions/@/@/@",
    "namespaces/@/packages",
    "namespaces/@/packages/@",
    "namespaces/@/packages/@/@",
    "namespaces/@/triggers",
    "namespaces/@/triggers/@",
    "namespaces/@/triggers/@/@",
    "namespaces/@/rules",
    "namespaces/@/rules/@",
    "namespaces/@/rules/@/@",
    "namespaces/@/activations",
    "namespaces/@/activations/@",
    "namespaces/@/activations/0123456789abcdef0123456789abcdef/@",
    "namespaces/@/@/@",
    "web/@/@/@",
    "web/@/@",
    "web/@/@/@.json",
    "web/@/@/@.http/@",
    "web/guest/default/web",
    "web/guest/default/web.@",
    "web/guest/default/web.@/@/@",
    "web/guest/default/raw.http",
    "web/guest/default/secured.json",
    "@/@",
];

const NAMES: [&str; 24] = [
    "_", "guest", "default", "a", "web", "raw", "secured", "p", "b", "t", "r", "s", "c", "other", "%2F",
    "a%20b", "%", "%zz", "..", ".", "%00", "a.b.http", "%C3%A4", "",
];

const QUERIES: [&str; 20] = [
    "blocking=true",
    "blocking=x",
    "result=true",
    "timeout=1",
    "timeout=-1",
    "overwrite=true",
    "overwrite=",
    "limit=0",
    "limit=999",
    "limit=-1",
    "skip=1",
    "count=true",
    "docs=true",
    "since=0",
    "upto=x",
    "name=a/b",
    "force=true",
    "__ow_method=x",
    "a=%ff&a=b&=c",
    "statusCode=404&headers=x&body=",
];

const HEADERS: [&str; 14] = [
    "Content-Type: application/json",
    "Content-Type: application/json; charset=utf-8",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Type: text/plain",
    "Content-Type: application/octet-stream",
    "Content-Type: x",
    "Accept: text/html",
    "Accept: */*;q=0",
    "X-Require-Whisk-Auth: secret",
    "X-OW-EXTRA-LOGGING: on",
    "X-Request-ID: mine",
    "Access-Control-Request-Headers: x-a",
    "Cookie: a=b",
    "Content-Encoding: gzip",
];

/// Members of the bodies that mean something somewhere.
const MEMBERS: [&str; 18] = [
    "exec",
    "limits",
    "parameters",
    "annotations",
    "version",
    "publish",
    "binding",
    "namespace",
    "name",
    "trigger",
    "action",
    "status",
    "statusCode",
    "headers",
    "body",
    "error",
    "components",
    "key",
];

const VALUES: [&str; 40] = [
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "200",
    "404",
    "204",
    "99999",
    "\"\"",
    "\"a\"",
    "\"200\"",
    "[]",
    "{}",
    "[[]]",
    r#""\u0000""#,
    r#""/_/a""#,
    r#""/guest/t""#,
    r#""inactive""#,
    r#""1.0""#,
    r#""0.0.1""#,
    r#"{"kind":"nodejs:20","code":"x"}"#,
    r#"{"kind":"sequence","components":["/_/a"]}"#,
    r#"{"kind":"sequence","components":[]}"#,
    r#"{"kind":"blackbox","image":"i"}"#,
    r#"{"kind":"nodejs:default"}"#,
    r#"{"timeout":1,"memory":1,"logs":-1,"concurrency":0}"#,
    r#"{"timeout":100.5}"#,
    r#"[{"key":"a","value":1}]"#,
    r#"[{"key":"web-export","value":true}]"#,
    r#"[{"key":"conductor","value":true}]"#,
    r#"[{"key":"feed","value":"a,b"}]"#,
    r#"[{"key":"","value":1}]"#,
    r#"{"namespace":"_","name":"p"}"#,
    r#"{"namespace":"guest","name":"b"}"#,
    r#"{"path":"guest","name":"a"}"#,
    r#"{"content-type":"text/html"}"#,
    r#"{"content-type":["a","b"],"x":1,"y":true,"z":null}"#,
    r#"{"Set-Cookie":["a=b"],"bad name":"x","new":"a\nb"}"#,
    r#""PGI+""#,
];

#[derive(Clone, Debug)]
struct Request {
    method: &'static str,
    path: String,
    headers: Vec<String>,
    body: Vec<u8>,
    signed: bool,
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(&NAMES[..]).prop_map(str::to_owned),
        1 => "[!-~]{1,12}".prop_map(|noise| noise.replace(['#', '?'], "%")),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let query = prop::collection::vec(select(&QUERIES[..]), 0..3);
    (select(&PATHS[..]), prop::collection::vec(name(), 4), query).prop_map(|(path, names, query)| {
        let mut names = names.into_iter();
        let parts = path.split('@').map(str::to_owned).reduce(|path, part| {
            let name = names.next().unwrap_or_default();
            format!("{path}{name}{part}")
        });
        let path = format!("/api/v1/{}", parts.unwrap_or_default());
        if query.is_empty() { path } else { format!("{path}?{}", query.join("&")) }
    })
}

fn body() -> impl Strategy<Value = Vec<u8>> {
    let object = prop::collection::vec((select(&MEMBERS[..]), select(&VALUES[..])), 0..6);
    let object = object.prop_map(|members| {
        let members: Vec<String> =
            members.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(",")).into_bytes()
    });
    prop_oneof![
        2 => Just(Vec::new()),
        8 => object.clone(),
        2 => (object, any::<Index>(), any::<u8>()).prop_map(|(mut text, place, byte)| {
            let place = place.index(text.len());
            text[place] = byte;
            text
        }),
        1 => select(&VALUES[..]).prop_map(|value| value.as_bytes().to_vec()),
        1 => "[a-z%&=+.]{0,40}".prop_map(String::into_bytes),
        1 => prop::collection::vec(any::<u8>(), 0..64),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let headers = prop::collection::vec(select(&HEADERS[..]), 0..4);
    (select(&METHODS[..]), path(), headers, body(), prop::bool::weighted(0.9), any::<bool>()).prop_map(
        |(method, path, headers, body, signed, is_json)| {
            let mut headers: Vec<String> = headers.into_iter().map(str::to_owned).collect();
            if is_json {
                headers.retain(|header| !header.starts_with("Content-Type"));
                headers.push(HEADERS[0].to_owned());
            }
            Request { method, path, headers, body, signed }
        },
    )
}

impl Request {
    async fn send(&self, whisk: &Whisk) -> Vec<u8> {
        let Self { method, path, headers, body, signed } = self;
        let mut head = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        if *signed {
            head.push_str(&format!("Authorization: {}\r\n", basic(&whisk.key)));
        }
        for header in headers {
            head.push_str(&format!("{header}\r\n"));
        }
        if !body.is_empty() {
            head.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        head.push_str("\r\n");
        let mut stream = TcpStream::connect(whisk.address).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        // Who refuses a head does not read the body.
        let _ = writing.write_all(&[head.as_bytes(), body].concat()).await;
        let mut answer = Vec::new();
        let _ = reading.read_to_end(&mut answer).await;
        answer
    }

    fn is_web(&self) -> bool {
        self.path.starts_with("/api/v1/web")
    }
}

/// What is wrong with an answer, if anything is.
fn fault(request: &Request, answer: &[u8]) -> Option<&'static str> {
    let text = String::from_utf8_lossy(answer);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return Some("no answer") };
    let Some(status) = head.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok()) else {
        return Some("no status");
    };
    let head = head.to_ascii_lowercase();
    if !head.contains("\r\nx-request-id: ") {
        // A head that is none is refused before it is a request.
        return (status != 400).then_some("no id");
    }
    // A web action says itself what its answer is; other failures of what ran are 502.
    if !request.is_web() && status >= 500 && status != 502 {
        return Some("the platform's fault");
    }
    let is_error = status >= 400 && status != 502 && request.method != "HEAD" && !request.is_web();
    if is_error {
        let told = serde_json::from_str::<serde_json::Value>(body).ok();
        let has = |member| told.as_ref().is_some_and(|told| told.get(member).is_some());
        return (!has("error") || !has("code")).then_some("no error");
    }
    None
}

async fn prepared() -> Whisk {
    let whisk = Whisk::unthrottled().await;
    whisk.play(echo).await;
    for answer in furnish(&whisk).await {
        answer.ok();
    }
    whisk
}

/// Puts everything there that requests are about, since they also delete it.
async fn furnish(whisk: &Whisk) -> Vec<Answer> {
    let mut bodies = vec![("actions/a".to_owned(), action(""))];
    for (name, annotations) in [
        ("web", r#"{"key":"web-export","value":true}"#),
        ("raw", r#"{"key":"web-export","value":true},{"key":"raw-http","value":true}"#),
        ("secured", r#"{"key":"web-export","value":true},{"key":"require-whisk-auth","value":"secret"}"#),
        ("c", r#"{"key":"web-export","value":true},{"key":"conductor","value":true}"#),
    ] {
        bodies.push((format!("actions/{name}"), action(annotations)));
    }
    for (path, body) in [
        ("actions/s", r#"{"exec":{"kind":"sequence","components":["/_/a","/_/c"]}}"#.to_owned()),
        ("packages/p", r#"{"parameters":[{"key":"a","value":1}],"publish":true}"#.to_owned()),
        ("packages/b", r#"{"binding":{"namespace":"_","name":"p"}}"#.to_owned()),
        ("actions/p/a", action("")),
        ("triggers/t", "{}".to_owned()),
        ("rules/r", r#"{"trigger":"/_/t","action":"/_/a"}"#.to_owned()),
    ] {
        bodies.push((path.to_owned(), body));
    }
    let mut answers = Vec::new();
    for (path, body) in bodies {
        answers.push(whisk.call("PUT", &format!("~{path}?overwrite=true"), &body).await);
    }
    answers
}

fn action(annotations: &str) -> String {
    format!(r#"{{"exec":{{"kind":"nodejs:default","code":"x"}},"annotations":[{annotations}]}}"#)
}

#[test]
fn every_request_gets_an_answer() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let whisk = Arc::new(runtime.block_on(prepared()));
    let cases = std::env::var("OXWHISK_FUZZ_CASES").ok().and_then(|text| text.parse().ok());
    let config = Config { cases: cases.unwrap_or(CASES), failure_persistence: None, ..Config::default() };
    let number = Cell::new(0_u32);
    let tried = TestRunner::new(config).run(&request(), |request| {
        let answer = runtime.block_on(async {
            if number.replace(number.get() + 1).is_multiple_of(FURNISHED) {
                furnish(&whisk).await;
            }
            let patience = std::time::Duration::from_secs(75);
            tokio::time::timeout(patience, request.send(&whisk)).await
        });
        let Ok(answer) = answer else { return Err(TestCaseError::fail("no answer in time")) };
        match fault(&request, &answer) {
            None => Ok(()),
            Some(fault) => {
                let answer = String::from_utf8_lossy(&answer).into_owned();
                Err(TestCaseError::fail(format!("{fault}: {answer}")))
            }
        }
    });
    if let Err(error) = tried {
        panic!("{error}");
    }
    let Ok(whisk) = Arc::try_unwrap(whisk) else { panic!("somebody still has it") };
    runtime.block_on(whisk.stop());
}
