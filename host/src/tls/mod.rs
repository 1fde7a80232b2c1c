//! TLS of the listeners: certificates and keys, and what becomes of them while the
//! server serves.

pub mod certificate;
mod endpoint;
mod error;
pub mod material;

use std::sync::Arc;

use crate::config::{self, Settings};
use crate::telemetry::Telemetry;
pub use endpoint::Endpoint;
pub use error::TlsError;
use material::{Files, Material};

/// A listener of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    /// The API's.
    Server,
    /// The admin API's.
    Admin,
}

impl Listener {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Server, Self::Admin];

    /// Its section of the settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Admin => "admin",
        }
    }

    /// What the settings say of it.
    pub fn settings(self, settings: &Settings) -> &config::Tls {
        match self {
            Self::Server => &settings.server.tls,
            Self::Admin => &settings.admin.tls,
        }
    }
}

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
#[error("[{}.tls] cannot be used: {error}", .listener.name())]
pub struct StartError {
    listener: Listener,
    /// Why.
    pub error: TlsError,
}

/// What the listeners begin with, read before anything else is begun.
pub struct Prepared(Vec<(Listener, Files, Material, config::Tls)>);

impl Prepared {
    /// Reads the files that the settings name, and logs what an operator should know of them.
    /// Blocking.
    ///
    /// # Errors
    ///
    /// Why one of them cannot be used.
    pub fn read(settings: &Settings) -> Result<Self, StartError> {
        let mut all = Vec::new();
        for listener in Listener::ALL {
            let settings = listener.settings(settings);
            let failed = |error| StartError { listener, error };
            let Some(files) = Files::of(settings).map_err(failed)? else { continue };
            let contents = files.read().map_err(failed)?;
            let material = files.material(&contents).map_err(failed)?;
            endpoint::warn_of_key(listener, &files, &contents);
            all.push((listener, files, material, settings.clone()));
        }
        Ok(Self(all))
    }

    /// The listeners that speak TLS, whose counts go to `telemetry`.
    pub fn endpoints(self, telemetry: &Arc<Telemetry>) -> Endpoints {
        let begun = self.0.into_iter().map(|(listener, files, material, settings)| {
            Arc::new(Endpoint::new(listener, files, material, &settings, Arc::clone(telemetry)))
        });
        Endpoints(begun.collect())
    }
}

/// The listeners that speak TLS.
#[derive(Default)]
pub struct Endpoints(Vec<Arc<Endpoint>>);

impl Endpoints {
    /// That of this listener; none where it speaks plain HTTP.
    pub fn of(&self, listener: Listener) -> Option<Arc<Endpoint>> {
        self.all().find(|endpoint| endpoint.listener == listener).cloned()
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &Arc<Endpoint>> {
        self.0.iter()
    }

    /// From now on looks for replacements of their files.
    pub fn watch(&self) {
        for endpoint in self.all() {
            tokio::spawn(Arc::clone(endpoint).watch());
        }
    }
}
