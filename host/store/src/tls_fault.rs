//! What is wrong where a server that hosts share is refused for its TLS.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustls::{AlertDescription, CertificateError};

/// Why a server cannot be spoken to by TLS. Trying again does not mend it, so a host does
/// not start with it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsFault {
    /// It speaks without TLS alone.
    #[error("it does not speak TLS, which the URL demands")]
    NotSpoken,
    /// Nobody who is trusted has signed its certificate.
    #[error("its certificate is by an authority that is not trusted here")]
    UnknownAuthority,
    /// Its certificate is another host's.
    #[error("its certificate is not for the host that the URL names")]
    OtherName,
    /// Its certificate is not valid now.
    #[error("its certificate has expired, or is not valid yet")]
    NotValidNow,
    /// It asks for a certificate, and a host has none.
    #[error("it asks its clients for certificates of their own")]
    WantsClientCertificate,
    /// Anything else, in the words of the TLS library.
    #[error("the TLS handshake failed: {0}")]
    Refused(String),
}

/// A server that hosts share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SharedServer {
    /// `fleet.postgres`.
    Postgres,
    /// `fleet.redis`.
    Redis,
}

impl TlsFault {
    /// The fault behind an error, if the TLS library has made it: as deep in it as the
    /// client libraries of PostgreSQL and Redis put it.
    pub fn behind(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(fault) = error.downcast_ref::<rustls::Error>() {
                return Some(fault.into());
            }
            let within = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            if let Some(fault) = within.and_then(|within| within.downcast_ref::<rustls::Error>()) {
                return Some(fault.into());
            }
            next = match error.downcast_ref::<Arc<dyn Error + Send + Sync>>() {
                Some(shared) => Some(&**shared),
                None => error.source(),
            };
        }
        None
    }

    /// What to do about it.
    pub fn advice(&self, server: SharedServer) -> &'static str {
        match (self, server) {
            (Self::NotSpoken, SharedServer::Postgres) => {
                "set ssl = on in PostgreSQL; where nobody else is on the way, sslmode=disable in the URL does without"
            }
            (Self::NotSpoken, SharedServer::Redis) => {
                "give Redis a tls-port; where nobody else is on the way, redis:// does without"
            }
            (Self::UnknownAuthority, SharedServer::Postgres) => {
                "name the file with the authority's certificate, in PEM, by fleet.postgres_ca or sslrootcert in the URL"
            }
            (Self::UnknownAuthority, SharedServer::Redis) => {
                "name the file with the authority's certificate, in PEM, by fleet.redis_ca"
            }
            (Self::OtherName, _) => {
                "name the host in the URL as its certificate does, or have one issued for this name"
            }
            (Self::NotValidNow, _) => {
                "renew the certificate there; where it is new, look at the clock of this machine"
            }
            (Self::WantsClientCertificate, SharedServer::Postgres) => {
                "let hosts in by a password: without clientcert in pg_hba.conf"
            }
            (Self::WantsClientCertificate, SharedServer::Redis) => {
                "let hosts in by a password: tls-auth-clients no"
            }
            (Self::Refused(_), _) => {
                "give it a certificate with a subjectAltName, TLS 1.2 or 1.3 and a key of today's kinds"
            }
        }
    }
}

impl From<&rustls::Error> for TlsFault {
    fn from(error: &rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidMessage(_) => Self::NotSpoken,
            // The second is of an authority that has the name of one that is trusted.
            rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            ) => Self::UnknownAuthority,
            rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            ) => Self::OtherName,
            rustls::Error::InvalidCertificate(
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. },
            ) => Self::NotValidNow,
            rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                Self::WantsClientCertificate
            }
            // The library may add to its errors; none of them holds a secret.
            other => Self::Refused(other.to_string()),
        }
    }
}
