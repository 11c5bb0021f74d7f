//! The server's end of TLS: certificate and key from PEM files, read again when they change.
//!
//! TLS 1.2 and 1.3 by rustls, with ring, and HTTP/1.1 alone. A new certificate is for new connections; one that
//! cannot be used is told in the log, and the one before it stays. A client's end is in `tls/client.rs`.

pub mod client;
pub mod doctor;

#[cfg(feature = "flags")]
pub mod flags;

use std::fmt;
use std::fs::Metadata;
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
    StreamOwned,
};
use tokio_rustls::TlsAcceptor;
use tracing::{info, warn};

use crate::config::http::{HttpsConfig, Protocol};
use crate::shutdown::Shutdown;

/// Between two looks whether the files have changed.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The settings do not go together.
    #[error("{0}")]
    Settings(String),
    /// A file cannot be used.
    #[error("{what} {path}: {why}")]
    File {
        /// What it is for.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A key is not that of the certificate that it comes with.
    #[error("{what} {key}: it is not the key of {certificate}")]
    Mismatch {
        /// What it is for.
        what: &'static str,
        /// The file of the key.
        key: PathBuf,
        /// That of the certificate.
        certificate: PathBuf,
    },
}

/// Where the parts of an identity lie; some of them may be one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Files {
    /// The chain, the server's own certificate first.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// The authorities of clients, if they must show a certificate.
    pub client_ca: Option<PathBuf>,
}

/// What a server shows to its clients.
pub struct Tls {
    files: Files,
    current: RwLock<Arc<ServerConfig>>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Files {
    /// The files that settings name; `None` if the server is to be plain.
    ///
    /// # Errors
    ///
    /// If the settings do not go together, or want what only Java reads.
    pub fn of(protocol: Option<Protocol>, config: &HttpsConfig) -> Result<Option<Self>, TlsError> {
        let refuse = |why: &str| Err(TlsError::Settings(why.to_owned()));
        if protocol == Some(Protocol::Http) {
            return Ok(None);
        }
        let client_ca = config.client_ca.clone();
        let files = match (&config.certificate, &config.key, &config.keystore_path) {
            (Some(certificate), Some(key), _) => {
                if config.client_auth && client_ca.is_none() {
                    return refuse(
                        "https.client-auth needs https.client-ca: a PEM file with the authorities of clients",
                    );
                }
                Self { certificate: certificate.clone(), key: key.clone(), client_ca }
            }
            (Some(_), None, _) => {
                return refuse("a TLS certificate is named without its key (--tls-key, https.key)");
            }
            (None, Some(_), _) => {
                return refuse("a TLS key is named without its certificate (--tls-cert, https.certificate)");
            }
            (None, None, Some(store)) => {
                if !config.keystore_flavor.eq_ignore_ascii_case("PEM") {
                    let (flavor, path) = (&config.keystore_flavor, store.display());
                    return Err(TlsError::Settings(format!(
                        "https.keystore-path {path}: a keystore of the flavor '{flavor}' is not read, only PEM; \
                         `openssl pkcs12 -in {path} -nodes -out server.pem` makes one of a PKCS12"
                    )));
                }
                if !config.keystore_password.0.is_empty() {
                    return refuse(
                        "https.keystore-password: a PEM keystore must have none; leave it to the file's mode",
                    );
                }
                let authorities = config.client_auth.then(|| store.clone());
                Self { certificate: store.clone(), key: store.clone(), client_ca: client_ca.or(authorities) }
            }
            (None, None, None) if protocol.is_none() && client_ca.is_none() => return Ok(None),
            (None, None, None) => {
                return refuse(
                    "TLS is wanted without a certificate (--tls-cert and --tls-key, https.certificate and https.key)",
                );
            }
        };
        Ok(Some(files))
    }

    fn read(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let identity = identity_of([CERTIFICATE, KEY], &self.certificate, &self.key, &provider)?;
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(|error| self.wrong(error))?;
        let verifier = match &self.client_ca {
            None => Arc::new(NoClientAuth),
            Some(path) => {
                let roots = Arc::new(authorities(CLIENT_CA, path)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider).build();
                verifier.map_err(|error| file(CLIENT_CA, path, error))?
            }
        };
        let mut config = builder
            .with_client_cert_verifier(verifier)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn wrong(&self, error: rustls::Error) -> TlsError {
        file(CERTIFICATE, &self.certificate, error)
    }

    /// What tells one state of the files from another.
    fn stamp(&self) -> Vec<Option<(u64, i64, i64, u64)>> {
        let stamp = |meta: Metadata| (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.size());
        let paths = [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()];
        paths.into_iter().flatten().map(|path| std::fs::metadata(path).ok().map(stamp)).collect()
    }
}

const CERTIFICATE: &str = "the TLS certificate";
const KEY: &str = "the TLS key";
const CLIENT_CA: &str = "the authorities of TLS clients";

fn file(what: &'static str, path: &Path, why: impl fmt::Display) -> TlsError {
    TlsError::File { what, path: path.to_owned(), why: why.to_string() }
}

/// What is wrong with a PEM file; `none` if it holds nothing of the kind.
fn told(error: &pem::Error, none: &str) -> String {
    match error {
        pem::Error::NoItemsFound => none.to_owned(),
        pem::Error::Io(error) => format!("it cannot be read: {error}"),
        error => format!("it is not PEM: {error}"),
    }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let none = "it holds no certificate in PEM";
    let read = |error| file(what, path, told(&error, none));
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).map_err(read)?.collect();
    match found.map_err(read)? {
        chain if chain.is_empty() => Err(file(what, path, none)),
        chain => Ok(chain),
    }
}

/// A certificate and its key, both under the names that errors have for them.
fn identity_of(
    what: [&'static str; 2],
    certificate: &Path,
    key: &Path,
    provider: &CryptoProvider,
) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(what[0], certificate)?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        file(what[1], key, told(&error, "it holds no private key in PEM, or one under a password"))
    })?;
    CertifiedKey::from_der(chain, secret, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::Mismatch { what: what[1], key: key.to_owned(), certificate: certificate.to_owned() }
        }
        rustls::Error::InvalidCertificate(_) => file(what[0], certificate, error),
        error => file(what[1], key, error),
    })
}

