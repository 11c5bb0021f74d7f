//! What an action of one namespace may try against another: its secrets, and what it left in a container.
//! That takes a whole platform.

use serde_json::{Value, json};
use tests::fixtures;
use tests::namespace::Namespace;
use tests::server::{Options, Server};

use crate::attacks::Outcome;

/// These attacks.
pub const NAMES: &[&str] = &["others-secrets", "container-reuse"];

/// Reads what the API has, with the key it is given or its own.
const READ: &str = "
import base64, os, urllib.error, urllib.request
def main(args):
    key = base64.b64encode((args.get('key') or os.environ['__OW_API_KEY']).encode()).decode()
    statuses = set()
    for method, path in args['paths']:
        request = urllib.request.Request(os.environ['__OW_API_HOST'] + '/api/v1' + path, method=method,
            headers={'authorization': 'Basic ' + key, 'content-type': 'application/json'},
            data=b'{}' if method == 'POST' else None)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                text, status = response.read().decode(), response.status
        except urllib.error.HTTPError as error:
            text, status = error.read().decode(), error.code
        if args['secret'] in text:
            return {'succeeded': True, 'how': path}
        statuses.add(status)
    return {'succeeded': False, 'how': str(sorted(statuses))}
";

/// Leaves a word on the disk and in memory, and tells what was there.
const LEAVE: &str = "
import os, socket
words = []
def main(args):
    path = '/tmp/left-behind'
    found = words + [open(path).read()] if os.path.exists(path) else list(words)
    words.append(args['word'])
    open(path, 'w').write(args['word'])
    return {'succeeded': any('secret' in word for word in found), 'how': socket.gethostname()}
";

async fn start() -> Server {
    Server::start(Options { container_runtime: "docker".to_owned(), ..Options::default() }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_action_reads_the_secrets_of_another_namespace() {
    if !crate::is_possible().await {
        return;
    }
    let server = start().await;
    let whisk = server.whisk();
    let (victim, attacker) = (whisk.namespace().await, whisk.namespace().await);
    let secret = "a-word-of-the-victim";
    let parameters = json!([{"key": "password", "value": secret}]);
    let mut body = fixtures::python("def main(args): return args");
    body["parameters"] = parameters.clone();
    let action = victim.create("vault", &body).await;
    let package = victim.put_package("vault", &json!({ "parameters": parameters })).await;
    victim.result(&action, &json!({})).await;
    victim.wait_for_activation_count(1).await;

    let mut body = fixtures::python(READ);
    body["annotations"] = json!([{"key": "provide-api-key", "value": true}]);
    let read = attacker.create("read", &body).await;
    let base = format!("/namespaces/{}", victim.name);
    for (method, path) in [
        ("GET", format!("{base}/actions/{action}")),
        ("POST", format!("{base}/actions/{action}?blocking=true&result=true")),
        ("GET", format!("{base}/packages/{package}")),
        ("GET", format!("{base}/activations?docs=true")),
    ] {
        let attack = async |key: Option<&str>| {
            let arguments = json!({"paths": [[method, path]], "secret": secret, "key": key});
            Outcome::read(&attacker.result(&read, &arguments).await)
        };
        let free = attack(Some(&victim.auth)).await;
        assert!(free.succeeded, "{path} tells nothing to its owner: {free:?}");
        let ours = attack(None).await;
        assert!(!ours.succeeded && ours.how == "[403]", "{path}: {ours:?}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_container_serves_two_namespaces() {
    if !crate::is_possible().await {
        return;
    }
    let server = start().await;
    let whisk = server.whisk();
    let (victim, attacker) = (whisk.namespace().await, whisk.namespace().await);
    // The same in name and code, and for the third try the very same action.
    let body = fixtures::python(LEAVE);
    let package = victim.put_package("shared", &json!({"publish": true})).await;
    let path = format!("actions/{package}/leave?overwrite=true");
    victim.put(&path, &body).await.expect(200);
    attacker.put("actions/leave", &body).await.expect(200);
    let run = async |who: &Namespace, name: &str, word: &str| {
        let path = format!("{}?blocking=true&result=true", name);
        let answer: Value = who.post(&path, &json!({ "word": word })).await.expect(200).json();
        Outcome::read(&answer)
    };
    let theirs = format!("actions/{package}/leave");
    assert!(!run(&victim, &theirs, "a secret").await.succeeded);
    // The owner finds it: the container is warm, and nothing is wiped.
    let again = run(&victim, &theirs, "another secret").await;
    assert!(again.succeeded);
    let shared = format!("/api/v1/namespaces/{}/actions/{package}/leave", victim.name);
    for name in ["actions/leave", &shared] {
        let found = run(&attacker, name, "hello").await;
        assert!(!found.succeeded && found.how != again.how, "{name}: {found:?}");
    }
    server.stop().await;
}
