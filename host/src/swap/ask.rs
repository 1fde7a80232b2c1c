//! Requests of the host's own to a handler.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};

use crate::runtime::generation::{Generation, HandlerFailure};
use crate::runtime::request::{Purpose, RequestContext, ensure_authority};
use crate::server::credential;
use crate::telemetry::trace::TraceContext;

/// The most of a response that is looked at. A search for the most results of
/// the longest chunks stays below it.
const MAX_RESPONSE_BYTES: usize = 4 * 1024 * 1024;

/// What a handler answered.
#[derive(Debug)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: http::HeaderMap,
    /// Its body.
    pub body: Bytes,
    /// Until its head was there.
    pub latency: Duration,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// The handler failed.
    #[error(transparent)]
    Handler(#[from] HandlerFailure),
    /// The response broke off, or is too large to look at.
    #[error("the response broke off or is over {MAX_RESPONSE_BYTES} bytes")]
    Body,
    /// It took too long.
    #[error("no response within {0:?}")]
    Timeout(Duration),
}

/// Asks one generation, with the credential that is in `parts`. The handler
/// can read as that key can and write nothing.
pub async fn ask(
    generation: &Arc<Generation>,
    parts: &http::request::Parts,
    body: Bytes,
    deadline: Duration,
) -> Result<Reply, Lost> {
    ask_as(Purpose::Trial, generation, parts, body, deadline).await
}

/// Asks one generation for another purpose.
pub async fn ask_as(
    purpose: Purpose,
    generation: &Arc<Generation>,
    parts: &http::request::Parts,
    body: Bytes,
    deadline: Duration,
) -> Result<Reply, Lost> {
    ask_in(Instances::Own, purpose, generation, parts, body, deadline).await
}

/// Asks one generation in an instance that stays for the requests of clients.
pub async fn ask_to_stay(
    generation: &Arc<Generation>,
    parts: &http::request::Parts,
    body: Bytes,
    deadline: Duration,
) -> Result<Reply, Lost> {
    ask_in(Instances::Shared, Purpose::Trial, generation, parts, body, deadline).await
}

/// Where a request of the host's own runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instances {
    /// In an instance of its own, in the background.
    Own,
    /// In one of those that clients' requests share.
    Shared,
}

async fn ask_in(
    instances: Instances,
    purpose: Purpose,
    generation: &Arc<Generation>,
    parts: &http::request::Parts,
    body: Bytes,
    deadline: Duration,
) -> Result<Reply, Lost> {
    let _visit = generation.life.enter();
    let credential = credential::find(&parts.headers);
    let id = uuid::Uuid::now_v7().to_string();
    let context =
        RequestContext::new(id, purpose, credential, TraceContext::of(&parts.headers, 0.0));
    let _cancel = context.cancelled.clone().drop_guard();
    let mut parts = parts.clone();
    credential::replace(&mut parts.headers, context.reference());
    ensure_authority(&mut parts);
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let request = Request::from_parts(parts, body);
    let started = Instant::now();
    let asked = async {
        let own = Arc::clone(&context);
        let response = match instances {
            Instances::Own => generation.handle_alone(own, request).await?,
            Instances::Shared => generation.handle(own, request).await?,
        };
        let latency = started.elapsed();
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MAX_RESPONSE_BYTES).collect().await;
        let body = body.map_err(|_| Lost::Body)?.to_bytes();
        Ok(Reply { status: head.status, headers: head.headers, body, latency })
    };
    tokio::time::timeout(deadline, asked).await.unwrap_or(Err(Lost::Timeout(deadline)))
}
