//! Ids of nodes: dense, distinct, held by a lease that only the database's clock ends.

use std::sync::Arc;
use std::time::Duration;

use common::config::postgres::PostgresConfig;
use common::nodes::{Member, NodeKind, NodeMark, controllers};
use common::shutdown::Shutdown;
use common::store::postgres::PostgresStores;
use common::store::postgres::nodes::{Claim, ClaimError, Lease};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tests::services::postgres::{Postgres, settings};
use tests::wait;
use tokio::sync::watch::Receiver;

use super::super::Place;
use super::Database;

/// Bounds every wait; a lease is over after 3 s.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process: its stores, and what it has started.
struct Node {
    stores: PostgresStores,
    shutdown: Shutdown,
}

impl Node {
    async fn start(url: &str) -> Self {
        let config = PostgresConfig { acquire_timeout: Duration::from_secs(1), ..settings(url) };
        Self { stores: PostgresStores::connect(&config).await.unwrap(), shutdown: Shutdown::new() }
    }

    /// An id that is not kept: its process is dead already.
    async fn claim(&self, claim: &Claim) -> Lease {
        self.stores.claim(claim).await.unwrap()
    }

    /// An id that is kept until the node stops.
    async fn keep(&self, claim: &Claim) -> Arc<Lease> {
        let lease = Arc::new(self.claim(claim).await);
        self.shutdown.spawn("lease", lease.clone().keep(self.shutdown.clone()));
        lease
    }

    /// Waits until nobody holds an id.
    async fn expired(&self, kind: NodeKind, id: u32) {
        wait::until("the lease is over", PATIENCE, async || {
            (!self.stores.is_live(kind, id).await.unwrap()).then_some(())
        })
        .await;
    }

    async fn stop(&self) {
        assert!(self.shutdown.finish(PATIENCE).await, "the lease is kept no longer");
        self.stores.close().await;
    }
}

fn nameless(kind: NodeKind) -> Claim {
    Claim { kind, name: None, address: format!("{kind}:8888"), inherits: Vec::new() }
}

fn named(name: &str) -> Claim {
    Claim { name: Some(name.into()), ..nameless(NodeKind::Invoker) }
}

fn heir(mark: &NodeMark) -> Claim {
    Claim { inherits: vec![mark.clone()], ..nameless(mark.kind) }
}

/// Waits until the members are these kinds and ids.
async fn seen(members: &mut Receiver<Arc<[Member]>>, wanted: &[(NodeKind, u32)]) {
    let are =
        |members: &Arc<[Member]>| members.iter().map(|member| (member.kind, member.id)).eq(wanted.to_vec());
    let seen = tokio::time::timeout(PATIENCE, members.wait_for(are)).await;
    assert!(seen.is_ok_and(|seen| seen.is_ok()), "{wanted:?} are not seen within {PATIENCE:?}");
}

/// Ends all leases, as time would.
async fn end_leases(sql: &mut PgConnection) {
    sqlx::query("UPDATE nodes SET lease = now() - interval '1 minute'").execute(sql).await.unwrap();
}

