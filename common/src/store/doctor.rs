//! Whether the tables of a database are those of this version: what its migrations say of it.

use sqlx::migrate::Migrator;

use crate::doctor::Finding;

/// A change that was made to a database: its number, whether it went well, and the digest of its text.
pub(super) type Applied = (i64, bool, Vec<u8>);

/// What is read of it.
pub(super) const APPLIED: &str = "SELECT version, success, checksum FROM _sqlx_migrations ORDER BY version";

/// Judges the changes of a database; `None` if it has no tables yet.
pub(super) fn judge(what: &str, migrator: &Migrator, applied: Option<&[Applied]>) -> Finding {
    let Some(applied) = applied else {
        return Finding::ok(format!("{what} has no tables yet; they are made at the start"));
    };
    let newer = "start that version, or restore a backup of before its upgrade";
    for (version, success, checksum) in applied {
        let Some(known) = migrator.iter().find(|known| known.version == *version) else {
            return Finding::fail(
                format!("{what} is of a newer version (its change {version} is not known)"),
                newer,
            );
        };
        if !success {
            let told = format!("{what}: its change {version} was not finished");
            return Finding::fail(told, "restore a backup of before the upgrade");
        }
        if known.checksum[..] != checksum[..] {
            return Finding::fail(
                format!("{what} is of another version (its change {version} differs)"),
                newer,
            );
        }
    }
    match migrator.iter().count() - applied.len() {
        0 => Finding::ok(format!("{what} has the tables of this version")),
        missing => {
            Finding::ok(format!("{what} is of an older version: {missing} changes are made at the start"))
        }
    }
}