fn authorities(what: &'static str, path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(what, path)? {
        roots.add(certificate).map_err(|error| file(what, path, error))?;
    }
    Ok(roots)
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// If one of them cannot be used; the text names it.
    pub fn load(files: Files) -> Result<Self, TlsError> {
        let current = RwLock::new(Arc::new(files.read()?));
        Ok(Self { files, current })
    }

    /// Where it comes from.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Does the server's part of a handshake, with the certificate of now.
    pub fn acceptor(&self) -> TlsAcceptor {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone().into()
    }

    /// Reads the files again whenever they have changed.
    pub async fn follow(self: Arc<Self>, shutdown: Shutdown) {
        let mut seen = self.files.stamp();
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = tokio::time::sleep(LOOK) => {}
            }
            let now = self.files.stamp();
            if now == seen {
                continue;
            }
            // A certificate and its key are mostly two files: between the two they do not belong together.
            match self.files.read() {
                Ok(config) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    info!("the TLS certificate was read again from {}", self.files.certificate.display());
                }
                Err(error) => warn!("the TLS certificate stays as it was: {error}"),
            }
            seen = now;
        }
    }
}

/// A connection to a process on this machine that is known to be ours: whatever certificate it shows is taken.
///
/// # Errors
///
/// If the identity to show (certificate, key) cannot be read, or TLS cannot be begun.
pub fn to_ourselves(
    stream: TcpStream,
    address: IpAddr,
    identity: Option<(&str, &str)>,
) -> anyhow::Result<StreamOwned<ClientConnection, TcpStream>> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = builder.with_safe_default_protocol_versions()?.dangerous();
    let builder = builder.with_custom_certificate_verifier(Arc::new(Ourselves(provider.clone())));
    let config = match identity {
        Some((certificate, key)) => {
            let identity =
                identity_of([CERTIFICATE, KEY], Path::new(certificate), Path::new(key), &provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(identity)))
        }
        None => builder.with_no_client_auth(),
    };
    Ok(StreamOwned::new(ClientConnection::new(Arc::new(config), address.into())?, stream))
}

