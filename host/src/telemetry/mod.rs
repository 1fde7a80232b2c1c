//! What an operator sees of a running server: metrics, traces, and the requests
//! at work. None of it holds a credential or a text.

mod answer;
mod export;
mod metrics;
mod process;
mod requests;
mod route;
mod samples;
pub mod trace;
mod window;

use std::sync::Arc;
use std::time::SystemTime;

use crate::config;
pub use answer::Answering;
use export::Exporter;
pub use metrics::{Alive, CertificateSnapshot, Lost, Metrics, ModelSnapshot, Rewriting, Snapshot};
pub use requests::{InFlightRequest, Phase, Requests};
pub use route::{Route, Templates};
use samples::Now;
pub use samples::{Sample, Samples};
use trace::{Span, TraceContext};

/// Shared by everything that records something.
pub struct Telemetry {
    /// Counts and durations.
    pub metrics: Metrics,
    /// Requests at work, and the last ones that ended.
    pub requests: Requests,
    exporter: Option<Exporter>,
    /// The share of traces that begin here and are exported.
    sample_ratio: f64,
}

impl Telemetry {
    /// Starts the exporter when the settings name a collector.
    ///
    /// # Errors
    ///
    /// When the client for it cannot be set up.
    pub fn new(settings: &config::Telemetry) -> reqwest::Result<Arc<Self>> {
        let metrics = Metrics::new();
        let dropped = metrics.dropped_spans.clone();
        Ok(Arc::new(Self {
            exporter: Exporter::start(settings, dropped)?,
            metrics,
            requests: Requests::default(),
            sample_ratio: settings.sample_ratio,
        }))
    }

    /// The place of a request in a trace: the client's when it sent one.
    pub fn begin_trace(&self, headers: &http::HeaderMap) -> TraceContext {
        let ratio = if self.exporter.is_some() { self.sample_ratio } else { 0.0 };
        TraceContext::of(headers, ratio)
    }

    /// Hands a span to the exporter, if it is one of those to export. Never
    /// waits: when the exporter is behind, the span is counted and dropped.
    pub fn export(&self, context: &TraceContext, span: impl FnOnce() -> Span) {
        if let Some(exporter) = self.exporter.as_ref().filter(|_| context.is_sampled()) {
            exporter.send(span());
        }
    }

    /// What happened since the last call, and how the server is at work now, as a
    /// point of the charts. `seconds` is how long ago the last call was.
    pub fn sample(&self, at: u64, seconds: f64, index_lag_chunks: u64) -> Sample {
        let (memory, _) = process::usage();
        let now = Now {
            at,
            index_lag_chunks,
            in_flight: self.metrics.at_work(),
            memory_bytes: memory.unwrap_or_default(),
        };
        Sample::new(now, seconds, self.metrics.window.take())
    }

    /// Waits until the spans so far have been sent, or have failed to be.
    pub async fn flush(&self) {
        if let Some(exporter) = &self.exporter {
            exporter.flush().await;
        }
    }
}

/// The start of something that ended just now and took `elapsed`.
pub fn start_of(elapsed: std::time::Duration) -> SystemTime {
    SystemTime::now().checked_sub(elapsed).unwrap_or(SystemTime::UNIX_EPOCH)
}
