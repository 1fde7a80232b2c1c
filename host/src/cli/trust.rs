//! TLS towards a server: whose certificates are accepted, and what is shown.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{fs, io};

use reqwest::{Certificate, ClientBuilder, Identity};
use rustls::{AlertDescription, CertificateError, InvalidMessage};

use super::CliError;

/// Whose certificates are accepted, and what is shown.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub struct Trust {
    /// Authorities in PEM of which the server's certificate may be, instead of those
    /// that the system knows
    #[arg(long, env = "RAGTIME_CA", value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// A certificate in PEM, for a server that asks for one
    #[arg(
        long,
        env = "RAGTIME_CLIENT_CERTIFICATE",
        value_name = "FILE",
        requires = "client_key",
        global = true
    )]
    client_certificate: Option<PathBuf>,
    /// The private key of that certificate in PEM
    #[arg(
        long,
        env = "RAGTIME_CLIENT_KEY",
        value_name = "FILE",
        requires = "client_certificate",
        global = true
    )]
    client_key: Option<PathBuf>,
}

impl Trust {
    /// A client that goes by it.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds nothing of the kind.
    pub(super) fn apply(&self, mut client: ClientBuilder) -> Result<ClientBuilder, CliError> {
        if let Some(path) = &self.ca {
            let found = Certificate::from_pem_bundle(&read(path)?).unwrap_or_default();
            if found.is_empty() {
                return Err(unusable(path, "no certificate in PEM"));
            }
            client = client.tls_certs_only(found);
        }
        if let (Some(certificate), Some(key)) = (&self.client_certificate, &self.client_key) {
            let both = [read(certificate)?, read(key)?].join(&b'\n');
            let identity = Identity::from_pem(&both)
                .map_err(|_| unusable(certificate, "no certificate for that key in PEM"))?;
            client = client.identity(identity);
        }
        Ok(client)
    }

    /// Whether there is a certificate to show.
    pub(super) fn has_certificate(&self) -> bool {
        self.client_certificate.is_some()
    }

    /// Whether it names authorities.
    pub(super) fn has_ca(&self) -> bool {
        self.ca.is_some()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    fs::read(path).map_err(|error| CliError::new(format!("{}: {error}", path.display())))
}

fn unusable(path: &Path, why: &str) -> CliError {
    CliError::new(format!("{} holds {why}", path.display()))
}

/// What to do where a client certificate is asked for.
pub(super) const ASKED: &str = "a server that asks for client certificates lets in who has one \
                                of its authority: --client-certificate FILE and --client-key FILE";

/// What to do about a connection that came to nothing for reasons of TLS.
pub(super) fn hint(error: &(dyn Error + 'static)) -> Option<&'static str> {
    match rustls_error(error)? {
        rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            Some("name the authority of the server's certificate: --ca FILE, or RAGTIME_CA")
        }
        rustls::Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
        ) => Some("call the server by a name that its certificate has"),
        rustls::Error::InvalidCertificate(
            CertificateError::Expired | CertificateError::ExpiredContext { .. },
        ) => {
            Some("the server's certificate has to be renewed, or the clock of this machine is fast")
        }
        // webpki has no name of its own for it in rustls.
        rustls::Error::InvalidCertificate(CertificateError::Other(other))
            if format!("{other:?}").contains("CaUsedAsEndEntity") =>
        {
            Some(
                "the server's certificate is an authority's own: make one that is none, with \
                 openssl by -addext basicConstraints=critical,CA:FALSE",
            )
        }
        rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            Some("the server speaks plain HTTP there: call it by http://")
        }
        rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired
            | AlertDescription::UnknownCA
            | AlertDescription::BadCertificate
            | AlertDescription::DecryptError,
        ) => Some(ASKED),
        _ => None,
    }
}

/// The error of rustls in a chain. One of input and output hides what it was made of.
fn rustls_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let mut cause = Some(error);
    while let Some(one) = cause {
        let found = one.downcast_ref();
        if found.is_some() {
            return found;
        }
        let hidden = one.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = match hidden {
            Some(hidden) => Some(hidden),
            None => one.source(),
        };
    }
    None
}
