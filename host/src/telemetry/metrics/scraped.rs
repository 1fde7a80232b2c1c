//! What is read when somebody asks for the metrics.

use std::sync::atomic::Ordering::Relaxed;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::{CollectionLabels, ListenerLabels, ModelLabels, ModelStateLabels, PartLabels};
use crate::telemetry::process;

/// Read when somebody asks.
pub(super) struct Scraped {
    generation: Gauge,
    instances_max: Gauge,
    documents: Gauge,
    chunks: Gauge,
    index_lag: Gauge,
    budget_fallbacks: Counter,
    embedding_queue: Family<CollectionLabels, Gauge>,
    fleet_hosts: Gauge,
    fleet_behind: Gauge,
    fleet_unindexed: Gauge,
    fleet_leads: Gauge,
    ready: Family<PartLabels, Gauge>,
    last_backup: Gauge,
    models: Family<ModelStateLabels, Gauge>,
    model_memory: Family<ModelLabels, Gauge>,
    tls_expiry: Family<ListenerLabels, Gauge>,
    tls_refused: Family<ListenerLabels, Gauge>,
    memory: Gauge,
    descriptors: Gauge,
}

/// How the server is when somebody asks.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The active generation.
    pub generation: u64,
    /// The most instances there may be.
    pub instances_max: u32,
    /// Documents stored.
    pub documents: u64,
    /// Chunks stored.
    pub chunks: u64,
    /// Chunks on disk that search does not find yet.
    pub index_lag: u64,
    /// Requests whose budget no Redis decided about.
    pub budget_fallbacks: u64,
    /// Chunks that wait for their vectors, by collection.
    pub embedding_queue: Vec<(String, u64)>,
    /// How the host stands in its fleet; none when it is alone.
    pub fleet: Option<ragtime_store::fleet::Status>,
    /// The parts of readiness, and whether each is ready.
    pub parts: [(&'static str, bool); 3],
    /// When the newest backup was made, in seconds since the Unix epoch; 0 if there is
    /// none.
    pub last_backup: u64,
    /// The models, and how each is.
    pub models: Vec<ModelSnapshot>,
    /// The certificates of listeners that speak TLS.
    pub certificates: Vec<CertificateSnapshot>,
}

/// How the certificate of a listener is.
#[derive(Debug)]
pub struct CertificateSnapshot {
    /// `server` or `admin`.
    pub listener: &'static str,
    /// Until when it is valid, in seconds since the Unix epoch.
    pub not_after: i64,
    /// Whether its files hold another, which cannot be used.
    pub refused: bool,
}

/// How a model is.
#[derive(Debug)]
pub struct ModelSnapshot {
    /// `embedding` or `reranking`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// `loading`, `ready` or `failed`.
    pub state: &'static str,
    /// Bytes of memory that its weights take.
    pub memory_bytes: u64,
}

/// What a model may be.
const MODEL_STATES: [&str; 3] = ["loading", "ready", "failed"];

impl Scraped {
    pub(super) fn register(r: &mut Registry) -> Self {
        Self {
            generation: add(
                r,
                "ragtime_handler_generation",
                "The generation that takes new requests",
            ),
            instances_max: add(
                r,
                "ragtime_handler_instances_max",
                "The most instances there may be",
            ),
            documents: add(r, "ragtime_documents", "Documents stored"),
            chunks: add(r, "ragtime_chunks", "Chunks stored"),
            index_lag: add(
                r,
                "ragtime_index_lag_chunks",
                "Chunks on disk that search does not find yet",
            ),
            budget_fallbacks: add(
                r,
                "ragtime_budget_fallbacks",
                "Decisions about budgets that were made without the Redis of the fleet",
            ),
            embedding_queue: add(
                r,
                "ragtime_embedding_queue_chunks",
                "Chunks that wait for their vectors, of the collections with the most of them",
            ),
            fleet_hosts: add(
                r,
                "ragtime_fleet_hosts",
                "Hosts of the fleet that live, as this one sees it; 1 when it is alone",
            ),
            fleet_behind: add(
                r,
                "ragtime_fleet_behind_entries",
                "Entries of the fleet's log that this host has yet to take in",
            ),
            fleet_unindexed: add(
                r,
                "ragtime_fleet_unindexed_chunks",
                "Chunks that another host finds and this one does not yet",
            ),
            fleet_leads: add(
                r,
                "ragtime_fleet_leads",
                "Whether this host has the lease of its fleet, 1 or 0; 1 when it is alone",
            ),
            last_backup: add(
                r,
                "ragtime_backup_last_success_timestamp_seconds",
                "When the newest backup at the destination was made, since the Unix epoch; 0 \
                 without one",
            ),
            ready: add(r, "ragtime_ready", "Whether a part is ready, 1 or 0"),
            models: add(r, "ragtime_model_state", "Whether a model is in this state, 1 or 0"),
            model_memory: add(
                r,
                "ragtime_model_memory_bytes",
                "Memory that the weights of a model take",
            ),
            tls_expiry: add(
                r,
                "ragtime_tls_certificate_expiry_timestamp_seconds",
                "Until when a listener's certificate is valid, since the Unix epoch",
            ),
            tls_refused: add(
                r,
                "ragtime_tls_certificate_refused",
                "Whether a listener's files hold a certificate that cannot be used, 1 or 0",
            ),
            memory: add(r, "process_resident_memory_bytes", "Resident memory"),
            descriptors: add(r, "process_open_fds", "Open file descriptors"),
        }
    }

    pub(super) fn set(&self, snapshot: &Snapshot) {
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        self.generation.set(number(snapshot.generation));
        self.instances_max.set(i64::from(snapshot.instances_max));
        self.documents.set(number(snapshot.documents));
        self.chunks.set(number(snapshot.chunks));
        self.index_lag.set(number(snapshot.index_lag));
        self.budget_fallbacks.inner().store(snapshot.budget_fallbacks, Relaxed);
        // A collection whose queue is empty has no series, so there are never many.
        self.embedding_queue.clear();
        for (collection, chunks) in &snapshot.embedding_queue {
            let labels = CollectionLabels { collection: collection.clone() };
            self.embedding_queue.get_or_create(&labels).set(number(*chunks));
        }
        self.fleet_hosts.set(snapshot.fleet.map_or(1, |fleet| i64::from(fleet.live_hosts)));
        self.fleet_behind.set(number(snapshot.fleet.map_or(0, |fleet| fleet.behind)));
        self.fleet_unindexed.set(number(snapshot.fleet.map_or(0, |fleet| fleet.unindexed)));
        self.fleet_leads.set(i64::from(snapshot.fleet.is_none_or(|fleet| fleet.leads)));
        if let Some(fleet) = snapshot.fleet {
            self.ready.get_or_create(&PartLabels { part: "fleet" }).set(fleet.reached.into());
        }
        self.last_backup.set(number(snapshot.last_backup));
        for (part, ready) in snapshot.parts {
            self.ready.get_or_create(&PartLabels { part }).set(i64::from(ready));
        }
        for model in &snapshot.models {
            for state in MODEL_STATES {
                let labels =
                    ModelStateLabels { kind: model.kind, model: model.name.clone(), state };
                self.models.get_or_create(&labels).set(i64::from(state == model.state));
            }
            let labels = ModelLabels { kind: model.kind, model: model.name.clone() };
            self.model_memory.get_or_create(&labels).set(number(model.memory_bytes));
        }
        for one in &snapshot.certificates {
            let labels = ListenerLabels { listener: one.listener };
            self.tls_expiry.get_or_create(&labels).set(one.not_after);
            self.tls_refused.get_or_create(&labels).set(i64::from(one.refused));
        }
        let (memory, descriptors) = process::usage();
        self.memory.set(number(memory.unwrap_or_default()));
        self.descriptors.set(number(descriptors.unwrap_or_default()));
    }
}

pub(super) fn add<M>(registry: &mut Registry, name: &str, help: &str) -> M
where
    M: prometheus_client::registry::Metric + Default + Clone,
{
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}
