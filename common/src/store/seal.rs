//! Keys at rest: a digest to compare with, and a copy that only this installation can open.
//!
//! A key is random and long, so one SHA-256 is enough to compare by. The copy is sealed with
//! AES-256-GCM under the installation's secret, a file of 32 random bytes, and is opened only for
//! `wskadmin` and for actions that are given the key they run under.

use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use aes_gcm::aead::{Aead, KeyInit};
use aes_gcm::{Aes256Gcm, Nonce};
use rand::Rng;
use rand::distr::{Alphanumeric, SampleString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::KeyRecord;
use crate::entity::identity::{AuthKey, KEY_LENGTH};
use crate::entity::name::EntityName;

const SECRET_LENGTH: usize = 32;
const NONCE_LENGTH: usize = 12;

/// The installation's secret. `Debug` hides it.
#[derive(Clone)]
pub struct Secret(Aes256Gcm);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

impl Secret {
    /// Reads the secret of that file, which is made if it is not there. Of several processes that make
    /// it at once one wins, and all get the winner's.
    pub fn load_or_create(path: &Path) -> io::Result<Self> {
        match Self::load(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path)?,
            loaded => return loaded,
        }
        Self::load(path)
    }

    /// Reads the secret of that file.
    pub fn load(path: &Path) -> io::Result<Self> {
        let bytes = fs::read(path)?;
        if bytes.len() != SECRET_LENGTH {
            let why = format!("{} holds {} bytes, not {SECRET_LENGTH}", path.display(), bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidData, why));
        }
        Aes256Gcm::new_from_slice(&bytes)
            .map(Self)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error.to_string()))
    }

    /// Writes a whole file under a name of its own and links it into place, which fails if another
    /// process was first: nobody ever reads half a secret.
    fn create(path: &Path) -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let draft = path.with_extension(format!("new-{:016x}", rand::rng().random::<u64>()));
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        let written = file
            .write_all(&rand::rng().random::<[u8; SECRET_LENGTH]>())
            .and_then(|()| file.sync_all())
            .and_then(|()| fs::hard_link(&draft, path));
        fs::remove_file(&draft)?;
        match written {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => fs::File::open(folder)?.sync_all(),
        }
    }

    /// A copy of the key that only this secret opens.
    pub fn seal(&self, key: &str) -> Vec<u8> {
        let nonce: [u8; NONCE_LENGTH] = rand::rng().random();
        let sealed = self.0.encrypt(Nonce::from_slice(&nonce), key.as_bytes());
        let mut copy = nonce.to_vec();
        copy.extend(sealed.expect("AES-GCM seals whatever is shorter than 64 GiB"));
        copy
    }

    /// The key, if this secret sealed it.
    pub fn unseal(&self, sealed: &[u8]) -> Option<String> {
        let (nonce, sealed) = sealed.split_at_checked(NONCE_LENGTH)?;
        String::from_utf8(self.0.decrypt(Nonce::from_slice(nonce), sealed).ok()?).ok()
    }

    /// What is kept of the key of a namespace.
    pub fn record(&self, namespace: EntityName, key: &AuthKey) -> KeyRecord {
        KeyRecord { namespace, uuid: key.uuid.clone(), digest: digest(&key.key), sealed: self.seal(&key.key) }
    }

    /// The key that a record was made of, if this secret sealed it.
    pub fn reveal(&self, record: &KeyRecord) -> Option<AuthKey> {
        Some(AuthKey { uuid: record.uuid.clone(), key: self.unseal(&record.sealed)? })
    }
}

/// What a key is compared by: its SHA-256.
pub fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// Whether this is the key of that digest; how long the answer takes does not tell how wrong it is.
pub fn matches(expected: &[u8; 32], key: &str) -> bool {
    digest(key).ct_eq(expected).into()
}

/// A new key of 64 letters and digits, under that uuid or under a new one.
pub fn generate_key(uuid: Option<&str>) -> AuthKey {
    AuthKey {
        uuid: uuid.map_or_else(|| uuid::Uuid::new_v4().to_string(), str::to_owned),
        key: Alphanumeric.sample_string(&mut rand::rng(), KEY_LENGTH),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_one_secret_sealed_only_it_opens() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::load_or_create(&folder.path().join("secret")).unwrap();
        let other = Secret::load_or_create(&folder.path().join("other")).unwrap();
        let mut sealed = secret.seal("a key");
        assert_ne!(sealed, secret.seal("a key"), "every copy has a nonce of its own");
        assert_eq!(secret.unseal(&sealed).as_deref(), Some("a key"));
        assert_eq!(other.unseal(&sealed), None);
        *sealed.last_mut().unwrap() ^= 1;
        assert_eq!(secret.unseal(&sealed), None);
        assert_eq!(secret.unseal(b"short"), None);
        assert_eq!(format!("{secret:?}"), "Secret(hidden)");
    }

    #[test]
    fn all_who_make_a_secret_at_once_get_the_same_and_it_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        let start = std::sync::Barrier::new(8);
        let secrets: Vec<Secret> = std::thread::scope(|scope| {
            let load = || {
                start.wait();
                Secret::load_or_create(&path).unwrap()
            };
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(load)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let sealed = secrets[0].seal("k");
        assert!(secrets.iter().all(|secret| secret.unseal(&sealed).as_deref() == Some("k")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
    }

    #[test]
    fn a_damaged_secret_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        fs::write(&path, b"too short").unwrap();
        assert_eq!(Secret::load_or_create(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
    }

    #[test]
    fn a_new_key_has_upstreams_form() {
        let key = generate_key(None);
        assert_eq!(uuid::Uuid::parse_str(&key.uuid).unwrap().get_version_num(), 4);
        assert!(key.key.len() == KEY_LENGTH && key.key.bytes().all(|b| b.is_ascii_alphanumeric()));
        assert_eq!(generate_key(Some("u")).uuid, "u");
        assert!(matches(&digest(&key.key), &key.key) && !matches(&digest(&key.key), "another"));
    }
}
