//! Sends spans to an OpenTelemetry collector: OTLP over HTTP, as JSON
//! (opentelemetry-proto 1.x, "OTLP/HTTP" of the OTLP specification).

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::metrics::counter::Counter;
use reqwest::Client;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::trace::Span;
use crate::config;

/// Spans in one request.
const MAX_BATCH: usize = 512;
/// How long a span waits for others.
const INTERVAL: Duration = Duration::from_secs(2);
/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A queue to the task that sends.
pub struct Exporter {
    spans: mpsc::Sender<Message>,
    dropped: Counter,
}

enum Message {
    Span(Box<Span>),
    Flush(oneshot::Sender<()>),
}

struct Sender {
    client: Client,
    url: String,
    service: String,
    dropped: Counter,
}

impl Exporter {
    /// Starts sending, when the settings name a collector.
    pub fn start(settings: &config::Telemetry, dropped: Counter) -> reqwest::Result<Option<Self>> {
        let Some(endpoint) = &settings.otlp_endpoint else { return Ok(None) };
        let client = Client::builder().timeout(TIMEOUT).redirect(reqwest::redirect::Policy::none());
        let client = client.default_headers(headers(settings));
        let plain = endpoint.starts_with("http://");
        let client = if plain { client.tls_certs_only([]) } else { client };
        let sender = Sender {
            client: client.build()?,
            url: format!("{}/v1/traces", endpoint.trim_end_matches('/')),
            service: settings.service_name.clone(),
            dropped: dropped.clone(),
        };
        let (spans, waiting) = mpsc::channel(settings.max_waiting_spans.max(1));
        tokio::spawn(sender.run(waiting));
        Ok(Some(Self { spans, dropped }))
    }

    /// Queues a span; drops it when the queue is full.
    pub fn send(&self, span: Span) {
        if self.spans.try_send(Message::Span(Box::new(span))).is_err() {
            self.dropped.inc();
        }
    }

    /// Resolves when what was queued before has been sent.
    pub async fn flush(&self) {
        let (done, flushed) = oneshot::channel();
        if self.spans.send(Message::Flush(done)).await.is_ok() {
            let _ = tokio::time::timeout(TIMEOUT, flushed).await;
        }
    }
}

fn headers(settings: &config::Telemetry) -> HeaderMap {
    let given = settings.otlp_headers.iter().filter_map(|(name, value)| {
        let mut value = HeaderValue::from_str(value.expose()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    });
    given.collect()
}

impl Sender {
    async fn run(self, mut waiting: mpsc::Receiver<Message>) {
        let mut batch = Vec::new();
        let mut tick = tokio::time::interval(INTERVAL);
        loop {
            tokio::select! {
                message = waiting.recv() => match message {
                    Some(Message::Span(span)) => {
                        batch.push(*span);
                        if batch.len() >= MAX_BATCH {
                            self.send(&mut batch).await;
                        }
                    }
                    Some(Message::Flush(done)) => {
                        self.send(&mut batch).await;
                        let _ = done.send(());
                    }
                    None => return self.send(&mut batch).await,
                },
                _ = tick.tick() => self.send(&mut batch).await,
            }
        }
    }

    /// Spans that the collector does not take are dropped: a retry would need
    /// memory, and the newer ones say more.
    async fn send(&self, batch: &mut Vec<Span>) {
        if batch.is_empty() {
            return;
        }
        let spans: Vec<_> = batch.drain(..).map(|span| to_json(&span)).collect();
        let count = spans.len() as u64;
        let body = json!({"resourceSpans": [{
            "resource": {"attributes": [
                attribute("service.name", &json!(self.service)),
                attribute("service.version", &json!(env!("CARGO_PKG_VERSION"))),
            ]},
            "scopeSpans": [{"scope": {"name": "ragtime"}, "spans": spans}],
        }]});
        let sent = self.client.post(&self.url).json(&body).send().await;
        let reason = match sent.map(|response| response.status()) {
            Ok(status) if status.is_success() => return,
            Ok(status) => status.to_string(),
            Err(error) => error.without_url().to_string(),
        };
        self.dropped.inc_by(count);
        tracing::warn!(spans = count, reason, "spans could not be exported");
    }
}

fn to_json(span: &Span) -> Value {
    let attributes: Vec<_> =
        span.attributes.iter().map(|(name, value)| attribute(name, value)).collect();
    // Status 2 is an error; the specification leaves 1 to the operator.
    let status = if span.failed { json!({"code": 2}) } else { json!({}) };
    json!({
        "traceId": span.context.trace_id(),
        "spanId": span.context.span_id(),
        "parentSpanId": span.context.parent_id().unwrap_or_default(),
        "name": span.name,
        "kind": span.kind as u8,
        "startTimeUnixNano": nanos(span.started),
        "endTimeUnixNano": nanos(span.ended),
        "attributes": attributes,
        "status": status,
    })
}

fn attribute(name: &str, value: &Value) -> Value {
    let value = match value {
        // 64-bit integers are strings in protobuf's JSON.
        Value::Number(number) if number.is_f64() => json!({"doubleValue": number}),
        Value::Number(number) => json!({"intValue": number.to_string()}),
        Value::Bool(is) => json!({"boolValue": is}),
        Value::String(text) => json!({"stringValue": text}),
        other => json!({"stringValue": other.to_string()}),
    };
    json!({"key": name, "value": value})
}

fn nanos(time: SystemTime) -> String {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos()).to_string()
}
