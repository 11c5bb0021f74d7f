//! Certificates of a test's own: an authority, and identities that it signs, in files.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use tempfile::TempDir;

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
        self.identity_for(name, &["127.0.0.1", "localhost"])
    }

    /// The same for these hosts.
    ///
    /// # Panics
    ///
    /// As [`Authority::identity`].
    pub fn identity_for(&self, name: &str, hosts: &[&str]) -> Identity {
        let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("these are names");
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
