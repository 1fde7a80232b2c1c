//! Certificates and keys, read from files and put together.

use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ParsedCertificate, ServerConfig, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys, RootCertStore};
use sha2::{Digest, Sha256};

use super::certificate::Certificate;
use super::error::TlsError;
use crate::config;

/// Size of a file. A chain takes some kilobytes, the authorities of the whole web 230.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Protocols in the order in which the server likes them (RFC 7301).
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// What stands in a file whose key is encrypted: the name of its block in PKCS #8, a
/// header within it in older forms (RFC 1421 section 4.6.1.1).
const ENCRYPTED: [&[u8]; 2] = [b"BEGIN ENCRYPTED", b"4,ENCRYPTED"];

const CERTIFICATE: &str = "certificate_file";
const KEY: &str = "key_file";
const CLIENT_CA: &str = "client_ca_file";

/// The files of a listener.
#[derive(Debug, Clone)]
pub struct Files {
    /// The certificate and those between it and its authority.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// The authorities of clients.
    pub client_ca: Option<PathBuf>,
}

/// What the files hold, as they were read.
pub struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
    /// Whether every user of the machine may read the key.
    pub key_is_public: bool,
}

/// What connections are begun with.
pub struct Material {
    /// For handshakes.
    pub config: Arc<ServerConfig>,
    /// The server's own certificate, then those that follow it.
    pub chain: Vec<Certificate>,
    /// The SHA-256 of the contents.
    pub digest: [u8; 32],
}

impl Files {
    /// Those that the settings name; none for plain HTTP.
    ///
    /// # Errors
    ///
    /// [`TlsError::Half`], [`TlsError::ClientCaAlone`]
    pub fn of(settings: &config::Tls) -> Result<Option<Self>, TlsError> {
        match (&settings.certificate_file, &settings.key_file) {
            (Some(certificate), Some(key)) => Ok(Some(Self {
                certificate: certificate.clone(),
                key: key.clone(),
                client_ca: settings.client_ca_file.clone(),
            })),
            (Some(_), None) => Err(TlsError::Half { missing: KEY }),
            (None, Some(_)) => Err(TlsError::Half { missing: CERTIFICATE }),
            (None, None) if settings.client_ca_file.is_some() => Err(TlsError::ClientCaAlone),
            (None, None) => Ok(None),
        }
    }

    /// Reads them. Blocking.
    ///
    /// # Errors
    ///
    /// [`TlsError::Unreadable`], [`TlsError::TooLarge`]
    pub fn read(&self) -> Result<Contents, TlsError> {
        let (key, metadata) = read(KEY, &self.key)?;
        Ok(Contents {
            certificate: read(CERTIFICATE, &self.certificate)?.0,
            key,
            client_ca: match &self.client_ca {
                Some(path) => Some(read(CLIENT_CA, path)?.0),
                None => None,
            },
            key_is_public: is_public(&metadata),
        })
    }

    /// Puts together what was read.
    ///
    /// # Errors
    ///
    /// Why the server could not speak TLS with it.
    pub fn material(&self, contents: &Contents) -> Result<Material, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let chain = certificates(CERTIFICATE, &self.certificate, &contents.certificate)?;
        let facts = chain.iter().map(|der| {
            Certificate::read(der).map_err(|why| self.damaged(CERTIFICATE, &self.certificate, why))
        });
        let facts = facts.collect::<Result<Vec<_>, _>>()?;
        let certified = self.certified(chain, self.key(&contents.key)?, &provider)?;
        let refused = |error: Error| TlsError::Refused(error.to_string());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(refused)?;
        let builder = match (&self.client_ca, &contents.client_ca) {
            (Some(path), Some(pem)) => {
                let roots = Arc::new(self.authorities(path, pem)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| self.damaged(CLIENT_CA, path, error.to_string()))?;
                builder.with_client_cert_verifier(verifier)
            }
            _ => builder.with_no_client_auth(),
        };
        let resolver = Arc::new(rustls::sign::SingleCertAndKey::from(certified));
        let mut config = builder.with_cert_resolver(resolver);
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).to_vec();
        Ok(Material { config: Arc::new(config), chain: facts, digest: contents.digest() })
    }

    fn key(&self, pem: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        let path = || self.key.clone();
        if ENCRYPTED.iter().any(|mark| pem.windows(mark.len()).any(|bytes| bytes == *mark)) {
            return Err(TlsError::Encrypted { path: path() });
        }
        PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
            pem::Error::NoItemsFound => {
                TlsError::Missing { setting: KEY, path: path(), wanted: "private key" }
            }
            error => self.damaged(KEY, &self.key, error.to_string()),
        })
    }

    fn certified(
        &self,
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        provider: &CryptoProvider,
    ) -> Result<CertifiedKey, TlsError> {
        let key = provider
            .key_provider
            .load_private_key(key)
            .map_err(|error| self.damaged(KEY, &self.key, error.to_string()))?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) => Ok(certified),
            Err(Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(certified),
            Err(Error::InconsistentKeys(_)) => Err(self.mismatch(&certified)),
            Err(error) => Err(TlsError::Refused(error.to_string())),
        }
    }

    /// Whose the key is, when it is not that of the first certificate.
    fn mismatch(&self, certified: &CertifiedKey) -> TlsError {
        let (key, certificate) = (self.key.clone(), self.certificate.clone());
        let own = certified.key.public_key();
        let is_own = |der: &CertificateDer<'_>| {
            ParsedCertificate::try_from(der)
                .is_ok_and(|one| own.as_ref() == Some(&one.subject_public_key_info()))
        };
        match certified.cert.iter().any(is_own) {
            true => TlsError::Order { key, certificate },
            false => TlsError::Mismatch { key, certificate },
        }
    }

    fn authorities(&self, path: &Path, pem: &[u8]) -> Result<RootCertStore, TlsError> {
        let mut roots = RootCertStore::empty();
        for der in certificates(CLIENT_CA, path, pem)? {
            let added = roots.add(der);
            added.map_err(|error| self.damaged(CLIENT_CA, path, error.to_string()))?;
        }
        Ok(roots)
    }

    fn damaged(&self, setting: &'static str, path: &Path, why: String) -> TlsError {
        TlsError::Damaged { setting, path: path.to_owned(), why }
    }
}

impl Contents {
    /// The SHA-256 of all of them. What stands between two is part of it.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()] {
            let part = part.map_or(&[][..], Vec::as_slice);
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

fn read(setting: &'static str, path: &Path) -> Result<(Vec<u8>, Metadata), TlsError> {
    let unreadable = |error| TlsError::Unreadable { setting, path: path.to_owned(), error };
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    match bytes.len() as u64 > MAX_FILE_BYTES {
        true => Err(TlsError::TooLarge { setting, path: path.to_owned() }),
        false => Ok((bytes, metadata)),
    }
}

fn certificates(
    setting: &'static str,
    path: &Path,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>();
    let found = found.map_err(|error| TlsError::Damaged {
        setting,
        path: path.to_owned(),
        why: error.to_string(),
    })?;
    match found.is_empty() {
        true => Err(TlsError::Missing { setting, path: path.to_owned(), wanted: "certificate" }),
        false => Ok(found),
    }
}

#[cfg(unix)]
fn is_public(metadata: &Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    metadata.permissions().mode() & 0o004 != 0
}

#[cfg(not(unix))]
fn is_public(_: &Metadata) -> bool {
    false
}
