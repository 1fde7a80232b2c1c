//! The way of one request: identity, limits, handler, response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use super::body::{EdgeBody, Ending};
use super::callers::Callers;
use super::encoding::Encoding;
use super::idempotency::{Begun, Idempotency};
use super::problem::Problem;
use super::public_url::PublicUrl;
use super::turns::{Turn, Turns};
use super::{access, credential, host_header};
use crate::config;
use crate::keyring::Slot;
use crate::runtime::generation::{Generation, HandlerFailure};
use crate::runtime::request::{Fate, Purpose, RequestContext, ensure_authority};
use crate::runtime::routing::{self, Choice, Routing};
use crate::services::Services;
use crate::telemetry::trace::TRACEPARENT;
use crate::telemetry::{Flight, Phase, Telemetry};

/// The header that carries a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// How long to wait before asking again for an instance when all are taken.
const INSTANCE_RETRY: Duration = Duration::from_millis(10);

/// The header in which a client says how many seconds it waits.
const DEADLINE: HeaderName = HeaderName::from_static("request-timeout");

/// What all connections share.
pub struct Edge {
    routing: Arc<Routing>,
    telemetry: Arc<Telemetry>,
    turns: Turns,
    callers: Callers,
    idempotency: Arc<Idempotency>,
    limits: config::Server,
    public_url: PublicUrl,
}

/// A response, by whom it was made.
enum Served {
    /// The handler, in its turn.
    Handler(Response<WasiBody>, Choice, (Turn, Option<Slot>)),
    /// The host, from what it had kept.
    Kept(Response<Full<Bytes>>),
}

