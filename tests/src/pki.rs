//! Certificates of a test's own: an authority, and identities that it signs, in files.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use common::clock::{Clock, SystemClock};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

/// Whom identities are for.
const HOSTS: [&str; 2] = ["127.0.0.1", "localhost"];

fn params(hosts: &[&str]) -> CertificateParams {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    CertificateParams::new(hosts).expect("these are names")
}

/// An authority, with a folder for what it signs.
#[derive(Clone)]
pub struct Authority {
    issuer: Arc<CertifiedIssuer<'static, KeyPair>>,
    folder: Arc<TempDir>,
}

/// A certificate and its key, in files that last as long as anybody has one of the authority's.
#[derive(Clone, Debug)]
pub struct Identity {
    certificate: PathBuf,
    key: PathBuf,
    authority: Arc<str>,
    _folder: Arc<TempDir>,
}

impl Authority {
    /// A new one, whom nobody trusts yet.
    ///
    /// # Panics
    ///
    /// If its certificate cannot be made.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key can be made");
        let issuer = Arc::new(CertifiedIssuer::self_signed(params, key).expect("it signs itself"));
        let folder = tempfile::Builder::new().prefix("oxwhisk-test-pki-").tempdir();
        let folder = Arc::new(folder.expect("a temporary folder can be made"));
        let authority = Self { issuer, folder };
        fs::write(authority.file(), authority.pem()).expect("a new folder is writable");
        authority
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// The same in a file.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// An identity under this name, for 127.0.0.1 and `localhost`, as server and as client. An earlier one of the
    /// name is replaced, its key first.
    ///
    /// # Panics
    ///
    /// If it cannot be made or written.
    pub fn identity(&self, name: &str) -> Identity {
        self.identity_for(name, &HOSTS)
    }

    /// The same for these hosts.
    ///
    /// # Panics
    ///
    /// As [`Authority::identity`].
    pub fn identity_for(&self, name: &str, hosts: &[&str]) -> Identity {
        self.sign(name, params(hosts))
    }

    /// One whose certificate expires in so many days; it has expired if they are negative.
    ///
    /// # Panics
    ///
    /// As [`Authority::identity`].
    pub fn identity_until(&self, name: &str, days: i64) -> Identity {
        let now = Duration::from_millis(SystemClock.now().0);
        let end = (now.as_secs()).saturating_add_signed(days * 86_400);
        let mut params = params(&HOSTS);
        params.not_after = date_time_ymd(1970, 1, 1) + Duration::from_secs(end);
        self.sign(name, params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> Identity {
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("the authority signs");
        let at = |suffix: &str| self.folder.path().join(format!("{name}.{suffix}.pem"));
        let identity = Identity {
            certificate: at("cert"),
            key: at("key"),
            authority: self.pem().into(),
            _folder: self.folder.clone(),
        };
        fs::write(&identity.key, key.serialize_pem()).expect("the folder is writable");
        fs::set_permissions(&identity.key, fs::Permissions::from_mode(0o600)).expect("it is ours");
        fs::write(&identity.certificate, certificate.pem()).expect("the folder is writable");
        identity
    }
}

impl Identity {
    /// The file of the certificate.
    pub fn certificate(&self) -> &Path {
        &self.certificate
    }

    /// The file of the key.
    pub fn key(&self) -> &Path {
        &self.key
    }

    /// Both in one text.
    ///
    /// # Panics
    ///
    /// If a file is gone.
    pub fn pem(&self) -> String {
        let read = |path: &Path| fs::read_to_string(path).expect("the files are there");
        read(&self.certificate) + &read(&self.key)
    }

    /// The certificate of who signed it.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// The flags of our programs that name it.
    pub fn flags(&self) -> [OsString; 4] {
        ["--tls-cert".into(), self.certificate.clone().into(), "--tls-key".into(), self.key.clone().into()]
    }
}
