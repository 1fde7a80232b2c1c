//! `[server.tls]` and `[admin.tls]`: how a listener speaks TLS.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// `[server.tls]` or `[admin.tls]`. Without a certificate the listener speaks plain HTTP.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The certificate in PEM, followed by those between it and its authority.
    pub certificate_file: Option<PathBuf>,
    /// The private key of the certificate in PEM, not encrypted: nobody is there to
    /// type a passphrase.
    pub key_file: Option<PathBuf>,
    /// Authorities in PEM. With them a client needs a certificate that one of them has
    /// issued, besides its key.
    pub client_ca_file: Option<PathBuf>,
    /// How long a client may take for its handshake. Some round trips are enough; the
    /// default is that for a request's head.
    pub handshake_timeout_ms: u64,
    /// How often the files are looked at. A replacement is in use after two looks that
    /// find the same, so that no file is read half-written.
    pub reload_interval_ms: u64,
    /// For how long a browser that was here once refuses plain HTTP to this name, on
    /// all of its ports (`Strict-Transport-Security`, RFC 6797). 0 sends no such header:
    /// it cannot be taken back before its time.
    pub hsts_max_age_seconds: u64,
    /// Whether that holds for names below this one too.
    pub hsts_include_subdomains: bool,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificate_file: None,
            key_file: None,
            client_ca_file: None,
            handshake_timeout_ms: 10_000,
            reload_interval_ms: 10_000,
            hsts_max_age_seconds: 0,
            hsts_include_subdomains: false,
        }
    }
}

impl Tls {
    /// What `Strict-Transport-Security` says, if it is sent.
    pub fn hsts(&self) -> Option<String> {
        let below = if self.hsts_include_subdomains { "; includeSubDomains" } else { "" };
        let seconds = self.hsts_max_age_seconds;
        (seconds > 0).then(|| format!("max-age={seconds}{below}"))
    }
}
