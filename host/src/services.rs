//! What all instances of all generations share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;

use ragtime_policy::bucket::Limits;
use ragtime_store::{AuditEvent, Store};
use tokio::sync::Notify;

use crate::backup::Backups;
use crate::config;
use crate::generator::{Extractive, Generators};
use crate::keyring::Keyring;
use crate::model::{Embeddings, Rerankers};
use crate::runtime::memory::MemoryBudget;
use crate::telemetry::Telemetry;
use crate::tls;

/// How often it is written down what keys have spent: each takes a write of the
/// database, and what a killed process loses is a minute of a count.
const SPENT_WRITTEN: Duration = Duration::from_secs(60);

/// The host's side of the capabilities.
pub struct Services {
    /// Documents and indexes.
    pub store: Store,
    /// Who may call.
    pub keyring: Keyring,
    /// The models that embed.
    pub embeddings: Arc<Embeddings>,
    /// The models that rerank.
    pub rerankers: Rerankers,
    /// Who answers questions.
    pub generators: Generators,
    /// The budget of a key that does not say otherwise.
    pub key_limits: Limits,
    /// Requests of one key at work at once.
    pub max_concurrent: u32,
    /// How long a write waits until search finds what it stored.
    pub searchable_timeout: Duration,
    /// What an operator sees.
    pub telemetry: Arc<Telemetry>,
    /// The listeners that speak TLS.
    pub tls: tls::Endpoints,
    /// Bounds of what a handler may log.
    pub bounds: config::Handler,
    /// What all instances may hold together.
    pub memory: Arc<MemoryBudget>,
    /// How the server's own backups are.
    pub backups: Backups,
    /// Somebody changed how texts are to be cut.
    pub rechunk: Notify,
    /// The fleet serves a handler that this host does not have yet.
    withheld: AtomicBool,
    draining: AtomicBool,
}

impl Services {
    /// Puts the parts together.
    pub fn new(
        store: Store,
        keyring: Keyring,
        (embeddings, rerankers): (Arc<Embeddings>, Rerankers),
        tls: tls::Prepared,
        settings: &config::Settings,
    ) -> reqwest::Result<Self> {
        let extractive = Extractive::new(
            store.clone(),
            Arc::clone(&embeddings),
            settings.generator.min_confidence,
        );
        let telemetry = Telemetry::new(&settings.telemetry)?;
        Ok(Self {
            tls: tls.endpoints(&telemetry),
            generators: Generators::new(extractive, settings)?,
            max_concurrent: settings.auth.max_concurrent,
            searchable_timeout: Duration::from_millis(settings.data.searchable_timeout_ms),
            telemetry,
            store,
            keyring,
            embeddings,
            rerankers,
            bounds: settings.handler.clone(),
            memory: MemoryBudget::new(settings.handler.max_total_memory_bytes),
            key_limits: Limits {
                rate_per_minute: settings.auth.rate_per_minute,
                burst: settings.auth.burst,
            },
            backups: Backups::new(&settings.backup),
            rechunk: Notify::new(),
            withheld: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        })
    }

    /// Writes an administrative act down. It is done already, so a failure is
    /// for the log.
    pub async fn record_audit_event(
        &self,
        actor: &str,
        action: &str,
        target: &str,
        detail: &serde_json::Value,
        request_id: Option<String>,
    ) {
        tracing::info!(target: "ragtime::audit", actor, action, target_id = target, request_id, "act");
        let entry = AuditEvent {
            n: 0,
            at: self.store.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            target: target.to_owned(),
            detail: detail.to_string(),
            request_id,
        };
        if let Err(error) = self.store.record_audit_event(entry).await {
            tracing::error!(
                %error,
                actor,
                action,
                target_id = target,
                "an audit event was not recorded"
            );
        }
    }

    /// Writes down once a minute what keys have spent, until the server goes away.
    pub async fn write_spent(self: Arc<Self>) {
        let mut minutes = tokio::time::interval(SPENT_WRITTEN);
        while !self.draining() {
            minutes.tick().await;
            self.keyring.write_spent().await;
        }
    }

    /// From now on no request is answered: the fleet serves a handler that this host does
    /// not have.
    pub fn withhold_handler(&self) {
        self.withheld.store(true, SeqCst);
    }

    /// This host has the handler of the fleet.
    pub fn release_handler(&self) {
        self.withheld.store(false, SeqCst);
    }

    /// Whether this host lacks the handler that the fleet serves.
    pub fn lacks_handler(&self) -> bool {
        self.withheld.load(SeqCst)
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