impl Edge {
    /// Serves what `routing` says within the limits of the settings.
    pub fn new(
        routing: Arc<Routing>,
        services: &Arc<Services>,
        settings: &config::Settings,
    ) -> Self {
        let limits = settings.server.clone();
        Self {
            routing,
            telemetry: Arc::clone(&services.telemetry),
            turns: Turns::new(&limits),
            callers: Callers::new(Arc::clone(services), settings),
            idempotency: Idempotency::new(
                Arc::clone(services),
                limits.idempotency_seconds,
                limits.max_kept_response_bytes,
            ),
            public_url: PublicUrl::new(limits.public_url.as_ref()),
            limits,
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<EdgeBody> {
        let id = uuid::Uuid::now_v7().to_string();
        let path = request.uri().path().to_owned();
        let trace = self.telemetry.begin_trace(request.headers());
        let route = self.routing.active().route(&path);
        let flight = Flight::new(id.clone(), request.method().clone(), route, Instant::now());
        let line = access::Line::new(&self.telemetry, flight, path.clone(), trace);
        let credential = credential::find(request.headers());
        let context = RequestContext::new(id.clone(), Purpose::Client, credential, trace);
        let flight = line.flight();
        let served = self.serve(&context, request, &flight).await;
        flight.set_key_id(context.key_id());
        let mut response = match served {
            Ok(Served::Handler(response, choice, held)) => {
                let ending =
                    Ending::new(context, choice, held, &self.limits, response.headers(), &path);
                response.map(|body| EdgeBody::handler(body, ending, line))
            }
            Ok(Served::Kept(response)) => response.map(|body| EdgeBody::host(body, line)),
            Err(problem) => self.refuse(problem, &id, &path, line),
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
        flight: &Flight,
    ) -> Result<Served, Problem> {
        let (mut parts, body) = request.into_parts();
        host_header::check(parts.version, &parts.headers)?;
        let deadline = deadline(&parts.headers)?;
        let encoding = Encoding::of(&parts.headers)?;
        let address = self.callers.address(parts.extensions.get(), &parts.headers);
        if context.credential().is_some() {
            self.callers.admit_address(address)?;
        }
        let body = self.body(body).await?;
        let limit = self.limits.max_body_bytes;
        let body = encoding.decode(&mut parts.headers, body, limit).await?;
        let key = context.credential().and_then(|given| self.callers.key(address, given));
        if let Some(key) = &key {
            context.set_tenant(key.record.id.as_str());
        }
        let slot = key.as_ref().map(|key| self.callers.slot(key)).transpose()?;
        let attempt = match self.idempotency.begin(key.as_ref(), &parts, &body).await? {
            Begun::Plain => None,
            Begun::Fresh(attempt) => Some(attempt),
            Begun::Replay(response) => {
                context.set_key_id(&key.map(|key| key.record.id.to_string()).unwrap_or_default());
                return Ok(Served::Kept(response));
            }
        };
        flight.enter(Phase::Queued);
        let queued = Instant::now();
        let turn = self.turns.take().await?;
        self.telemetry.metrics.queued(queued.elapsed());
        flight.enter(Phase::Handling);
        let choice = self.routing.choose();
        flight.set_generation(choice.generation.id);
        let copy = choice.copies().map(|copies| {
            (copies.clone(), routing::Mirrored { parts: parts.clone(), body: body.clone() })
        });
        credential::replace(&mut parts.headers, context.reference());
        ensure_authority(&mut parts);
        self.public_url.tell(&mut parts.headers);
        parts.headers.insert(TRACEPARENT, context.trace.traceparent());
        if let Ok(id) = HeaderValue::from_str(&context.id) {
            parts.headers.insert(REQUEST_ID, id);
        }
        // Cancels the work behind the request when the client goes and this
        // future is dropped.
        let guard = context.cancelled.clone().drop_guard();
        let answered = self.dispatch_on_trial(choice, context, &parts, body);
        let (response, choice) = match deadline {
            Some(deadline) => {
                timeout(deadline, answered).await.unwrap_or(Err(Problem::DeadlineExceeded))?
            }
            None => answered.await?,
        };
        let response = match attempt {
            Some(attempt) => attempt.finish(response, context.wrote()).await,
            None => response,
        };
        guard.disarm();
        if let Some((copies, copy)) = copy
            && !context.wrote()
        {
            // When copies cannot keep up some are left out; the client must not
            // wait for them.
            let _ = copies.try_send(copy);
        }
        Ok(Served::Handler(response, choice, (turn, slot)))
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
            let answer = match answer {
                Ok(response) => self.whole_if_short(&parts.method, response).await,
                failed => failed,
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
                    self.telemetry.metrics.replayed();
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

    /// A short response that says its length is taken whole before its head
    /// goes out: an instance that is lost meanwhile costs a second run, and not
    /// half an answer.
    async fn whole_if_short(
        &self,
        method: &Method,
        response: Response<WasiBody>,
    ) -> Result<Response<WasiBody>, HandlerFailure> {
        // The length is that of a body which does not come (RFC 9110 section 8.6).
        if method == Method::HEAD || response.status() == StatusCode::NOT_MODIFIED {
            return Ok(response);
        }
        let length = response.headers().get(CONTENT_LENGTH);
        let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_none_or(|length| length == 0 || length > MAX_WHOLE_BYTES) {
            return Ok(response);
        }
        let (head, body) = response.into_parts();
        let wait = Duration::from_millis(self.limits.request_timeout_ms);
        let whole = timeout(wait, Limited::new(body, MAX_WHOLE_BYTES).collect()).await;
        let whole = whole.map_err(|_| HandlerFailure::Deadline)?;
        let body = whole.map_err(|_| HandlerFailure::Lost)?.map_err(|never| match never {});
        Ok(Response::from_parts(head, body.boxed_unsync()))
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

/// The longest response that is taken whole before its head goes out: answers
/// and searches are some kilobytes, and long texts had better begin at once.
const MAX_WHOLE_BYTES: usize = 64 * 1024;

/// How long the client waits, if it says so.
fn deadline(headers: &HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.get(DEADLINE) else { return Ok(None) };
    let seconds: f64 = value
        .to_str()
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .filter(|seconds: &f64| *seconds > 0.0)
        .ok_or(Problem::InvalidDeadline)?;
    // Longer ones than there are end with the handler's own.
    Ok(Duration::try_from_secs_f64(seconds).ok())
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