#[tokio::test]
async fn ids_are_dense_and_distinct() {
    let place = Database::new().await;
    let (one, two) = (Node::start(&place.url).await, Node::start(&place.url).await);
    let claims = (0..40).map(|claim: u32| {
        let node = if claim.is_multiple_of(2) { &one } else { &two };
        let kind = if claim < 20 { NodeKind::Invoker } else { NodeKind::Controller };
        async move { node.keep(&nameless(kind)).await }
    });
    let leases = futures::future::join_all(claims).await;
    for of_a_kind in leases.chunks(20) {
        let mut ids: Vec<u32> = of_a_kind.iter().map(|lease| lease.id()).collect();
        ids.sort_unstable();
        assert_eq!(ids, (0..20).collect::<Vec<_>>());
    }
    let mut holders: Vec<_> = leases.iter().map(|lease| lease.mark().holder.clone()).collect();
    holders.sort();
    holders.dedup();
    assert_eq!(holders.len(), 40);
    let all: Vec<_> = [NodeKind::Controller, NodeKind::Invoker]
        .into_iter()
        .flat_map(|kind| (0..20).map(move |id| (kind, id)))
        .collect();
    seen(&mut leases[0].members(), &all).await;
    assert_eq!(controllers(&leases[0].members().borrow()), 20);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn the_id_of_a_dead_node_is_free_once_its_lease_is_over() {
    let place = Database::new().await;
    let (node, dying) = (Node::start(&place.url).await, Node::start(&place.url).await);
    let dead = dying.keep(&nameless(NodeKind::Invoker)).await;
    let alive = node.keep(&nameless(NodeKind::Invoker)).await;
    assert_eq!((dead.id(), alive.id()), (0, 1));
    assert!(node.stores.is_live(NodeKind::Invoker, 0).await.unwrap());
    assert!(!node.stores.is_live(NodeKind::Controller, 0).await.unwrap());
    assert!(!node.stores.is_live(NodeKind::Invoker, u32::MAX).await.unwrap());
    dying.stop().await;
    node.expired(NodeKind::Invoker, 0).await;
    assert!(node.stores.is_live(NodeKind::Invoker, 1).await.unwrap(), "the other is kept");
    let next = node.keep(&nameless(NodeKind::Invoker)).await;
    assert_eq!(next.id(), 0);
    assert_ne!(next.mark(), dead.mark());
    node.stop().await;
}

#[tokio::test]
async fn a_named_node_gets_its_id_again_and_nobody_elses() {
    let place = Database::new().await;
    let node = Node::start(&place.url).await;
    let first = node.keep(&nameless(NodeKind::Invoker)).await;
    let a = node.keep(&named("a")).await;
    assert_eq!((first.id(), a.id()), (0, 1));
    let refused = node.stores.claim(&named("a")).await.err().unwrap();
    assert!(refused.is_retryable() && refused.to_string().contains("'a' belongs to invoker 1"), "{refused}");
    assert!(matches!(refused, ClaimError::Taken { name, id: 1, .. } if name == "a"));
    let other = Claim { kind: NodeKind::Controller, ..named("a") };
    assert_eq!(node.keep(&other).await.id(), 0, "each kind has names of its own");

    first.release().await;
    a.release().await;
    let again = node.keep(&named("a")).await;
    assert_eq!(again.id(), 1, "though 0 is free");
    assert_eq!(again.members().borrow().last().unwrap().name.as_deref(), Some("a"));
    node.stop().await;
}

#[tokio::test]
async fn an_id_is_inherited_at_once_and_once() {
    let place = Database::new().await;
    let (one, two) = (Node::start(&place.url).await, Node::start(&place.url).await);
    let dead = one.claim(&nameless(NodeKind::Invoker)).await;
    let text = serde_json::to_string(dead.mark()).unwrap();
    let claim = heir(&serde_json::from_str(&text).unwrap());
    let (mine, yours) = tokio::join!(one.keep(&claim), two.keep(&claim));
    let mut ids = [mine.id(), yours.id()];
    ids.sort_unstable();
    assert_eq!(ids, [0, 1]);

    // A name inherits what a node of that name left, of several marks.
    let before = one.claim(&named("a")).await;
    assert_eq!(before.id(), 2);
    let inherits = vec![mine.mark().clone(), before.mark().clone()];
    let a = two.keep(&Claim { inherits, ..named("a") }).await;
    assert_eq!(a.id(), 2);
    assert!(matches!(one.stores.claim(&named("a")).await, Err(ClaimError::Taken { id: 2, .. })));
    assert_eq!(one.claim(&nameless(NodeKind::Invoker)).await.id(), 3);
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn who_lost_its_id_is_told() {
    let place = Database::new().await;
    let node = Node::start(&place.url).await;
    let former = node.keep(&nameless(NodeKind::Controller)).await;
    let heir = node.keep(&heir(former.mark())).await;
    assert_eq!(heir.id(), former.id());
    tokio::time::timeout(PATIENCE, former.lost()).await.expect("the loss is told");
    // It cannot end the lease of who came after it.
    former.release().await;
    assert!(node.stores.is_live(NodeKind::Controller, heir.id()).await.unwrap());
    assert!(tokio::time::timeout(Duration::ZERO, heir.lost()).await.is_err());
    node.stop().await;
}

#[tokio::test]
async fn members_come_and_go() {
    use NodeKind::{Controller, Invoker};
    let place = Database::new().await;
    let (one, two) = (Node::start(&place.url).await, Node::start(&place.url).await);
    let watching = one.keep(&nameless(Controller)).await;
    let mut members = watching.members();
    let this = Member { kind: Controller, id: 0, name: None, address: "controller:8888".into() };
    assert_eq!(**members.borrow(), [this]);

    let leaving = two.keep(&named("a")).await;
    seen(&mut members, &[(Controller, 0), (Invoker, 0)]).await;
    let dying = Node::start(&place.url).await;
    let dead = dying.keep(&nameless(Controller)).await;
    assert_eq!(dead.members().borrow().len(), 3, "the first look shows all");
    seen(&mut members, &[(Controller, 0), (Controller, 1), (Invoker, 0)]).await;
    dying.stop().await;
    seen(&mut members, &[(Controller, 0), (Invoker, 0)]).await;
    leaving.release().await;
    assert!(!one.stores.is_live(Invoker, 0).await.unwrap(), "at once");
    seen(&mut members, &[(Controller, 0)]).await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn ids_are_kept_while_the_server_is_away() {
    let mut server = Postgres::start().await;
    let url = server.database().await;
    let (one, two) = (Node::start(&url).await, Node::start(&url).await);
    let a = one.keep(&named("a")).await;
    let b = two.keep(&nameless(NodeKind::Invoker)).await;
    let all = [(NodeKind::Invoker, 0), (NodeKind::Invoker, 1)];
    let mut members = a.members();
    seen(&mut members, &all).await;
    for crash in [false, true] {
        if crash {
            server.kill().await
        } else {
            server.stop().await
        }
        let refused = one.stores.claim(&named("c")).await.err().unwrap();
        assert!(refused.is_retryable() && matches!(refused, ClaimError::Store(_)), "{refused}");
        assert!(one.stores.is_live(NodeKind::Invoker, 0).await.is_err());
        server.start_again().await;
        // However long it was away.
        end_leases(&mut PgConnection::connect(&url).await.unwrap()).await;
        // Whoever comes before the holders are back takes nothing of theirs.
        let late = one.claim(&nameless(NodeKind::Invoker)).await;
        assert!(late.id() > 1, "{} was taken", late.id());
        late.release().await;
        for (node, id) in [(&one, 0), (&two, 1)] {
            wait::until("the lease is prolonged again", PATIENCE, async || {
                matches!(node.stores.is_live(NodeKind::Invoker, id).await, Ok(true)).then_some(())
            })
            .await;
        }
        assert!(!members.has_changed().unwrap(), "nobody went");
        let kept = "SELECT count(*) FROM nodes WHERE holder IN ('{}', '{}')"
            .replacen("{}", &a.mark().holder, 1)
            .replacen("{}", &b.mark().holder, 1);
        let mut sql = PgConnection::connect(&url).await.unwrap();
        let kept: i64 = sqlx::query_scalar(AssertSqlSafe(kept)).fetch_one(&mut sql).await.unwrap();
        assert_eq!(kept, 2);
    }
    for lease in [&a, &b] {
        assert!(tokio::time::timeout(Duration::ZERO, lease.lost()).await.is_err());
    }
    one.stop().await;
    two.stop().await;
    server.stop().await;
    // What cannot be given back is said, and holds nobody up.
    a.release().await;
}
