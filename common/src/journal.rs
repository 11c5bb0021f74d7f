//! What a crash leaves behind: every activation that was accepted and is not yet stored.
//!
//! One append-only file after another, for one process at a time. Nothing is synced to the disk: a
//! journal survives SIGKILL, not the loss of the machine. An activation goes through `accepted`,
//! `started` (or back, if the container refused it), `outcome` and `stored`. A file goes when all that
//! was accepted in it is stored; what is open in the oldest file is written again into the newest, so
//! that one long run does not keep them all. At its limit a journal accepts nothing more.

mod file;
mod takeover;

pub use takeover::{Abandoned, OpenEntry, Seen, marks, take_over};

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use bytes::Bytes;

use crate::clock::Millis;
use crate::entity::id::ActivationId;

use file::{Kind, Segment};

/// With more files than this, the oldest is emptied into the newest.
const MAX_SEGMENTS: usize = 4;

/// Why the journal does not take an entry.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The activation is known: a second delivery.
    #[error("activation {0} is known already")]
    Duplicate(ActivationId),
    /// So much is not yet stored that no more is taken.
    #[error("{open} bytes are not yet stored, and at most {max} may be")]
    Full {
        /// Bytes of messages and outcomes that are open.
        open: u64,
        /// The limit.
        max: u64,
    },
    /// The file cannot be written.
    #[error("the journal cannot be written")]
    Io(#[from] io::Error),
}

struct Open {
    segment: u64,
    at: Millis,
    message: Bytes,
    started: bool,
    outcome: Option<Bytes>,
}

impl Open {
    fn bytes(&self) -> u64 {
        (self.message.len() + self.outcome.as_ref().map_or(0, Bytes::len)) as u64
    }
}

struct Inner {
    current: Segment,
    /// Open entries by the file that holds their `accepted`, for every file that exists.
    segments: BTreeMap<u64, usize>,
    open: HashMap<ActivationId, Open>,
    open_bytes: u64,
    position: Option<(File, u64)>,
}

/// The journal of this process.
pub struct Journal {
    run: String,
    dir: PathBuf,
    segment_bytes: u64,
    max_bytes: u64,
    inner: Mutex<Inner>,
    /// Held as long as this process lives.
    _lock: File,
}

impl Journal {
    /// A new journal under `state`, for a new run. Files are closed at `segment_bytes`; with `max_bytes`
    /// not stored, no more is accepted.
    pub fn create(state: &Path, segment_bytes: u64, max_bytes: u64) -> io::Result<Self> {
        Self::create_marked(state, segment_bytes, max_bytes, None)
    }

    /// The same, with a mark that says which node of an installation the run is, for whoever takes it over.
    pub fn create_marked(
        state: &Path,
        segment_bytes: u64,
        max_bytes: u64,
        mark: Option<&str>,
    ) -> io::Result<Self> {
        let run = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let dir = state.join(&run);
        let lock = file::create_private_dir(state, &run, mark)?;
        let current = Segment::create(&dir, 1)?;
        let segments = BTreeMap::from([(1, 0)]);
        let inner = Inner { current, segments, open: HashMap::new(), open_bytes: 0, position: None };
        Ok(Self { run, dir, segment_bytes, max_bytes, inner: Mutex::new(inner), _lock: lock })
    }

    /// Notes how far the topic was read whose messages were accepted: every message below `next` is, or was,
    /// in this journal. What is lower than what was noted is passed over.
    pub fn reached(&self, next: u64) -> io::Result<()> {
        let mut inner = self.lock();
        let (file, last) = match &mut inner.position {
            Some(position) => position,
            none => none.insert((file::private_file(&self.dir.join(file::POSITION))?, 0)),
        };
        if next > *last {
            file.write_all_at(&next.to_le_bytes(), 0)?;
            *last = next;
        }
        Ok(())
    }

    /// What was accepted under that id and what came of it, as long as it is open.
    pub fn entry(&self, id: ActivationId) -> Option<(Bytes, Option<Bytes>)> {
        self.lock().open.get(&id).map(|open| (open.message.clone(), open.outcome.clone()))
    }

