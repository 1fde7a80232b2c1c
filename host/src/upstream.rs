//! An endpoint of a model: one URL that takes JSON, and a circuit breaker before it.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use ragtime_openai::Unreadable;
use ragtime_policy::breaker::{CircuitBreaker, Limits};
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
    breaker: Mutex<CircuitBreaker>,
    started: Instant,
}

/// Why there is no answer. Fit for the log: no text and no key.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// It has failed too often lately.
    #[error("it is left alone after failing too often")]
    Open,
    /// No connection, or a broken one.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It refused, perhaps saying when to come back.
    #[error("it answered {0}")]
    Refused(StatusCode, Option<Duration>),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    Slow(Duration),
    /// It sent what is no answer.
    #[error("it sent what cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
}

impl UpstreamError {
    /// How long to wait at least until the same request may succeed; none where it will
    /// not.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(status, after) => {
                let again = status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS;
                again.then_some(after.unwrap_or_default())
            }
            Self::Unreachable(_) | Self::Slow(_) | Self::Unreadable(_) => Some(Duration::ZERO),
            Self::Open => None,
        }
    }
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
            breaker: Mutex::new(CircuitBreaker::new(limits)),
            started: Instant::now(),
        })
    }

    /// Does work that asks the endpoint if the circuit is closed, and notes how it
    /// ended.
    pub async fn guarded<R>(
        &self,
        work: impl Future<Output = Result<R, UpstreamError>>,
    ) -> Result<R, UpstreamError> {
        if !self.breaker.lock().allows(self.started.elapsed()) {
            return Err(UpstreamError::Open);
        }
        let done = work.await;
        let mut breaker = self.breaker.lock();
        match &done {
            // A request that it does not like says nothing about its health.
            Err(error) if error.retry_after().is_some() => breaker.failed(self.started.elapsed()),
            Ok(_) | Err(_) => breaker.succeeded(),
        }
        done
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
    ) -> Result<Response, UpstreamError> {
        let mut request = self.client.post(&self.url).json(body);
        if let Some(trace) = trace {
            request = request.header(TRACEPARENT, trace.traceparent());
        }
        if let Some(key) = &self.api_key {
            request = request.bearer_auth(key.expose());
        }
        let response = request.send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => Ok(response),
            status => Err(UpstreamError::Refused(status, retry_after(&response))),
        }
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

async fn bounded(mut response: Response, most: usize) -> Result<Vec<u8>, UpstreamError> {
    let mut body = Vec::new();
    while let Some(bytes) = response.chunk().await.map_err(unreachable)? {
        body.extend_from_slice(&bytes);
        if body.len() > most {
            return Err(Unreadable("a body that does not end").into());
        }
    }
    Ok(body)
}

/// An error of the connection.
pub fn unreachable(error: reqwest::Error) -> UpstreamError {
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
