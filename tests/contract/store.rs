//! The three stores. An implementation is a [`Place`]: storage that can be opened more than once, as
//! several processes would. To add one, write its `Place` and a line at the end of this file.

mod activations;
mod entities;
mod postgres;
mod sqlite_retention;
mod subjects;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::entity::id::ActivationId;
use common::shutdown::Shutdown;
use common::store::sqlite::SqliteStores;
use common::store::{ActivationStore, ArtifactStore, Change, SubjectStore};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use tokio::sync::broadcast;

/// Within this time every process knows of a change (promised is a second; the rest is for the machine).
const NOTICE: Duration = Duration::from_secs(3);

/// Storage of its own for one test.
#[async_trait]
trait Place: Send + Sync {
    /// New and empty.
    async fn new() -> Self
    where
        Self: Sized;
    /// The stores on it, as one more process has them.
    async fn open(&self) -> Process;
    /// Makes the record of that id unreadable, as a broken disk or an older release would leave it.
    async fn spoil(&self, id: ActivationId);
}

/// What one process has open.
struct Process {
    artifacts: Arc<dyn ArtifactStore>,
    subjects: Arc<dyn SubjectStore>,
    activations: Arc<dyn ActivationStore>,
    shutdown: Shutdown,
}

impl Process {
    /// Ends the process in good order.
    async fn stop(&self) {
        assert!(self.shutdown.finish(Duration::from_secs(10)).await, "the tasks of the store end");
    }
}

/// A data directory.
struct Sqlite(tempfile::TempDir);

#[async_trait]
impl Place for Sqlite {
    async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Process {
        let stores = SqliteStores::open(self.0.path()).await.unwrap();
        let shutdown = Shutdown::new();
        stores.watch(&shutdown);
        let process = Process {
            artifacts: stores.artifacts.clone(),
            subjects: stores.subjects.clone(),
            activations: stores.activations.clone(),
            shutdown: shutdown.clone(),
        };
        shutdown.clone().spawn("close", async move {
            shutdown.requested().await;
            stores.close().await;
        });
        process
    }

    async fn spoil(&self, id: ActivationId) {
        let file = SqliteConnectOptions::new().filename(self.0.path().join("activations.db"));
        let mut database = file.connect().await.unwrap();
        let spoil = sqlx::query("UPDATE activations SET logs = '[torn' WHERE id = ?");
        let done = spoil.bind(&id.as_bytes()[..]).execute(&mut database).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
        database.close().await.unwrap();
    }
}

/// Waits until the change is announced, or that anything may have changed.
async fn noticed(changes: &mut broadcast::Receiver<Change>, wanted: &Change) {
    let wait = async {
        loop {
            match changes.recv().await {
                Ok(change) if change == *wanted || change == Change::Anything => return,
                Ok(_) => {}
                Err(error) => panic!("the notices ended: {error}"),
            }
        }
    };
    let noticed = tokio::time::timeout(NOTICE, wait).await;
    assert!(noticed.is_ok(), "{wanted:?} was not announced within {NOTICE:?}");
}

/// Lets what was announced so far pass, the first look of the watch included.
async fn quiet(changes: &mut broadcast::Receiver<Change>) {
    while tokio::time::timeout(Duration::from_millis(600), changes.recv()).await.is_ok() {}
}

/// Runs a test on a new place with one process.
async fn on<P: Place, F: Future<Output = ()>>(test: impl FnOnce(P, Process) -> F) {
    let place = P::new().await;
    let process = place.open().await;
    test(place, process).await;
}

macro_rules! cases {
    ($place:ty, $($suite:ident { $($case:ident),+ $(,)? })+) => {
        $(mod $suite {
            use super::super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    on::<$place, _>($suite::$case).await;
                }
            )+
        })+
    };
}

macro_rules! suite {
    ($name:ident, $place:ty) => {
        mod $name {
            cases! { $place,
                entities {
                    a_document_is_created_replaced_and_deleted_at_its_revision,
                    kinds_share_their_ids,
                    text_is_kept_to_the_byte,
                    code_lives_as_long_as_a_document_refers_to_it,
                    code_stays_when_a_change_leaves_it_alone,
                    lists_are_newest_first_and_paged,
                    lists_know_namespaces_packages_and_the_public,
                    an_operator_reads_all_documents_in_pages,
                    a_corrupt_document_fails_only_when_read_as_its_type,
                    of_many_writers_of_one_revision_one_wins,
                    several_documents_are_written_together_or_not_at_all,
                    writers_of_several_documents_do_not_wait_for_each_other,
                    changes_are_announced_here_and_to_other_processes,
                    what_was_written_is_there_after_a_new_start,
                }
                subjects {
                    a_subject_is_written_read_and_deleted_with_its_keys,
                    identities_are_found_by_uuid_and_by_namespace,
                    a_uuid_belongs_to_one_key,
                    limits_go_with_the_namespace,
                    a_mark_is_new_once,
                    an_operator_reads_all_names_in_pages,
                    changes_are_announced_here_and_to_other_processes,
                }
                activations {
                    a_record_is_kept_whole,
                    a_batch_may_be_repeated_and_replaces,
                    what_is_presumed_never_replaces_what_is_known,
                    lists_are_newest_first_paged_and_filtered,
                    counts_follow_the_filters,
                    an_operator_reads_all_records_in_pages,
                    a_record_that_cannot_be_read_hides_no_other,
                    large_batches_and_odd_sizes_are_stored_whole,
                    an_id_is_found_in_its_namespace_only,
                }
            }
        }
    };
}

suite!(sqlite, Sqlite);
suite!(postgresql, postgres::Database);
