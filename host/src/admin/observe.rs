//! `/metrics`, `/admin/requests` and `/admin/audit`: what the server does, and
//! what was done to it.

use std::sync::Arc;

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Response, StatusCode, Uri};
use ragtime_store::AuditEvent;
use serde_json::{Value, json};

use super::body::AdminBody;
use super::guest::page;
use super::{Admin, Answered, json};
use crate::blocking::blocking;
use crate::model::LoadState;
use crate::services::Services;
use crate::swap::SwapError;
use crate::telemetry::{ModelSnapshot, Requests, Snapshot};

/// The media type of OpenMetrics 1.0, which Prometheus asks for first.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Collections whose queue for vectors is reported: enough to see who waits, and few series.
const MAX_QUEUES: usize = 64;

/// How the models are.
fn models(services: &Services) -> Vec<ModelSnapshot> {
    let snapshot = |kind, name: &str, state: LoadState, memory: usize| ModelSnapshot {
        kind,
        name: name.to_owned(),
        state: state.name(),
        memory_bytes: memory as u64,
    };
    let embedding = services
        .embeddings
        .all()
        .map(|model| snapshot("embedding", model.name(), model.state(), model.memory_bytes()));
    let reranking = services
        .rerankers
        .all()
        .map(|model| snapshot("reranking", model.name(), model.state(), model.memory_bytes()));
    embedding.chain(reranking).collect()
}

impl Admin {
    /// Counts and durations, for Prometheus.
    pub(super) async fn metrics(&self) -> Answered {
        let (services, swaps) = (Arc::clone(&self.services), Arc::clone(&self.swaps));
        let instances_max = services.bounds.max_instances;
        let text = blocking(move || {
            let status = services.store.status();
            let collections = services.store.collections().unwrap_or_default();
            services.telemetry.metrics.text(&Snapshot {
                generation: swaps.active().id,
                instances_max,
                documents: collections.iter().map(|one| one.documents).sum(),
                chunks: collections.iter().map(|one| one.chunks).sum(),
                index_lag: status.index_lag,
                budget_fallbacks: services.keyring.budget_fallbacks(),
                embedding_queue: services.store.embedding_queue(MAX_QUEUES).unwrap_or_default(),
                fleet: services.store.fleet(),
                parts: [
                    ("server", !services.draining()),
                    ("store", status.writable),
                    ("embedding-model", services.embeddings.state() == LoadState::Ready),
                ],
                last_backup: services.backups.last(),
                models: models(&services),
                certificates: services.tls.all().map(|endpoint| endpoint.snapshot()).collect(),
            })
        });
        let text = text.await.map_err(SwapError::from)?;
        let mut response = Response::new(AdminBody::whole(text));
        response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
        Ok(response)
    }

    /// The requests at work, oldest first, and the last ones that ended.
    pub(super) fn requests(&self) -> Answered {
        Ok(json(StatusCode::OK, &requests(&self.services.telemetry.requests, usize::MAX)))
    }

    /// The last hour in points, oldest first.
    pub(super) fn samples(&self) -> Answered {
        let samples = self.pulse.samples_after(0);
        Ok(json(StatusCode::OK, &json!({"samples": samples})))
    }

    /// Administrative acts, newest first.
    pub(super) async fn audit(&self, uri: &Uri) -> Answered {
        let (before, limit) = page(uri)?;
        let store = self.services.store.clone();
        let found =
            blocking(move || store.audit_events(before, limit)).await.map_err(SwapError::from)?;
        let (acts, next) = found.map_err(SwapError::from)?;
        let acts: Vec<_> = acts.into_iter().map(act).collect();
        Ok(json(StatusCode::OK, &json!({"acts": acts, "next": next})))
    }
}

/// The requests at work, oldest first, and so many of the last ones that ended.
pub(super) fn requests(requests: &Requests, most_ended: usize) -> Value {
    let live: Vec<_> = requests
        .in_flight()
        .iter()
        .map(|one| {
            json!({
                "id": one.id, "method": one.method.as_str(), "route": one.route.as_str(),
                "phase": one.phase(), "generation": one.generation(), "key": one.key_id(),
                "age_ms": one.started.elapsed().as_micros() as f64 / 1e3,
            })
        })
        .collect();
    let ended: Vec<_> = requests
        .ended()
        .iter()
        .take(most_ended)
        .map(|one| {
            let request = &one.request;
            json!({
                "id": request.id, "method": request.method.as_str(),
                "route": request.route.as_str(), "status": one.status,
                "ms": one.took.as_micros() as f64 / 1e3,
                "generation": request.generation(), "key": request.key_id(),
                "problem": one.problem,
            })
        })
        .collect();
    json!({"in_flight": live, "ended": ended})
}

/// Seconds since the Unix epoch by RFC 3339; none where they are beyond it.
pub(super) fn rfc3339(seconds: u64) -> Option<String> {
    let at = jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()?;
    Some(at.to_string())
}

fn act(entry: AuditEvent) -> Value {
    let detail: Value = serde_json::from_str(&entry.detail).unwrap_or_default();
    json!({
        "n": entry.n, "at": rfc3339(entry.at), "actor": entry.actor,
        "action": entry.action, "target": entry.target, "detail": detail,
        "request_id": entry.request_id,
    })
}
