//! Clients that invoke an action without a break; each answer tells which container gave it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use tests::docker::Instance;
use tests::namespace::Namespace;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::daemon::{Daemon, Invoker};

/// More than two invokers of 512 MB have room for, at 128 MB each.
const CLIENTS: usize = 10;
/// How long an activation takes, in milliseconds.
const WORK: u64 = 100;
/// How long the load may take to be where it is waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// So many answers show that it goes on.
const ENOUGH: usize = 200;

/// Tells where it runs, after a while.
const CODE: &str = "function main({ ms }) {
  const hostname = require('os').hostname();
  return new Promise(done => setTimeout(() => done({ hostname }), ms));
}";

/// Running clients.
pub struct Load {
    hostnames: mpsc::Receiver<String>,
    stopping: Arc<AtomicBool>,
    clients: JoinSet<()>,
    invokers: BTreeMap<String, Invoker>,
}

impl Load {
    /// Starts the clients; an answer that is no result fails the test.
    pub async fn start(namespace: &Namespace) -> Self {
        let action = namespace.put_js("work", CODE).await;
        let (answered, hostnames) = mpsc::channel(100 * ENOUGH);
        let stopping = Arc::new(AtomicBool::new(false));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (namespace, action) = (namespace.clone(), action.clone());
            let (answered, stopping) = (answered.clone(), stopping.clone());
            clients.spawn(async move {
                while !stopping.load(Ordering::Relaxed) {
                    let result = namespace.result(&action, &json!({ "ms": WORK })).await;
                    let hostname = result["hostname"].as_str().expect("the action tells where it runs");
                    if answered.send(hostname.to_owned()).await.is_err() {
                        return;
                    }
                }
            });
        }
        Self { hostnames, stopping, clients, invokers: BTreeMap::new() }
    }

    /// Waits until so many invokers have run activations; returns which.
    pub async fn until_run_by(&mut self, daemon: &Daemon, count: usize) -> BTreeSet<Invoker> {
        let mut found = BTreeSet::new();
        let waiting = async {
            while found.len() < count {
                found.insert(self.next(daemon).await);
            }
        };
        let outcome = timeout(PATIENCE, waiting).await;
        assert!(outcome.is_ok(), "only {found:?} run activations");
        found
    }

    /// The invokers seen so far.
    pub async fn instances(&self) -> Vec<Instance> {
        let mut hostnames: BTreeMap<&Invoker, &String> = BTreeMap::new();
        hostnames.extend(self.invokers.iter().map(|(hostname, invoker)| (invoker, hostname)));
        let mut found = Vec::new();
        for hostname in hostnames.into_values() {
            found.push(Instance::of_container(hostname).await);
        }
        found
    }

    /// Looks at no answer that has come already, or is just coming.
    pub async fn forget(&mut self) {
        while self.hostnames.try_recv().is_ok() {}
        for _ in 0..2 * CLIENTS {
            let coming = timeout(PATIENCE, self.hostnames.recv()).await.expect("activations go on");
            coming.expect("the clients run");
        }
    }

    /// Waits for many more answers, from nobody but these, and ends the clients.
    pub async fn finish(mut self, daemon: &Daemon, only: &BTreeSet<Invoker>) {
        let waiting = async {
            for _ in 0..ENOUGH {
                let invoker = self.next(daemon).await;
                assert!(only.contains(&invoker), "{invoker} runs activations beside {only:?}");
            }
        };
        timeout(PATIENCE, waiting).await.expect("activations go on");
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.hostnames);
        while let Some(ended) = self.clients.join_next().await {
            ended.expect("no activation fails");
        }
    }

    /// The invoker of the next answer whose container is still there.
    async fn next(&mut self, daemon: &Daemon) -> Invoker {
        loop {
            let hostname = tokio::select! {
                hostname = self.hostnames.recv() => hostname.expect("the clients run"),
                Some(ended) = self.clients.join_next() => {
                    panic!("a client ended: {ended:?}");
                }
            };
            if let Some(invoker) = self.invokers.get(&hostname) {
                return invoker.clone();
            }
            if let Some(invoker) = daemon.invoker_of(&hostname).await {
                self.invokers.insert(hostname, invoker.clone());
                return invoker;
            }
        }
    }
}
