//! TLS for every connection to a server: certificates are verified for the server's name, by rustls.

use connect::{Error, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use std::path::Path;
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// TLS for ordinary connections.
///
/// # Errors
/// As [`config`].
pub(super) fn maker(roots: Option<&Path>) -> Result<MakeRustlsConnect> {
    Ok(MakeRustlsConnect::new(config(roots)?))
}

/// What certificates we accept: of the authorities in a file, or else of the system.
///
/// # Errors
/// `Invalid` when there is none.
pub(super) fn config(roots: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::internal("TLS cannot be set up").caused_by(e))?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(authorities(roots)?);
    if store.is_empty() {
        return Err(Error::invalid("no certificate of an authority is known")
            .effect("no server can be trusted, and nothing was sent")
            .fix("install ca-certificates, or name a file with sslrootcert=FILE in the url"));
    }
    Ok(builder.with_root_certificates(store).with_no_client_auth())
}

fn authorities(roots: Option<&Path>) -> Result<Vec<CertificateDer<'static>>> {
    let Some(file) = roots else { return Ok(rustls_native_certs::load_native_certs().certs) };
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect).map_err(|e| {
        Error::invalid(format!("{} holds no certificates", file.display())).caused_by(e)
    })
}