    /// Takes in what an earlier run left, with all that is known of it, whatever the limit. What is known of
    /// an activation that is open here already is put together.
    pub fn inherit(&self, entry: &OpenEntry) -> io::Result<()> {
        let mut inner = self.lock();
        if let Some(known) = inner.open.get(&entry.id) {
            let (started, ended) = (known.started, known.outcome.is_some());
            if entry.started && !started {
                inner.current.append(Kind::Started, entry.id, &[])?;
            }
            if let Some(outcome) = entry.outcome.as_ref().filter(|_| !ended) {
                inner.current.append(Kind::Outcome, entry.id, outcome)?;
            }
            if let Some(known) = inner.open.get_mut(&entry.id) {
                let before = known.bytes();
                known.started |= entry.started;
                known.outcome = known.outcome.take().or_else(|| entry.outcome.clone());
                let after = known.bytes();
                inner.open_bytes = inner.open_bytes + after - before;
            }
            return Ok(());
        }
        self.rotate(&mut inner)?;
        let OpenEntry { id, at, message, started, outcome } = entry.clone();
        inner.current.append_whole(id, at, &message, started, outcome.as_deref())?;
        let segment = inner.current.number();
        *inner.segments.entry(segment).or_default() += 1;
        let open = Open { segment, at, message, started, outcome };
        inner.open_bytes += open.bytes();
        inner.open.insert(id, open);
        Ok(())
    }

