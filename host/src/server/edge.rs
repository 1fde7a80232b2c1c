//! The way of one request: identity, limits, handler, response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bytes::{Bytes, BytesMut};
use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use super::body::{EdgeBody, Ending};
use super::problem::Problem;
use super::{access, credential};
use crate::config;
use crate::runtime::generation::{Generation, HandlerFailure};
use crate::runtime::request::{Fate, RequestContext};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long to wait before asking again for an instance when all are taken.
const INSTANCE_RETRY: Duration = Duration::from_millis(10);

/// What all connections share.
pub struct Edge {
    current: ArcSwap<Generation>,
    turns: Arc<Semaphore>,
    limits: config::Server,
}

impl Edge {
    /// Serves `generation` within `limits`.
    pub fn new(generation: Generation, limits: config::Server) -> Self {
        Self {
            current: ArcSwap::from_pointee(generation),
            turns: Arc::new(Semaphore::new(limits.max_requests)),
            limits,
        }
    }

    /// Answers one request. Never fails: what goes wrong becomes a problem.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<EdgeBody> {
        let started = Instant::now();
        let id = uuid::Uuid::now_v7().to_string();
        let path = request.uri().path().to_owned();
        let line = access::Line::new(&request, id.clone(), started);
        let context = match RequestContext::new(id.clone(), credential::find(request.headers())) {
            Ok(context) => context,
            Err(error) => {
                tracing::error!(blame = "host", %error, "no randomness");
                return self.refuse(Problem::Internal, &id, &path, line);
            }
        };
        let served = self.serve(&context, request).await;
        let mut response = match served {
            Ok((response, generation, turn)) => {
                let line = line.with_handler(generation.id, &context);
                let ending = Ending::new(context, turn, &self.limits, response.headers(), &path);
                response.map(|body| EdgeBody::handler(body, ending, line))
            }
            Err(problem) => self.refuse(problem, &id, &path, line.with_context(&context)),
        };
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        access::head_sent(&mut response);
        response
    }

    async fn serve(
        &self,
        context: &Arc<RequestContext>,
        request: Request<Incoming>,
    ) -> Result<(Response<WasiBody>, Arc<Generation>, OwnedSemaphorePermit), Problem> {
        let (mut parts, body) = request.into_parts();
        let body = self.body(body).await?;
        let turn = self.turn().await?;
        credential::replace(&mut parts.headers, context.reference());
        if let Ok(id) = HeaderValue::from_str(&context.id) {
            parts.headers.insert(REQUEST_ID, id);
        }
        let generation = self.current.load_full();
        // Cancels the work behind the request when the client goes and this
        // future is dropped.
        let guard = context.cancelled.clone().drop_guard();
        let response = self.dispatch(&generation, context, &parts, body).await?;
        guard.disarm();
        Ok((response, generation, turn))
    }

    /// The whole body, so that a slow client holds no instance and a lost
    /// instance costs no request.
    async fn body(&self, body: Incoming) -> Result<Bytes, Problem> {
        let limit = self.limits.max_body_bytes;
        let wait = Duration::from_millis(self.limits.body_timeout_ms);
        timeout(wait, read(body, limit)).await.unwrap_or(Err(Problem::BodyTimeout))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let wait = Duration::from_millis(self.limits.queue_timeout_ms);
        match timeout(wait, Arc::clone(&self.turns).acquire_owned()).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(Problem::Draining),
            Err(_) => Err(Problem::Overloaded),
        }
    }

    /// Runs the request; once more and by itself when its instance was lost
    /// before it answered, unless it has changed something.
    async fn dispatch(
        &self,
        generation: &Generation,
        context: &Arc<RequestContext>,
        parts: &http::request::Parts,
        body: Bytes,
    ) -> Result<Response<WasiBody>, Problem> {
        let copy = || rebuild(parts, body.clone());
        let give_up = Instant::now() + Duration::from_millis(self.limits.queue_timeout_ms);
        let mut alone = false;
        loop {
            let answer = if alone {
                generation.handle_alone(Arc::clone(context), copy()).await
            } else {
                generation.handle(Arc::clone(context), copy()).await
            };
            match answer {
                Ok(response) => return Ok(response),
                Err(HandlerFailure::Full) if Instant::now() < give_up => {
                    tokio::time::sleep(INSTANCE_RETRY).await;
                }
                Err(HandlerFailure::Full) => return Err(Problem::NoInstance),
                Err(HandlerFailure::Deadline) => return Err(Problem::HandlerTimeout),
                Err(HandlerFailure::Failed(_))
                    if context.fate() != Fate::Running && !alone && !context.wrote() =>
                {
                    context.set_fate(Fate::Running);
                    alone = true;
                }
                Err(HandlerFailure::Failed(_)) if context.fate() == Fate::Overran => {
                    return Err(Problem::HandlerTimeout);
                }
                Err(HandlerFailure::Failed(reason)) => {
                    tracing::error!(
                        blame = "guest",
                        request_id = context.id,
                        reason,
                        "the handler failed"
                    );
                    return Err(Problem::HandlerFailed);
                }
            }
        }
    }

    fn refuse(
        &self,
        problem: Problem,
        id: &str,
        path: &str,
        line: access::Line,
    ) -> Response<EdgeBody> {
        let response = problem.response(id, path);
        response.map(|body| EdgeBody::host(body, line.with_problem(problem.code())))
    }
}

/// Reads a body of up to `limit` bytes. One that is longer is read on to twice
/// the limit and thrown away: a client that is still sending when the connection
/// closes would not see why (RFC 9112 section 9.6).
async fn read(mut body: Incoming, limit: usize) -> Result<Bytes, Problem> {
    let (mut kept, mut total) = (BytesMut::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Problem::BodyBroken)?.into_data() else { continue };
        total = total.saturating_add(data.len());
        if total <= limit {
            kept.extend_from_slice(&data);
        } else if total > limit.saturating_mul(2) {
            break;
        }
    }
    if total > limit { Err(Problem::BodyTooLarge) } else { Ok(kept.freeze()) }
}

fn rebuild(parts: &http::request::Parts, body: Bytes) -> Request<WasiBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Request::from_parts(parts.clone(), body)
}
