//! Requests to other servers, by `wasi:http/client`. A stock runtime lets a
//! component make them; what comes back is a stranger's.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use ragtime_openai::Unreadable;
use serde::Serialize;
use wasip3::clocks::monotonic_clock;
use wasip3::http::client;
use wasip3::http::types::RequestOptions;
use wasip3::http_compat::{
    IncomingResponseBody, RequestOptionsExtension, http_from_wasi_response, http_into_wasi_request,
};

use crate::settings::Endpoint;

/// Why there is no answer, or no whole one. Fit for the log: no text of a
/// document, no key and no URL.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It has failed too often of late.
    #[error("it is left alone after failing too often")]
    Open,
    /// No connection, or a broken one.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It refused.
    #[error("it answered {0}")]
    Refused(StatusCode),
    /// It took too long.
    #[error("it took longer than {0:?}")]
    Slow(Duration),
    /// It sent what is no answer.
    #[error("it sent what cannot be read: {0}")]
    Unreadable(#[from] Unreadable),
}

impl Error {
    /// Whether the same request may have an answer a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Refused(status) => {
                status.is_server_error() || *status == StatusCode::TOO_MANY_REQUESTS
            }
            Self::Open | Self::Unreachable(_) | Self::Slow(_) | Self::Unreadable(_) => true,
        }
    }
}

/// The body of an answer on its way. Dropped, the connection closes.
pub(crate) struct Incoming(IncomingResponseBody);

impl Incoming {
    /// The next bytes; none at the end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Vec<u8>>, Error> {
        while let Some(frame) = self.0.frame().await {
            if let Ok(data) = frame.map_err(unreachable)?.into_data() {
                return Ok(Some(data.into()));
            }
        }
        Ok(None)
    }

    /// All of it, up to `limit` bytes.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend(chunk);
            if bytes.len() > limit {
                return Err(Unreadable("a body that does not end").into());
            }
        }
        Ok(bytes)
    }
}

/// Posts JSON to `path` below the endpoint, and returns when the answer has
/// begun with 200.
pub(crate) async fn post(
    endpoint: &Endpoint,
    path: &str,
    body: &impl Serialize,
) -> Result<Incoming, Error> {
    let body = serde_json::to_vec(body).map_err(unreachable)?;
    let mut request = Request::post(format!("{}{path}", endpoint.url))
        .header(CONTENT_TYPE, "application/json")
        // Small servers do not know chunks.
        .header(CONTENT_LENGTH, body.len())
        .extension(RequestOptionsExtension(options(endpoint)));
    if let Some(key) = &endpoint.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| Error::Unreachable("the key is no header".into()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request
        .body(Full::new(bytes::Bytes::from(body)))
        .map_err(|_| Error::Unreachable("the URL is none".into()))?;
    let request = http_into_wasi_request(request).map_err(unreachable)?;
    let response = client::send(request).await.map_err(unreachable)?;
    let response = http_from_wasi_response(response).map_err(unreachable)?;
    match response.status() {
        StatusCode::OK => Ok(Incoming(response.into_body())),
        status => Err(Error::Refused(status)),
    }
}

/// Gives up after `limit`.
pub(crate) async fn within<R>(
    limit: Duration,
    work: impl Future<Output = Result<R, Error>>,
) -> Result<R, Error> {
    match select(pin!(work), pin!(sleep(limit))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(Error::Slow(limit)),
    }
}

/// Waits.
pub(crate) async fn sleep(time: Duration) {
    monotonic_clock::wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
}

fn options(endpoint: &Endpoint) -> RequestOptions {
    let options = RequestOptions::new();
    let time = u64::try_from(endpoint.connect_timeout.as_nanos()).ok();
    // A runtime that cannot bound this is bounded by the time of the whole.
    let _ = options.set_connect_timeout(time);
    options
}

fn unreachable(error: impl std::fmt::Display) -> Error {
    Error::Unreachable(error.to_string())
}
