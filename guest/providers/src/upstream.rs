//! Requests to other servers, by `wasi:http/client`. A stock runtime lets a
//! component make them; what comes back is a stranger's.

use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::{Either, select};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use ragtime_openai::Unreadable;
use ragtime_openai::client::{self as openai, UpstreamError};
use serde::Serialize;
use wasip3::clocks::monotonic_clock;
use wasip3::http::client;
use wasip3::http::types::RequestOptions;
use wasip3::http_compat::{
    IncomingResponseBody, RequestOptionsExtension, http_from_wasi_response, http_into_wasi_request,
};

use crate::settings::Endpoint;

/// The body of an answer on its way. Dropped, the connection closes.
pub(crate) struct Incoming(IncomingResponseBody);

impl openai::Incoming for Incoming {
    type Bytes = Bytes;
    type Deadline = Instant;

    fn deadline(limit: Duration) -> Instant {
        Instant::now() + limit
    }

    async fn by<R>(deadline: Instant, work: impl Future<Output = R>) -> Option<R> {
        let left = deadline.saturating_duration_since(Instant::now());
        match select(pin!(work), pin!(Self::sleep(left))).await {
            Either::Left((done, _)) => Some(done),
            Either::Right(_) => None,
        }
    }

    async fn sleep(time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        monotonic_clock::wait_for(time).await;
    }

    async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        while let Some(frame) = self.0.frame().await {
            if let Ok(data) = frame.map_err(unreachable)?.into_data() {
                return Ok(Some(data));
            }
        }
        Ok(None)
    }
}

impl Incoming {
    /// All of it, up to `limit` bytes.
    pub(crate) async fn whole(mut self, limit: usize) -> Result<Vec<u8>, UpstreamError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = openai::Incoming::chunk(&mut self).await? {
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
) -> Result<Incoming, UpstreamError> {
    let body = serde_json::to_vec(body).map_err(unreachable)?;
    let mut request = Request::post(format!("{}{path}", endpoint.url))
        .header(CONTENT_TYPE, "application/json")
        // Small servers do not know chunks.
        .header(CONTENT_LENGTH, body.len())
        .extension(RequestOptionsExtension(options(endpoint)));
    if let Some(key) = &endpoint.api_key {
        let mut value = HeaderValue::from_str(&format!("Bearer {key}"))
            .map_err(|_| UpstreamError::Unreachable("the key is no header".into()))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request
        .body(Full::new(Bytes::from(body)))
        .map_err(|_| UpstreamError::Unreachable("the URL is none".into()))?;
    let request = http_into_wasi_request(request).map_err(unreachable)?;
    let response = client::send(request).await.map_err(unreachable)?;
    let response = http_from_wasi_response(response).map_err(unreachable)?;
    match response.status() {
        StatusCode::OK => Ok(Incoming(response.into_body())),
        status => Err(UpstreamError::Refused(status, None)),
    }
}

fn options(endpoint: &Endpoint) -> RequestOptions {
    let options = RequestOptions::new();
    let time = u64::try_from(endpoint.connect_timeout.as_nanos()).ok();
    // A runtime that cannot bound this is bounded by the time of the whole.
    let _ = options.set_connect_timeout(time);
    options
}

fn unreachable(error: impl std::fmt::Display) -> UpstreamError {
    UpstreamError::Unreachable(error.to_string())
}
