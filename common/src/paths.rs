//! The data directory: where it is unless somebody says otherwise, and what lies in it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

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

/// In a folder of journals: the folder of compiled actions.
pub const COMPILED: &str = "compiled";

/// `$XDG_DATA_HOME/oxwhisk`, else `$HOME/.local/share/oxwhisk`, else `oxwhisk-data` here.
pub fn default_data_dir() -> PathBuf {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    match (folder("XDG_DATA_HOME"), folder("HOME")) {
        (Some(data), _) => data.join("oxwhisk"),
        (None, Some(home)) => home.join(".local/share/oxwhisk"),
        (None, None) => PathBuf::from("oxwhisk-data"),
    }
}

/// In a folder of journals: a word that no other installation has.
const INSTALLATION: &str = "installation";

/// A short hexadecimal word for a node of the installation whose journals lie there: the same after a
/// restart, and another in every other installation.
pub fn instance(state_dir: &Path, node: &str) -> io::Result<String> {
    let file = state_dir.join(INSTALLATION);
    let word = match fs::read_to_string(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let draft = state_dir.join(format!(".{INSTALLATION}-{}", uuid::Uuid::new_v4().simple()));
            fs::File::create(&draft)?.write_all(uuid::Uuid::new_v4().simple().to_string().as_bytes())?;
            // Of several processes that make it at once one is first.
            let made = fs::hard_link(&draft, &file);
            fs::remove_file(draft)?;
            match made {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => fs::read_to_string(&file)?,
            }
        }
        other => other?,
    };
    let digest = Sha256::digest(format!("{} {node}", word.trim()));
    Ok(digest[..4].iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_its_word_and_shares_it_with_nobody() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let word = instance(one.path(), "invoker0").unwrap();
        assert!(word.len() == 8 && word.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert_eq!(instance(one.path(), "invoker0").unwrap(), word);
        assert_ne!(instance(one.path(), "invoker1").unwrap(), word);
        assert_ne!(instance(other.path(), "invoker0").unwrap(), word);
        assert_eq!(fs::read_dir(one.path()).unwrap().count(), 1);
    }
}