/// Takes every certificate, but no forged signature.
#[derive(Debug)]
struct Ourselves(Arc<CryptoProvider>);

impl ServerCertVerifier for Ourselves {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::Password;
    use rcgen::{CertifiedKey as Made, generate_simple_self_signed};

    /// A folder with `cert.pem` and `key.pem`, and with a key of another certificate.
    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let make = || generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let Made { cert, signing_key } = make();
        let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text).unwrap();
        write("cert.pem", cert.pem());
        write("key.pem", signing_key.serialize_pem());
        write("both.pem", cert.pem() + &signing_key.serialize_pem());
        write("other.pem", make().signing_key.serialize_pem());
        write("none.pem", "no PEM at all\n".to_owned());
        folder
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_with_its_name() {
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        let load = |certificate: &str, key: &str, client_ca: Option<&str>| {
            let files = Files { certificate: at(certificate), key: at(key), client_ca: client_ca.map(at) };
            Tls::load(files).map(drop).map_err(|error| error.to_string())
        };
        for good in [("cert.pem", "key.pem", None), ("both.pem", "both.pem", Some("cert.pem"))] {
            load(good.0, good.1, good.2).unwrap();
        }
        for (certificate, key, ca, named, why) in [
            ("gone.pem", "key.pem", None, "gone.pem", "cannot be read"),
            ("none.pem", "key.pem", None, "none.pem", "no certificate"),
            ("key.pem", "key.pem", None, "key.pem", "no certificate"),
            ("cert.pem", "gone.pem", None, "gone.pem", "cannot be read"),
            ("cert.pem", "cert.pem", None, "cert.pem", "no private key"),
            ("cert.pem", "other.pem", None, "other.pem", "not the key of"),
            ("cert.pem", "key.pem", Some("none.pem"), "none.pem", "no certificate"),
        ] {
            let error = load(certificate, key, ca).unwrap_err();
            assert!(error.contains(named) && error.contains(why), "{error}");
        }
    }

    #[test]
    fn settings_that_do_not_go_together_are_refused() {
        let config = |text: &str| toml::from_str::<HttpsConfig>(text).unwrap();
        let of = |protocol, text: &str| Files::of(protocol, &config(text)).map_err(|error| error.to_string());
        assert_eq!(of(None, "").unwrap(), None);
        assert_eq!(of(Some(Protocol::Http), "certificate = 'c'\nkey = 'k'").unwrap(), None);
        let files = of(None, "certificate = 'c'\nkey = 'k'\nclient-ca = 'a'").unwrap().unwrap();
        assert_eq!(files, Files { certificate: "c".into(), key: "k".into(), client_ca: Some("a".into()) });
        let store = "keystore-flavor = 'PEM'\nkeystore-path = 's'\n";
        let files = of(Some(Protocol::Https), &format!("{store}client-auth = true")).unwrap().unwrap();
        assert_eq!(files, Files { certificate: "s".into(), key: "s".into(), client_ca: Some("s".into()) });
        for (protocol, text, why) in [
            (Some(Protocol::Https), "", "without a certificate"),
            (None, "client-ca = 'a'", "without a certificate"),
            (None, "certificate = 'c'", "without its key"),
            (None, "key = 'k'", "without its certificate"),
            (None, "certificate = 'c'\nkey = 'k'\nclient-auth = true", "client-ca"),
            (None, "keystore-flavor = 'PKCS12'\nkeystore-path = 's.p12'", "openssl pkcs12 -in s.p12"),
            (None, "keystore-path = 's'", "only PEM"),
            (None, "keystore-flavor = 'PEM'\nkeystore-path = 's'\nkeystore-password = 'p'", "must have none"),
        ] {
            let error = of(protocol, text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(
            !format!("{:?}", HttpsConfig { keystore_password: Password("s3".into()), ..Default::default() })
                .contains("s3")
        );
    }
}
