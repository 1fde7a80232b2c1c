//! One listener's certificate: the one in use, and what comes to replace it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderValue;
use parking_lot::Mutex;
use rustls::server::ServerConfig;

use super::certificate::{Certificate, Standing, now};
use super::material::{Contents, Files, Material};
use super::{Listener, TlsError};
use crate::blocking::blocking;
use crate::config;
use crate::telemetry::{CertificateSnapshot, Telemetry};

/// How often a certificate that has to be renewed is logged.
const WARNING_INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// What a listener speaks TLS with.
pub struct Endpoint {
    /// Which listener it is.
    pub listener: Listener,
    /// How long a client may take for its handshake.
    pub handshake_timeout: Duration,
    /// `Strict-Transport-Security`, if it is sent.
    pub hsts: Option<HeaderValue>,
    /// What is counted.
    pub telemetry: Arc<Telemetry>,
    files: Files,
    current: ArcSwap<Material>,
    /// Why what is in the files now is not in use.
    refused: Mutex<Option<String>>,
    interval: Duration,
}

/// What a look at the files has found.
#[derive(PartialEq, Eq)]
enum Look {
    /// Contents with this SHA-256.
    Read([u8; 32]),
    /// They cannot be read.
    Unreadable(String),
}

/// What is known from one look to the next.
#[derive(Default)]
struct Watched {
    last: Option<Look>,
    warned: Option<(Standing, Instant)>,
}

impl Endpoint {
    /// One that begins with this certificate.
    pub(super) fn new(
        listener: Listener,
        files: Files,
        material: Material,
        settings: &config::Tls,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        telemetry.metrics.begin_tls(listener.name());
        Self {
            listener,
            handshake_timeout: Duration::from_millis(settings.handshake_timeout_ms),
            hsts: settings.hsts().and_then(|value| HeaderValue::try_from(value).ok()),
            telemetry,
            files,
            current: ArcSwap::from_pointee(material),
            refused: Mutex::new(None),
            interval: Duration::from_millis(settings.reload_interval_ms.max(1)),
        }
    }

    /// What a connection that begins now is begun with.
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.load().config)
    }

    /// What is the matter with the certificate, for readiness.
    pub fn trouble(&self) -> Option<&'static str> {
        let standing = self.with_certificate(|certificate| certificate.standing(now()));
        match standing {
            Some(Standing::Expired) => Some("the certificate has expired"),
            Some(Standing::Early) => Some("the certificate is not valid yet"),
            Some(Standing::Valid | Standing::Due) | None => {
                let refused = self.refused.lock().is_some();
                refused.then_some("the replaced certificate is not usable, see the log")
            }
        }
    }

    /// How it is, for metrics.
    pub fn snapshot(&self) -> CertificateSnapshot {
        CertificateSnapshot {
            listener: self.listener.name(),
            not_after: self.with_certificate(|one| one.not_after).unwrap_or_default(),
            refused: self.refused.lock().is_some(),
        }
    }

    /// Looks at the files again and again, and takes what replaces them into use.
    /// Connections go on with what they were begun with.
    pub(super) async fn watch(self: Arc<Self>) {
        let mut watched = Watched::default();
        self.warn_of_age(&mut watched);
        loop {
            tokio::time::sleep(self.interval).await;
            let files = self.files.clone();
            // Files may be on a file system that hangs.
            let Ok(read) = blocking(move || files.read()).await else {
                continue;
            };
            self.look(read, &mut watched);
            self.warn_of_age(&mut watched);
        }
    }

    fn look(&self, read: Result<Contents, TlsError>, watched: &mut Watched) {
        let look = match &read {
            Ok(contents) => Look::Read(contents.digest()),
            Err(error) => Look::Unreadable(error.to_string()),
        };
        // What changes from one look to the next is being written.
        let settled = watched.last.as_ref() == Some(&look);
        watched.last = Some(look);
        if !settled {
            return;
        }
        let judged = read.map_err(|error| error.to_string()).and_then(|contents| {
            if contents.digest() == self.current.load().digest {
                return Ok(None);
            }
            let material = self.files.material(&contents).map_err(|error| error.to_string())?;
            self.replaces(&material)?;
            warn_of_key(self.listener, &self.files, &contents);
            Ok(Some(material))
        });
        match judged {
            Ok(None) => self.back(),
            Ok(Some(material)) => self.take(material, watched),
            Err(why) => self.refuse(why),
        }
    }

    /// Whether clients will be better off with it, or at least no worse.
    fn replaces(&self, material: &Material) -> Result<(), String> {
        let Some(new) = material.chain.first() else { return Ok(()) };
        let expired = self.with_certificate(|old| old.standing(now()) == Standing::Expired);
        match new.standing(now()) {
            Standing::Early => Err(format!("it is not valid before {}", new.since())),
            Standing::Expired if expired != Some(true) => {
                Err(format!("it has expired at {}", new.until()))
            }
            Standing::Valid | Standing::Due | Standing::Expired => Ok(()),
        }
    }

    fn take(&self, material: Material, watched: &mut Watched) {
        if let Some(new) = material.chain.first() {
            let (listener, subject) = (self.listener.name(), &new.subject);
            tracing::info!(listener, %subject, until = new.until(), "a certificate was replaced");
        }
        self.current.store(Arc::new(material));
        *self.refused.lock() = None;
        watched.warned = None;
        self.telemetry.metrics.tls_reloaded(self.listener.name(), true);
    }

    fn refuse(&self, why: String) {
        let mut refused = self.refused.lock();
        if refused.as_ref() == Some(&why) {
            return;
        }
        let listener = self.listener.name();
        tracing::error!(
            listener,
            why,
            "a certificate was replaced by one that cannot be used; the one before goes on"
        );
        *refused = Some(why);
        self.telemetry.metrics.tls_reloaded(listener, false);
    }

    /// The files hold again what is in use.
    fn back(&self) {
        if self.refused.lock().take().is_some() {
            let listener = self.listener.name();
            tracing::info!(listener, "the files hold the certificate that is in use again");
        }
    }

    /// Logs that nobody has renewed a certificate.
    fn warn_of_age(&self, watched: &mut Watched) {
        let found = self.with_certificate(|one| (one.standing(now()), one.since(), one.until()));
        let Some((standing, since, until)) = found else { return };
        if watched
            .warned
            .is_some_and(|(warned, at)| warned == standing && at.elapsed() < WARNING_INTERVAL)
        {
            return;
        }
        watched.warned = Some((standing, Instant::now()));
        let listener = self.listener.name();
        match standing {
            Standing::Valid => {}
            Standing::Due => {
                tracing::warn!(listener, until, "the certificate ends soon: renew it");
            }
            Standing::Expired => {
                tracing::error!(listener, until, "the certificate has expired: clients refuse it");
            }
            Standing::Early => {
                tracing::error!(
                    listener,
                    since,
                    "the certificate is not valid yet: look at the clock"
                );
            }
        }
    }

    fn with_certificate<R>(&self, of: impl FnOnce(&Certificate) -> R) -> Option<R> {
        self.current.load().chain.first().map(of)
    }
}

/// Warns where every user of the machine could take the key.
pub(super) fn warn_of_key(listener: Listener, files: &Files, contents: &Contents) {
    if contents.key_is_public {
        tracing::warn!(
            listener = listener.name(),
            file = %files.key.display(),
            "every user of this machine can read the key of the certificate: chmod 600, or 640 \
             with the group of the server"
        );
    }
}
