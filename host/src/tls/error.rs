//! Why certificates and keys cannot be used.

use std::io;
use std::path::PathBuf;

/// Why a listener cannot speak TLS with what the settings name.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of the two files is set.
    #[error("{missing} is not set: a certificate and its key go together")]
    Half {
        /// The setting that is missing.
        missing: &'static str,
    },
    /// Client certificates are asked for by a listener that speaks plain HTTP.
    #[error("client_ca_file takes certificate_file and key_file too")]
    ClientCaAlone,
    /// A file cannot be read.
    #[error("{setting} {path} cannot be read: {error}")]
    Unreadable {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file is no certificate, and too large to be looked at.
    #[error("{setting} {path} is larger than 1 MiB, which no certificate is")]
    TooLarge {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// A file has no section of the kind that is needed.
    #[error("{setting} {path} holds no {wanted} in PEM")]
    Missing {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// The key is encrypted.
    #[error("key_file {path} holds an encrypted key, which takes a passphrase")]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// A section of a file cannot be understood.
    #[error("{setting} {path} is damaged: {why}")]
    Damaged {
        /// The setting.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The key belongs to another certificate.
    #[error("the key in {key} is not that of the certificate in {certificate}")]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The key belongs to a certificate that does not stand first.
    #[error("the key in {key} is that of another certificate of {certificate} than the first")]
    Order {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
    /// The certificate and key are sound, and rustls does not take them.
    #[error("TLS cannot be set up: {0}")]
    Refused(String),
}

impl TlsError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Half { .. } | Self::ClientCaAlone => {
                "set certificate_file and key_file, or neither for plain HTTP"
            }
            Self::Unreadable { .. } => {
                "the user of the server has to be able to read the file; a relative path begins \
                 at the folder in which the server was started"
            }
            Self::TooLarge { .. } | Self::Missing { .. } | Self::Damaged { .. } => {
                "the files are PEM: blocks that begin with -----BEGIN CERTIFICATE----- or \
                 -----BEGIN PRIVATE KEY-----"
            }
            Self::Encrypted { .. } => {
                "openssl pkey -in KEY -out PLAIN writes the key without a passphrase"
            }
            Self::Mismatch { .. } => {
                "use the key from which the certificate was requested: openssl pkey -in KEY \
                 -pubout and openssl x509 -in CERTIFICATE -noout -pubkey print the same"
            }
            Self::Order { .. } => {
                "put the server's own certificate first, then those between it and its authority"
            }
            Self::Refused(_) => "keys are RSA of 2048 to 8192 bits, ECDSA P-256, P-384, or Ed25519",
        }
    }
}
