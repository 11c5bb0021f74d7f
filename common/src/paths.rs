//! The data directory: where it is unless somebody says otherwise, and what lies in it.

use std::path::PathBuf;

/// The file of entities, subjects, keys and limits.
pub const ENTITIES: &str = "entities.db";

/// The file of activation records.
pub const ACTIVATIONS: &str = "activations.db";

/// The installation's secret, under which keys are sealed.
pub const SECRET: &str = "secret";

/// Locked by the process that serves the directory.
pub const LOCK: &str = "lock";

/// The folder of journals.
pub const STATE: &str = "state";

/// `$XDG_DATA_HOME/oxwhisk`, else `$HOME/.local/share/oxwhisk`, else `oxwhisk-data` here.
pub fn default_data_dir() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (folder("XDG_DATA_HOME"), folder("HOME")) {
        (Some(data), _) => data.join("oxwhisk"),
        (None, Some(home)) => home.join(".local/share/oxwhisk"),
        (None, None) => PathBuf::from("oxwhisk-data"),
    }
}
