//! The flags that have a program answer over TLS, the same for all that listen.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Files, Tls, TlsError};
use crate::config::http::{HttpsConfig, Protocol};
use crate::shutdown::Shutdown;

/// They win over settings.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct TlsFlags {
    /// A PEM file with the certificate, and those between it and its authority: this process answers over TLS.
    #[arg(long, env = "OXWHISK_TLS_CERT", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// A PEM file with the certificate's private key.
    #[arg(long, env = "OXWHISK_TLS_KEY", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// A PEM file with authorities: clients must show a certificate of one of them.
    #[arg(long, env = "OXWHISK_TLS_CLIENT_CA", requires = "tls_cert")]
    pub tls_client_ca: Option<PathBuf>,
}

impl TlsFlags {
    /// The files that they or else the settings name; `None` if the server is to be plain.
    ///
    /// # Errors
    ///
    /// As [`Files::of`].
    pub fn files(&self, protocol: Option<Protocol>, config: &HttpsConfig) -> Result<Option<Files>, TlsError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Ok(Some(Files {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: self.tls_client_ca.clone(),
            })),
            _ => Files::of(protocol, config),
        }
    }

    /// What this process shows to clients, followed until the shutdown; `None` if it is to be plain.
    ///
    /// # Errors
    ///
    /// As [`TlsFlags::files`] and [`Tls::load`].
    pub fn open(
        &self,
        protocol: Option<Protocol>,
        config: &HttpsConfig,
        shutdown: &Shutdown,
    ) -> Result<Option<Arc<Tls>>, TlsError> {
        let Some(files) = self.files(protocol, config)? else { return Ok(None) };
        let tls = Arc::new(Tls::load(files)?);
        shutdown.spawn("tls", tls.clone().follow(shutdown.clone()));
        Ok(Some(tls))
    }
}
