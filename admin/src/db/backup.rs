//! `wskadmin db backup`: a data directory as it is now, in a folder that can be served in its place.
//!
//! Journals stay out: they are of what is under way, which a restored copy would do a second time.

use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use anyhow::Context;
use common::paths;

use crate::output::Outcome;
use crate::{Installation, Stores};

/// Writes it.
pub(crate) async fn run(folder: &Path, installation: &Installation) -> anyhow::Result<Outcome> {
    let Stores::Sqlite(stores) = &installation.stores else {
        let why =
            "a PostgreSQL database is backed up by pg_dump: see \"Backup and restore\" in docs/operations.md";
        return Ok(Outcome::misused(why));
    };
    let shown = folder.display();
    let made = DirBuilder::new().mode(0o700).create(folder);
    made.with_context(|| format!("the folder {shown} cannot be made"))?;
    let written = async {
        stores.copy_to(folder).await?;
        let secret = folder.join(paths::SECRET);
        fs::copy(&installation.secret_file, &secret).and_then(|_| fs::File::open(&secret)?.sync_all())?;
        fs::File::open(folder)?.sync_all()?;
        anyhow::Ok(())
    };
    if let Err(error) = written.await {
        // Half a backup would be taken for a whole one.
        fs::remove_dir_all(folder).with_context(|| format!("{shown} is incomplete: {error:#}"))?;
        return Err(error.context(format!("the backup {shown} cannot be written")));
    }
    Ok(Outcome::done([format!("Backup written to {shown}")]))
}
