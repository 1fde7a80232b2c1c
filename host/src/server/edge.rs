//! The way of one request: identity, limits, handler, response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::HeaderName;
use http::{HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use super::body::{EdgeBody, Ending};
use super::problem::Problem;
use super::{Answer, access, credential};
use crate::config;
use crate::runtime::generation::{Generation, HandlerFailure};
use crate::runtime::request::{Fate, Purpose, RequestContext, ensure_authority};
use crate::runtime::routing::{self, Choice, Routing};

/// The header that carries a request's id, in and out.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long to wait before asking again for an instance when all are taken.
const INSTANCE_RETRY: Duration = Duration::from_millis(10);

/// What all connections share.
pub struct Edge {
    routing: Arc<Routing>,
    turns: Arc<Semaphore>,
    limits: config::Server,
}

impl Answer for Edge {
    type Body = EdgeBody;

    async fn answer(&self, request: Request<Incoming>) -> Response<EdgeBody> {
        Edge::answer(self, request).await
    }
}

impl Edge {
    /// Serves what `routing` says within `limits`.
    pub fn new(routing: Arc<Routing>, limits: config::Server) -> Self {
        Self { routing, turns: Arc::new(Semaphore::new(limits.max_requests)), limits }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<EdgeBody> {
        let started = Instant::now();
        let id = uuid::Uuid::now_v7().to_string();
        let path = request.uri().path().to_owned();
        let line = access::Line::new(&request, id.clone(), started);
        let credential = credential::find(request.headers());
        let context = RequestContext::new(id.clone(), Purpose::Client, credential);
        let served = self.serve(&context, request).await;
        let mut response = match served {
            Ok((response, choice, turn)) => {
                let line = line.with_handler(choice.generation.id, &context);
                let ending =
                    Ending::new(context, choice, turn, &self.limits, response.headers(), &path);
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
    ) -> Result<(Response<WasiBody>, Choice, OwnedSemaphorePermit), Problem> {
        let (mut parts, body) = request.into_parts();
        let body = self.body(body).await?;
        let turn = self.turn().await?;
        let choice = self.routing.choose();
        let copy = choice.copies().map(|copies| {
            (copies.clone(), routing::Mirrored { parts: parts.clone(), body: body.clone() })
        });
        credential::replace(&mut parts.headers, context.reference());
        ensure_authority(&mut parts);
        if let Ok(id) = HeaderValue::from_str(&context.id) {
            parts.headers.insert(REQUEST_ID, id);
        }
        // Cancels the work behind the request when the client goes and this
        // future is dropped.
        let guard = context.cancelled.clone().drop_guard();
        let (response, choice) = self.dispatch_on_trial(choice, context, &parts, body).await?;
        guard.disarm();
        if let Some((copies, copy)) = copy
            && !context.wrote()
        {
            // When copies cannot keep up some are left out; the client must not
            // wait for them.
            let _ = copies.try_send(copy);
        }
        Ok((response, choice, turn))
    }

    /// Runs the request where it was sent. When that is a candidate, notes how
    /// it did; a request that it loses without having changed something is
    /// answered by the active generation.
    async fn dispatch_on_trial(
        &self,
        choice: Choice,
        context: &Arc<RequestContext>,
        parts: &http::request::Parts,
        body: Bytes,
    ) -> Result<(Response<WasiBody>, Choice), Problem> {
        let started = Instant::now();
        let answer = self.dispatch(&choice.generation, context, parts, body.clone()).await;
        let failed = match &answer {
            Ok(response) => response.status().is_server_error(),
            Err(problem) => problem.is_the_handlers(),
        };
        if let Some(arm) = choice.arm() {
            arm.note(started.elapsed(), failed);
        }
        match choice.fallback(&self.routing).filter(|_| failed && !context.wrote()) {
            Some(fallback) => {
                context.set_fate(Fate::Running);
                let answer = self.dispatch(&fallback.generation, context, parts, body).await?;
                Ok((answer, fallback))
            }
            None => Ok((answer?, choice)),
        }
    }

    /// The whole body, so that a slow client holds no instance and a lost
    /// instance costs no request.
    async fn body(&self, body: Incoming) -> Result<Bytes, Problem> {
        if body.is_end_stream() {
            return Ok(Bytes::new());
        }
        let limit = self.limits.max_body_bytes;
        let wait = Duration::from_millis(self.limits.body_timeout_ms);
        timeout(wait, read(body, limit)).await.unwrap_or(Err(Problem::BodyTimeout))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit, Problem> {
        if let Ok(turn) = Arc::clone(&self.turns).try_acquire_owned() {
            return Ok(turn);
        }
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
                Err(HandlerFailure::Lost) => {
                    let fate = context.fate_of_lost().await;
                    if alone || context.wrote() {
                        return Err(match fate {
                            Fate::Overran => Problem::HandlerTimeout,
                            Fate::Running | Fate::Trapped => Problem::HandlerFailed,
                        });
                    }
                    context.set_fate(Fate::Running);
                    alone = true;
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