    /// The name of this run; containers are labelled with it.
    pub fn run(&self) -> &str {
        &self.run
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// From now on the activation is this process's: it will get a record.
    pub fn accepted(&self, id: ActivationId, at: Millis, message: &Bytes) -> Result<(), JournalError> {
        let mut inner = self.lock();
        if inner.open.contains_key(&id) {
            return Err(JournalError::Duplicate(id));
        }
        if inner.open_bytes + message.len() as u64 > self.max_bytes {
            return Err(JournalError::Full { open: inner.open_bytes, max: self.max_bytes });
        }
        self.rotate(&mut inner)?;
        inner.current.append_accepted(id, at, message)?;
        let segment = inner.current.number();
        *inner.segments.entry(segment).or_default() += 1;
        inner.open_bytes += message.len() as u64;
        let open = Open { segment, at, message: message.clone(), started: false, outcome: None };
        inner.open.insert(id, open);
        Ok(())
    }

    /// Its code may run from now on; after a crash it does not run again.
    pub fn started(&self, id: ActivationId) -> Result<(), JournalError> {
        self.note(id, Kind::Started, true)
    }

    /// Its container refused it before it ran: it may run elsewhere.
    pub fn retracted(&self, id: ActivationId) -> Result<(), JournalError> {
        self.note(id, Kind::Retracted, false)
    }

    fn note(&self, id: ActivationId, kind: Kind, started: bool) -> Result<(), JournalError> {
        let mut inner = self.lock();
        inner.current.append(kind, id, &[])?;
        if let Some(open) = inner.open.get_mut(&id) {
            open.started = started;
        }
        Ok(())
    }

    /// How it ended: the record without logs.
    pub fn outcome(&self, id: ActivationId, record: Bytes) -> Result<(), JournalError> {
        let mut inner = self.lock();
        inner.current.append(Kind::Outcome, id, &record)?;
        if let Some(open) = inner.open.get_mut(&id) {
            let before = open.bytes();
            open.outcome = Some(record);
            let after = open.bytes();
            inner.open_bytes = inner.open_bytes + after - before;
        }
        Ok(())
    }

    /// Their records are stored, or are not to be: the journal may forget them.
    pub fn stored(&self, ids: &[ActivationId]) -> Result<(), JournalError> {
        let mut inner = self.lock();
        inner.current.append_stored(ids)?;
        for id in ids {
            if let Some(open) = inner.open.remove(id) {
                inner.open_bytes -= open.bytes();
                if let Some(count) = inner.segments.get_mut(&open.segment) {
                    *count -= 1;
                }
            }
        }
        self.drop_finished(&mut inner);
        Ok(())
    }

    /// How many activations are accepted and not stored.
    pub fn open(&self) -> usize {
        self.lock().open.len()
    }

    /// Bytes that are accepted and not stored.
    pub fn open_bytes(&self) -> u64 {
        self.lock().open_bytes
    }

    /// With so many bytes it accepts nothing more.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    /// Ends a run in order: its journal goes, unless an activation is open in it, or the removal fails; then
    /// the next run takes it over.
    pub fn end(&self) {
        match self.close() {
            Ok(true) => {}
            Ok(false) => tracing::info!("{} activations stay in the journal for the next start", self.open()),
            Err(error) => tracing::warn!("the journal cannot be removed: {error}"),
        }
    }

    /// Removes the journal of a run that ended in order. Refused while an activation is open: the next
    /// run takes it over.
    pub fn close(&self) -> io::Result<bool> {
        let inner = self.lock();
        if !inner.open.is_empty() {
            return Ok(false);
        }
        file::remove_dir(&self.dir)?;
        Ok(true)
    }

    fn rotate(&self, inner: &mut Inner) -> io::Result<()> {
        if inner.current.len() < self.segment_bytes {
            return Ok(());
        }
        let number = inner.current.number() + 1;
        inner.current = Segment::create(&self.dir, number)?;
        inner.segments.insert(number, 0);
        self.drop_finished(inner);
        if inner.segments.len() > MAX_SEGMENTS {
            self.empty_oldest(inner)?;
        }
        Ok(())
    }

    /// Writes what is open in the oldest file again into the newest.
    fn empty_oldest(&self, inner: &mut Inner) -> io::Result<()> {
        let Some(oldest) = inner.segments.keys().next().copied() else { return Ok(()) };
        let Inner { current, segments, open, .. } = inner;
        for (id, entry) in open.iter_mut().filter(|(_, entry)| entry.segment == oldest) {
            current.append_whole(*id, entry.at, &entry.message, entry.started, entry.outcome.as_deref())?;
            entry.segment = current.number();
            *segments.entry(current.number()).or_default() += 1;
        }
        segments.insert(oldest, 0);
        self.drop_finished(inner);
        Ok(())
    }

    /// Files go in order, so that a `stored` is never gone before what it ends.
    fn drop_finished(&self, inner: &mut Inner) {
        while let Some((&oldest, &count)) = inner.segments.iter().next() {
            if count > 0 || oldest == inner.current.number() {
                return;
            }
            inner.segments.remove(&oldest);
            if let Err(error) = std::fs::remove_file(file::segment_path(&self.dir, oldest)) {
                tracing::warn!(%error, segment = oldest, "a finished journal file cannot be removed: {error}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> ActivationId {
        ActivationId::from_bytes([n; 16])
    }

    fn recovered(state: &Path) -> Vec<OpenEntry> {
        let mut all: Vec<_> =
            take_over(state, |_| true).unwrap().into_iter().flat_map(|mut a| a.take_entries()).collect();
        all.sort_by_key(|entry| entry.id);
        all
    }

    #[test]
    fn what_is_inherited_is_known_as_well_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let first = Journal::create(dir.path(), 1 << 20, 1 << 20).unwrap();
        for n in 1..=3 {
            first.accepted(id(n), Millis(7), &Bytes::from(vec![n; 10])).unwrap();
        }
        first.started(id(2)).unwrap();
        first.started(id(3)).unwrap();
        first.outcome(id(3), Bytes::from_static(b"record")).unwrap();
        drop(first);
        // Full, and it knows one of them already, as after a recovery that was cut short.
        let second = Journal::create(dir.path(), 1 << 20, 15).unwrap();
        second.accepted(id(3), Millis(7), &Bytes::from(vec![3; 10])).unwrap();
        for mut run in take_over(dir.path(), |_| true).unwrap() {
            for entry in run.take_entries() {
                second.inherit(&entry).unwrap();
            }
            run.remove().unwrap();
        }
        assert_eq!(second.open(), 3);
        drop(second);
        let found = recovered(dir.path());
        let states: Vec<_> = found.iter().map(|e| (e.started, e.outcome.clone())).collect();
        assert_eq!(states, [(false, None), (true, None), (true, Some(Bytes::from_static(b"record")))]);
        assert!(found.iter().all(|entry| entry.at == Millis(7) && entry.message.len() == 10));
    }

    #[test]
    fn a_mark_says_whose_it_was_and_a_position_how_far_it_had_read() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create_marked(dir.path(), 1 << 20, 1 << 20, Some("invoker 3")).unwrap();
        for next in [5, 9, 7] {
            journal.reached(next).unwrap();
        }
        let unmarked = Journal::create(dir.path(), 1 << 20, 1 << 20).unwrap();
        std::fs::write(dir.path().join("installation"), "no journal").unwrap();
        let seen = |is_held| Seen { mark: "invoker 3".to_owned(), is_held };
        assert_eq!(marks(dir.path()).unwrap(), [seen(true)]);
        drop((journal, unmarked));
        assert_eq!(marks(dir.path()).unwrap(), [seen(false)]);
        let taken = take_over(dir.path(), |mark| mark == Some("invoker 3")).unwrap();
        assert_eq!(taken.len(), 1);
        assert_eq!((taken[0].mark(), taken[0].position()), (Some("invoker 3"), Some(9)));
        let rest = take_over(dir.path(), |_| true).unwrap();
        assert_eq!(rest.iter().map(|one| (one.mark(), one.position())).collect::<Vec<_>>(), [(None, None)]);
        for one in taken.into_iter().chain(rest) {
            one.remove().unwrap();
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "what is no journal stays");
    }

    #[test]
    fn what_was_open_at_a_crash_is_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path(), 1 << 20, 1 << 20).unwrap();
        for n in 1..=5 {
            journal.accepted(id(n), Millis(7), &Bytes::from(vec![n; 10])).unwrap();
        }
        for n in 2..=5 {
            journal.started(id(n)).unwrap();
        }
        journal.outcome(id(3), Bytes::from_static(b"record")).unwrap();
        journal.outcome(id(4), Bytes::from_static(b"gone")).unwrap();
        journal.stored(&[id(4)]).unwrap();
        journal.retracted(id(5)).unwrap();
        // A live journal is not taken.
        assert!(take_over(dir.path(), |_| true).unwrap().is_empty());
        drop(journal);
        let open = recovered(dir.path());
        let seen: Vec<_> = open.iter().map(|e| (e.id, e.started, e.outcome.is_some())).collect();
        assert_eq!(
            seen,
            [(id(1), false, false), (id(2), true, false), (id(3), true, true), (id(5), false, false)]
        );
        assert_eq!((open[0].at, &open[0].message[..]), (Millis(7), &[1; 10][..]));
    }

