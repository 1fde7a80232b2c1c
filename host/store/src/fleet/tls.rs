//! TLS to PostgreSQL: what its certificate is verified by.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::types::OpenError;

/// Verifies certificates, with the name: by those in `ca`, or else by those that the
/// operating system trusts.
pub(super) fn client(ca: Option<&Path>) -> Result<ClientConfig, OpenError> {
    let failed = |error: rustls::Error| OpenError::Fleet(format!("TLS: {error}"));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(failed)?;
    let Some(file) = ca else {
        return Ok(builder.with_platform_verifier().map_err(failed)?.with_no_client_auth());
    };
    let unreadable = |error: &dyn std::fmt::Display| {
        OpenError::Fleet(format!(
            "the file of PostgreSQL's authority (fleet.postgres_ca, sslrootcert), {}: {error}",
            file.display()
        ))
    };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| unreadable(&error))? {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        return Err(unreadable(&"it has no certificate in PEM"));
    }
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
