//! A batch in which one row is refused.

use common::entity::activation::Status;
use common::store::{ActivationQuery, Unstorable};

use super::super::activations::{query, raw, record, text};
use super::super::{Place, on};
use super::Database;

#[tokio::test]
async fn a_row_that_is_refused_gives_way_to_an_error() {
    on(async |place: Database, one| {
        let refuse = "ALTER TABLE activations ADD CHECK (position('unheard of' IN logs) = 0)";
        sqlx::query(refuse).execute(&mut place.sql().await).await.unwrap();
        let store = one.activations.as_ref();
        let mut batch: Vec<_> = (0..100).map(|id| record(id, "ns/a", u64::from(id))).collect();
        batch[37].logs = vec!["unheard of".into()];
        batch[50].logs = vec!["nul \0 in a line".into()];
        batch[51].response.result = raw(r#"{"nul":"\u0000"}"#);
        let unstorable = store.store(&batch).await.unwrap();
        let [Unstorable { id, replaced: true, cause }] = &unstorable[..] else { panic!("{unstorable:?}") };
        assert_eq!(*id, batch[37].head.activation_id);
        assert!(cause.contains("check constraint"), "{cause}");
        assert_eq!(store.count(&query("ns")).await.unwrap(), 100);
        for (place, sent) in batch.iter().enumerate() {
            let stored = store.get(&sent.head.namespace, sent.head.activation_id).await.unwrap().unwrap();
            if place != 37 {
                assert_eq!(text(&stored), text(sent));
                continue;
            }
            assert_eq!(stored.head.start, sent.head.start);
            assert_eq!((stored.response.status, stored.logs.len()), (Status::WhiskError, 0));
            let result = stored.response.result.unwrap();
            assert!(result.get().contains("could not be stored"), "{result}");
        }
        one.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_presumed_row_that_is_refused_stops_no_other_and_replaces_nothing() {
    on(async |place: Database, one| {
        let store = one.activations.as_ref();
        let known = record(7, "ns/a", 7);
        store.store(std::slice::from_ref(&known)).await.unwrap();
        let refuse = "ALTER TABLE activations ADD CHECK (position('unheard of' IN logs) = 0)";
        sqlx::query(refuse).execute(&mut place.sql().await).await.unwrap();
        let mut batch: Vec<_> = (0..20).map(|id| record(id, "ns/a", u64::from(id))).collect();
        for refused in [7, 11] {
            batch[refused].logs = vec!["unheard of".into()];
        }
        store.presume(&batch).await.unwrap();
        assert_eq!(store.count(&query("ns")).await.unwrap(), 20);
        let stored = store.get(&known.head.namespace, known.head.activation_id).await.unwrap().unwrap();
        assert_eq!(text(&stored), text(&known));
        let refused = &batch[11].head;
        let stored = store.get(&refused.namespace, refused.activation_id).await.unwrap().unwrap();
        assert_eq!(stored.response.status, Status::WhiskError);
        // The real one takes the place of the error as of anything.
        let real = record(11, "ns/b", 11);
        store.store(std::slice::from_ref(&real)).await.unwrap();
        let stored = store.get(&refused.namespace, refused.activation_id).await.unwrap().unwrap();
        assert_eq!(text(&stored), text(&real));
        assert_eq!(store.count(&query("ns")).await.unwrap(), 20);
        one.stop().await;
    })
    .await;
}

#[tokio::test]
async fn a_record_that_cannot_be_stored_at_all_stops_no_other() {
    on(async |place: Database, one| {
        let refuse = "ALTER TABLE activations ADD CHECK (filter_name <> 'b')";
        sqlx::query(refuse).execute(&mut place.sql().await).await.unwrap();
        let batch = [record(1, "ns/a", 1), record(2, "ns/b", 2), record(3, "ns/a", 3)];
        let unstorable = one.activations.store(&batch).await.unwrap();
        let ids: Vec<_> = unstorable.iter().map(|refused| (refused.id, refused.replaced)).collect();
        assert_eq!(ids, [(batch[1].head.activation_id, false)]);
        assert_eq!(one.activations.count(&query("ns")).await.unwrap(), 2);
        one.stop().await;
    })
    .await;
}

#[tokio::test]
async fn writers_at_the_same_time_count_right() {
    on(async |place: Database, one| {
        let two = place.open().await;
        let paths = ["ns/a", "ns/b", "ns/p/c", "other/a"];
        let writes = (0..16).map(|writer: u32| {
            let store =
                if writer.is_multiple_of(2) { one.activations.clone() } else { two.activations.clone() };
            // Half of the ids are written twice, under two names.
            let name = |id: u32| paths[(id + writer) as usize % paths.len()];
            let batch: Vec<_> = (0..50).map(|id| record(writer / 2 * 50 + id, name(id), 1)).collect();
            async move { store.store(&batch).await }
        });
        for done in futures::future::join_all(writes).await {
            done.unwrap();
        }
        let mut all = 0;
        for namespace in ["ns", "other"] {
            let counted = one.activations.count(&query(namespace)).await.unwrap();
            let listed = one.activations.heads(&query_all(namespace)).await.unwrap().len();
            assert_eq!(counted, listed as u64, "{namespace}");
            all += counted;
        }
        assert_eq!(all, 400);
        one.stop().await;
        two.stop().await;
    })
    .await;
}

fn query_all(namespace: &str) -> ActivationQuery {
    ActivationQuery { limit: u64::MAX, ..query(namespace) }
}
