//! One file of a journal: entries with a length and a checksum, written with one call each.
//!
//! Entry: length of the rest (4 bytes, little end first), CRC-32 of the rest (4), kind (1), then the
//! activation id (16) and what the kind has besides. A torn end is recognised and passed over. Beside the
//! entries' files lie a lock, and perhaps a mark and a position.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::clock::Millis;
use crate::entity::id::ActivationId;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Accepted = 1,
    Started = 2,
    Retracted = 3,
    Outcome = 4,
    Stored = 5,
}

/// An entry that was read back.
pub(super) struct Entry {
    pub(super) kind: Kind,
    pub(super) id: ActivationId,
    /// Of `Accepted`.
    pub(super) at: Millis,
    /// Of `Accepted` the message, of `Outcome` the record.
    pub(super) data: Bytes,
}

pub(super) struct Segment {
    number: u64,
    file: File,
    len: u64,
}

/// Makes the directory of a journal, for its owner alone, and locks it. It gets its name once it is locked,
/// so that nobody takes it for one that was left.
pub(super) fn create_private_dir(state: &Path, run: &str, mark: Option<&str>) -> io::Result<File> {
    let draft = state.join(format!("{DRAFT}{run}"));
    fs::DirBuilder::new().recursive(true).mode(0o700).create(&draft)?;
    let lock = private_file(&draft.join("lock"))?;
    lock.try_lock()?;
    if let Some(mark) = mark {
        private_file(&draft.join(MARK))?.write_all(mark.as_bytes())?;
    }
    fs::rename(draft, state.join(run))?;
    Ok(lock)
}

/// Removes the directory of a journal. It loses its name first, so that nobody finds half of it.
pub(super) fn remove_dir(dir: &Path) -> io::Result<()> {
    let name = dir.file_name().unwrap_or_default().to_string_lossy();
    let gone = dir.with_file_name(format!("{DRAFT}gone-{name}"));
    fs::rename(dir, &gone)?;
    fs::remove_dir_all(gone)
}

/// Before the name of a directory that is being made.
pub(super) const DRAFT: char = '.';

/// In a journal's directory: which node of the installation wrote it.
pub(super) const MARK: &str = "node";

/// In a journal's directory: how far its topic was read, 8 bytes.
pub(super) const POSITION: &str = "position";

pub(super) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).read(true).mode(0o600).open(path)
}

pub(super) fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:010}.log"))
}

impl Segment {
    pub(super) fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let file = private_file(&segment_path(dir, number))?;
        Ok(Self { number, file, len: 0 })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn append_accepted(&mut self, id: ActivationId, at: Millis, message: &[u8]) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(40 + message.len());
        encode(&mut buffer, Kind::Accepted, id, &[&at.0.to_le_bytes(), message]);
        self.write(&buffer)
    }

    /// Appends all that is known of an activation, in one write.
    pub(super) fn append_whole(
        &mut self,
        id: ActivationId,
        at: Millis,
        message: &[u8],
        started: bool,
        outcome: Option<&[u8]>,
    ) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(128 + message.len() + outcome.map_or(0, <[u8]>::len));
        encode(&mut buffer, Kind::Accepted, id, &[&at.0.to_le_bytes(), message]);
        if started {
            encode(&mut buffer, Kind::Started, id, &[]);
        }
        if let Some(outcome) = outcome {
            encode(&mut buffer, Kind::Outcome, id, &[outcome]);
        }
        self.write(&buffer)
    }

    pub(super) fn append(&mut self, kind: Kind, id: ActivationId, data: &[u8]) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(32 + data.len());
        encode(&mut buffer, kind, id, &[data]);
        self.write(&buffer)
    }

    pub(super) fn append_stored(&mut self, ids: &[ActivationId]) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(32 * ids.len());
        for id in ids {
            encode(&mut buffer, Kind::Stored, *id, &[]);
        }
        self.write(&buffer)
    }

    /// A write that fails half-way is taken back, so that what follows can be read.
    fn write(&mut self, buffer: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all(buffer) {
            self.file.set_len(self.len)?;
            io::Seek::seek(&mut self.file, io::SeekFrom::Start(self.len))?;
            return Err(error);
        }
        self.len += buffer.len() as u64;
        Ok(())
    }
}

fn encode(buffer: &mut Vec<u8>, kind: Kind, id: ActivationId, data: &[&[u8]]) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 8]);
    buffer.push(kind as u8);
    buffer.extend_from_slice(id.as_bytes());
    for part in data {
        buffer.extend_from_slice(part);
    }
    let rest = &buffer[start + 8..];
    let length = u32::try_from(rest.len()).expect("a message is far smaller than 4 GB");
    let crc = crc32fast::hash(rest);
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    buffer[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
}

/// Every whole entry of a file, in order.
pub(super) fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let mut text = Vec::new();
    File::open(path)?.read_to_end(&mut text)?;
    let text = Bytes::from(text);
    let (mut entries, mut at) = (Vec::new(), 0);
    while let Some((entry, next)) = decode(&text, at) {
        entries.push(entry);
        at = next;
    }
    Ok(entries)
}

fn decode(text: &Bytes, at: usize) -> Option<(Entry, usize)> {
    let word = |from: usize| text.get(from..from + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
    let (length, crc) = (word(at)? as usize, word(at + 4)?);
    let rest = at + 8..at + 8 + length;
    if length < 17 || rest.end > text.len() || crc32fast::hash(&text[rest.clone()]) != crc {
        return None;
    }
    let kind = match text[rest.start] {
        1 => Kind::Accepted,
        2 => Kind::Started,
        3 => Kind::Retracted,
        4 => Kind::Outcome,
        5 => Kind::Stored,
        _ => return None,
    };
    let id = ActivationId::from_bytes(text[rest.start + 1..rest.start + 17].try_into().ok()?);
    let mut data = text.slice(rest.start + 17..rest.end);
    let mut at = Millis(0);
    if kind == Kind::Accepted {
        at = Millis(u64::from_le_bytes(data.get(..8)?.try_into().ok()?));
        data = data.slice(8..);
    }
    Some((Entry { kind, id, at, data }, rest.end))
}
