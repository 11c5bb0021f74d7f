//! The client's end of TLS: whom a client of ours trusts, by rustls with ring.
//!
//! The certificate must be of a trusted authority and for the host that was called, which is told (SNI).

use std::path::Path;
use std::sync::Arc;

use hyper::Uri;
use hyper_rustls::{ConfigBuilderExt, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::{ClientConfig, RootCertStore};

use super::{TlsError, authorities};

/// Connects a client of HTTP, over TLS where the address says `https`.
pub type Connector = HttpsConnector<HttpConnector>;

/// That of a client of `server`, which trusts the authorities in a file, or without one those of the system. `what`
/// is the file's name in the error: whose authorities they are, and by which setting.
///
/// # Errors
///
/// If the server is spoken to over TLS and no authority can be read.
pub fn connector(server: &Uri, file: Option<&Path>, what: &'static str) -> Result<Connector, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need");
    let builder = match file {
        _ if server.scheme_str() != Some("https") => builder.with_root_certificates(RootCertStore::empty()),
        Some(path) => builder.with_root_certificates(authorities(what, path)?),
        None => builder.with_native_roots().map_err(|error| {
            TlsError::Settings(format!("{what} are not named, and the system has none: {error}"))
        })?,
    };
    let config = builder.with_no_client_auth();
    Ok(HttpsConnectorBuilder::new().with_tls_config(config).https_or_http().enable_http1().build())
}