    #[test]
    fn a_second_delivery_and_a_full_journal_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path(), 1 << 20, 100).unwrap();
        let message = Bytes::from(vec![0; 60]);
        journal.accepted(id(1), Millis(0), &message).unwrap();
        assert!(matches!(journal.accepted(id(1), Millis(0), &message), Err(JournalError::Duplicate(_))));
        assert!(matches!(journal.accepted(id(2), Millis(0), &message), Err(JournalError::Full { .. })));
        assert!(!journal.close().unwrap());
        journal.stored(&[id(1)]).unwrap();
        journal.accepted(id(2), Millis(0), &message).unwrap();
        journal.stored(&[id(2)]).unwrap();
        assert!(journal.close().unwrap());
        assert!(take_over(dir.path(), |_| true).unwrap().is_empty());
    }

    #[test]
    fn files_go_and_one_long_run_does_not_keep_them() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path(), 200, 1 << 20).unwrap();
        let message = Bytes::from(vec![0; 100]);
        journal.accepted(id(255), Millis(1), &message).unwrap();
        journal.started(id(255)).unwrap();
        journal.outcome(id(255), Bytes::from_static(b"late")).unwrap();
        for n in 0..100 {
            journal.accepted(id(n), Millis(0), &message).unwrap();
            journal.stored(&[id(n)]).unwrap();
        }
        let files = std::fs::read_dir(dir.path().join(journal.run())).unwrap().count();
        assert!(files <= MAX_SEGMENTS + 2, "{files} files");
        drop(journal);
        let open = recovered(dir.path());
        assert_eq!(open.len(), 1);
        assert_eq!(
            (open[0].id, open[0].started, open[0].outcome.as_deref()),
            (id(255), true, Some(&b"late"[..]))
        );
    }

    #[test]
    fn a_torn_end_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let journal = Journal::create(dir.path(), 1 << 20, 1 << 20).unwrap();
        journal.accepted(id(1), Millis(0), &Bytes::from_static(b"whole")).unwrap();
        journal.accepted(id(2), Millis(0), &Bytes::from_static(b"torn")).unwrap();
        let path = file::segment_path(&dir.path().join(journal.run()), 1);
        drop(journal);
        let text = std::fs::read(&path).unwrap();
        std::fs::write(&path, &text[..text.len() - 2]).unwrap();
        assert_eq!(recovered(dir.path()).len(), 1);
    }

    proptest::proptest! {
        /// Whatever the order of events, what is found after a crash is what was open.
        #[test]
        fn any_history_is_found_again(events in proptest::collection::vec((0u8..12, 0u8..5), 1..200)) {
            let dir = tempfile::tempdir().unwrap();
            let journal = Journal::create(dir.path(), 300, 1 << 20).unwrap();
            let mut model: BTreeMap<ActivationId, (bool, bool)> = BTreeMap::new();
            for (n, event) in events {
                let id = id(n);
                match (event, model.contains_key(&id)) {
                    (0, false) => {
                        journal.accepted(id, Millis(1), &Bytes::from(vec![n; 40])).unwrap();
                        model.insert(id, (false, false));
                    }
                    (1, true) => {
                        journal.started(id).unwrap();
                        model.entry(id).and_modify(|e| e.0 = true);
                    }
                    (2, true) => {
                        journal.retracted(id).unwrap();
                        model.entry(id).and_modify(|e| e.0 = false);
                    }
                    (3, true) => {
                        journal.outcome(id, Bytes::from_static(b"r")).unwrap();
                        model.entry(id).and_modify(|e| e.1 = true);
                    }
                    (4, true) => {
                        journal.stored(&[id]).unwrap();
                        model.remove(&id);
                    }
                    _ => {}
                }
            }
            drop(journal);
            let found: BTreeMap<_, _> =
                recovered(dir.path()).into_iter().map(|e| (e.id, (e.started, e.outcome.is_some()))).collect();
            proptest::prop_assert_eq!(found, model);
        }
    }
}
