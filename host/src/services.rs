//! What all instances of all generations share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use ragtime_policy::bucket::Limits;
use ragtime_store::Store;

use crate::config;
use crate::generator::{Extractive, Generators};
use crate::keyring::Keyring;
use crate::model::Embeddings;

/// The host's side of the capabilities.
pub struct Services {
    /// Documents and indexes.
    pub store: Store,
    /// Who may call.
    pub keyring: Keyring,
    /// The embedding model, when there is one.
    pub embeddings: Arc<Embeddings>,
    /// Who answers questions.
    pub generators: Generators,
    /// The budget of a key that does not say otherwise.
    pub key_limits: Limits,
    /// Bounds of what a handler may log.
    pub bounds: config::Handler,
    draining: AtomicBool,
}

impl Services {
    /// Puts the parts together.
    pub fn new(
        store: Store,
        keyring: Keyring,
        embeddings: Arc<Embeddings>,
        settings: &config::Settings,
    ) -> reqwest::Result<Self> {
        let extractive = Extractive::new(store.clone(), Arc::clone(&embeddings));
        Ok(Self {
            generators: Generators::new(extractive, &settings.generator)?,
            store,
            keyring,
            embeddings,
            bounds: settings.handler.clone(),
            key_limits: Limits {
                rate_per_minute: settings.auth.rate_per_minute,
                burst: settings.auth.burst,
            },
            draining: AtomicBool::new(false),
        })
    }

    /// From now on readiness says that the server is going away.
    pub fn start_draining(&self) {
        self.draining.store(true, Relaxed);
    }

    /// Whether the server is going away.
    pub fn draining(&self) -> bool {
        self.draining.load(Relaxed)
    }
}
