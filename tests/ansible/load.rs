//! Clients that invoke an action without a break, whatever is done to the platform meanwhile, and remember what
//! they were promised.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tests::namespace::Namespace;
use tests::wait;
use tokio::task::JoinSet;

/// Fewer than two invokers of 768 MB have room for, at 128 MB each, beside the long ones.
pub const CLIENTS: usize = 4;
/// How long an activation takes, in milliseconds.
const WORK: u64 = 100;
/// How long the load may take to go on.
const PATIENCE: Duration = Duration::from_secs(60);

/// Running clients.
pub struct Load {
    stopping: Arc<AtomicBool>,
    accepted: Arc<AtomicUsize>,
    clients: JoinSet<Promised>,
}

/// What clients were answered.
#[derive(Debug, Default)]
pub struct Promised {
    /// Activations that have or get a record, with the record of those that were waited for.
    pub accepted: Vec<(String, Option<Value>)>,
    /// Requests that were refused, by status.
    pub refused: BTreeMap<u16, usize>,
    /// Requests without an answer.
    pub cut_off: usize,
}

impl Load {
    /// Starts the clients.
    pub fn start(namespace: &Namespace, action: &str) -> Self {
        let (stopping, accepted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (namespace, action) = (namespace.clone(), action.to_owned());
            let (stopping, accepted) = (stopping.clone(), accepted.clone());
            clients.spawn(async move {
                let mut promised = Promised::default();
                while !stopping.load(Ordering::Relaxed) {
                    // The second one's answer keeps the first ones from piling up.
                    for is_blocking in [false, true] {
                        if promised.invoke(&namespace, &action, is_blocking).await {
                            accepted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
                promised
            });
        }
        Self { stopping, accepted, clients }
    }

    /// Waits until some more activations were accepted.
    pub async fn goes_on(&self) {
        let before = self.accepted.load(Ordering::Relaxed);
        wait::until("activations go on", PATIENCE, || async {
            (self.accepted.load(Ordering::Relaxed) > before + 20).then_some(())
        })
        .await;
    }

    /// Ends the clients; what they were answered.
    pub async fn finish(mut self) -> Promised {
        self.stopping.store(true, Ordering::Relaxed);
        let mut all = Promised::default();
        while let Some(ended) = self.clients.join_next().await {
            let promised = ended.expect("a client does not panic");
            all.accepted.extend(promised.accepted);
            all.cut_off += promised.cut_off;
            for (status, count) in promised.refused {
                *all.refused.entry(status).or_default() += count;
            }
        }
        all
    }
}

impl Promised {
    /// Notes what came of one request; whether it was accepted.
    async fn invoke(&mut self, namespace: &Namespace, action: &str, is_blocking: bool) -> bool {
        let before = self.accepted.len();
        let path = format!("actions/{action}?blocking={is_blocking}");
        match namespace.post(path, &json!({ "ms": WORK })).send().await {
            Ok(answer) if answer.status == 202 => self.accepted.push((answer.activation_id(), None)),
            Ok(answer) if answer.header("x-openwhisk-activation-id").is_some() => {
                self.accepted.push((answer.activation_id(), Some(answer.json())));
            }
            Ok(answer) => *self.refused.entry(answer.status).or_default() += 1,
            Err(_) => self.cut_off += 1,
        }
        self.accepted.len() > before
    }
}
