//! An endpoint of a model: one URL that takes JSON, and a circuit breaker before it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ragtime_openai::Unreadable;
use ragtime_openai::client::Incoming;
pub use ragtime_openai::client::UpstreamError;
use ragtime_policy::breaker::{Limits, SharedBreaker};
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode};
use serde::Serialize;

use crate::config::Secret;
use crate::telemetry::trace::{TRACEPARENT, TraceContext};

/// Reaches an endpoint, follows it nowhere else, and leaves it alone after failures in
/// a row.
pub struct Upstream {
    client: Client,
    url: String,
    api_key: Option<Secret>,
    breaker: SharedBreaker,
    started: Instant,
}

impl Upstream {
    /// The endpoint at this URL.
    ///
    /// # Errors
    ///
    /// The system's certificates cannot be read.
    pub fn new(
        url: String,
        api_key: Option<Secret>,
        connect_timeout_ms: u64,
        limits: Limits,
    ) -> reqwest::Result<Self> {
        Ok(Self {
            client: client(&url, connect_timeout_ms)?,
            url,
            api_key,
            breaker: SharedBreaker::new(limits),
            started: Instant::now(),
        })
    }

    /// Does work that asks the endpoint if the circuit is closed, and notes how it
    /// ended.
    pub async fn guarded<R>(
        &self,
        work: impl Future<Output = Result<R, UpstreamError>>,
    ) -> Result<R, UpstreamError> {
        let now = || self.started.elapsed();
        let done = self.breaker.guard(now, UpstreamError::is_outage, work).await;
        done.unwrap_or(Err(UpstreamError::Open))
    }

    /// The body of the answer to a request, of at most `most` bytes.
    pub async fn post(&self, body: &impl Serialize, most: usize) -> Result<Vec<u8>, UpstreamError> {
        bounded(self.send(body, None).await?, most).await
    }

    /// The answer to a request, of which only the head has come.
    pub async fn send(
        &self,
        body: &impl Serialize,
        trace: Option<&TraceContext>,
    ) -> Result<Body, UpstreamError> {
        let mut request = self.client.post(&self.url).json(body);
        if let Some(trace) = trace {
            request = request.header(TRACEPARENT, trace.traceparent());
        }
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => Ok(Body(response)),
            status => Err(UpstreamError::Refused(status, retry_after(&response))),
        }
    }
}

/// The body of an answer on its way.
pub struct Body(Response);

impl Incoming for Body {
    type Bytes = Bytes;
    type Deadline = tokio::time::Instant;

    fn deadline(limit: Duration) -> Self::Deadline {
        Self::Deadline::now() + limit
    }

    async fn by<R>(deadline: Self::Deadline, work: impl Future<Output = R>) -> Option<R> {
        tokio::time::timeout_at(deadline, work).await.ok()
    }

    async fn sleep(time: Duration) {
        tokio::time::sleep(time).await;
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        self.0.chunk().await.map_err(unreachable)
    }
}

/// When to leave an endpoint alone, and for how long: after one failure at least, since
/// none would leave alone what never failed.
pub fn limits(failures: u32, cooldown_ms: u64) -> Limits {
    Limits { failures: failures.max(1), cooldown: Duration::from_millis(cooldown_ms) }
}

/// Gives up after `limit`.
pub async fn within<R>(
    limit: Duration,
    work: impl Future<Output = Result<R, UpstreamError>>,
) -> Result<R, UpstreamError> {
    tokio::time::timeout(limit, work).await.unwrap_or(Err(UpstreamError::Slow(limit)))
}

/// `Retry-After` in seconds; a date is none, as clocks differ.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(RETRY_AFTER)?.to_str().ok()?;
    value.trim().parse().ok().map(Duration::from_secs)
}

async fn bounded(mut incoming: Body, most: usize) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    while let Some(bytes) = incoming.chunk().await? {
        body.extend_from_slice(&bytes);
        if body.len() > most {
            return Err(Unreadable("a body that does not end").into());
        }
    }
    Ok(body)
}

/// An error of the connection.
fn unreachable(error: reqwest::Error) -> UpstreamError {
    UpstreamError::Unreachable(cause(error))
}

/// A client of an endpoint with this base, which follows nobody elsewhere.
pub fn client(base: &str, connect_timeout_ms: u64) -> reqwest::Result<Client> {
    let client = Client::builder()
        .connect_timeout(Duration::from_millis(connect_timeout_ms))
        .redirect(reqwest::redirect::Policy::none());
    // Plain HTTP works without the system's certificates, which a small container
    // image does not have.
    let plain = base.starts_with("http://");
    let client = if plain { client.tls_certs_only([]) } else { client };
    client.build()
}

/// The deepest cause of an error. The URL stays out: it may hold a password.
pub fn cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
