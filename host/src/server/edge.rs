//! The way of one request: identity, limits, handler, response.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, IF_MATCH, IF_NONE_MATCH,
    TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Incoming};
use tokio::time::timeout;
use wasmtime_wasi_http::WasiBody;

use super::answered::Answered;
use super::bodies::{Bodies, discard};
use super::body::{Caller, EdgeBody, Ending, Held};
use super::callers::{Callers, Refused};
use super::encoding::Encoding;
use super::idempotency::{Begun, Idempotency};
use super::problem::Problem;
use super::public_url::PublicUrl;
use super::quarantine::Quarantine;
use super::turns::Turns;
use super::{access, credential, headers, host_header};
use crate::config;
use crate::keyring::{Key, Slot};
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

/// The longest response that is taken whole before its head goes out: answers
/// and searches are some kilobytes, and long texts had better begin at once.
const MAX_WHOLE_BYTES: usize = 64 * 1024;

/// The same for whoever has no key: all that such a one gets is shorter.
const MAX_WHOLE_OPEN_BYTES: usize = 1024 * 1024;

/// What all connections share.
pub struct Edge {
    routing: Arc<Routing>,
    services: Arc<Services>,
    telemetry: Arc<Telemetry>,
    turns: Turns,
    /// Turns of those without a key.
    open_turns: Turns,
    callers: Arc<Callers>,
    bodies: Bodies,
    idempotency: Arc<Idempotency>,
    limits: config::Server,
    quarantine: Quarantine,
    solitary_body_bytes: usize,
    public_url: PublicUrl,
}

/// A response, by whom it was made.
enum Served {
    /// The handler, which is still at it.
    Handler(Response<WasiBody>, Choice, Held, Option<Caller>),
    /// The handler, which is done, or the host from what it had kept.
    Whole(Response<Full<Bytes>>),
}

/// Who asks, as far as it matters to the edge.
struct Admitted {
    /// None for those without a valid key, and where none is needed.
    key: Option<Arc<Key>>,
    /// Its place among the key's requests at work.
    slot: Option<Slot>,
    deadline: Option<Duration>,
    encoding: Encoding,
}

impl Edge {
    /// Serves what `routing` says within the limits of the settings.
    pub fn new(
        routing: Arc<Routing>,
        services: &Arc<Services>,
        callers: Arc<Callers>,
        settings: &config::Settings,
    ) -> Self {
        let limits = settings.server.clone();
        Self {
            routing,
            services: Arc::clone(services),
            telemetry: Arc::clone(&services.telemetry),
            turns: Turns::new(limits.max_requests, &limits),
            open_turns: Turns::new(limits.max_open_requests, &limits),
            callers,
            bodies: Bodies::new(&limits),
            idempotency: Idempotency::new(
                Arc::clone(services),
                limits.idempotency_seconds,
                limits.max_kept_response_bytes,
            ),
            public_url: PublicUrl::new(limits.public_url.as_ref()),
            limits,
            quarantine: Quarantine::new(&settings.handler),
            solitary_body_bytes: settings.handler.solitary_body_bytes,
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
        let address = self.callers.address(request.extensions().get(), request.headers());
        // Whether the connection can carry another request after this one.
        let mut reusable = request.body().is_end_stream();
        let version = request.version();
        let (place, served) = match self.callers.enter(address) {
            Ok(place) => {
                (place, self.serve(&context, request, &flight, address, &mut reusable).await)
            }
            Err(problem) => (None, Err(problem)),
        };
        flight.set_key_id(context.key_id());
        let quota = context.quota();
        let mut response = match served {
            Ok(Served::Handler(mut response, choice, held, caller)) => {
                headers::own(response.headers_mut(), quota.as_ref());
                let head = response.headers();
                let ending = Ending::new(context, choice, held, caller, &self.limits, head, &path);
                response.map(|body| EdgeBody::handler(body, ending, line))
            }
            Ok(Served::Whole(response)) => response.map(|body| EdgeBody::host(body, line)),
            Err(problem) => self.refuse(problem, &id, &path, line),
        };
        response = response.map(|body| body.holding(place));
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        // A client must not send its next request where the rest of this one's
        // body stands in the way. HTTP/2 has a stream for each.
        if !reusable && version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        access::head_sent(&mut response);
        response
    }

    /// Looks at the head of a request, which is all that a stranger is heard of.
    fn admit(
        &self,
        context: &RequestContext,
        parts: &http::request::Parts,
        flight: &Flight,
        address: Option<IpAddr>,
    ) -> Result<Admitted, Problem> {
        let headers = &parts.headers;
        host_header::check(parts.version, headers)?;
        let deadline = deadline(headers)?;
        let encoding = Encoding::of(headers)?;
        if flight.route.is_open() {
            return Ok(Admitted { key: None, slot: None, deadline, encoding });
        }
        if !credential::is_unambiguous(headers) {
            return Err(Problem::SeveralCredentials);
        }
        let key = context.credential().map(|given| self.callers.key(address, given));
        let key = match key {
            None | Some(Err(Refused::Rejected(_))) => None,
            Some(Err(Refused::Throttled { retry_after_seconds })) => {
                return Err(Problem::TooManyFailures { retry_after_seconds });
            }
            Some(Ok(key)) => Some(key),
        };
        if let Some(key) = &key {
            context.set_tenant(key.record.id.as_str());
        }
        let slot = key.as_ref().map(|key| self.callers.slot(key)).transpose()?;
        Ok(Admitted { key, slot, deadline, encoding })
    }

    async fn serve(
        &self,
        context: &Arc<RequestContext>,
        request: Request<Incoming>,
        flight: &Flight,
        address: Option<IpAddr>,
        reusable: &mut bool,
    ) -> Result<Served, Problem> {
        let (mut parts, body) = request.into_parts();
        let admitted = match self.admit(context, &parts, flight, address) {
            Ok(admitted) => admitted,
            Err(problem) => {
                *reusable = discard(body, &parts.headers).await;
                return Err(problem);
            }
        };
        let Admitted { key, slot, deadline, encoding } = admitted;
        let (body, bytes) = match &key {
            Some(key) => {
                let (body, held) = self
                    .bodies
                    .read(body, &mut parts.headers, encoding, key, &flight.route)
                    .await?;
                *reusable = true;
                (body, Some(held))
            }
            None => {
                *reusable = discard(body, &parts.headers).await;
                parts.headers.remove(CONTENT_LENGTH);
                parts.headers.remove(TRANSFER_ENCODING);
                (Bytes::new(), None)
            }
        };
        let attempt = match self.idempotency.begin(key.as_ref(), &parts, &body).await? {
            Begun::Plain => None,
            Begun::Fresh(attempt) => Some(attempt),
            Begun::Replay(response) => {
                context.set_key_id(&key.map(|key| key.record.id.to_string()).unwrap_or_default());
                return Ok(Served::Whole(response));
            }
        };
        flight.enter(Phase::Queued);
        let queued = Instant::now();
        let turn = if key.is_some() { self.turns.take() } else { self.open_turns.take() }.await?;
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
        let answered = match deadline {
            Some(deadline) => {
                timeout(deadline, answered).await.unwrap_or(Err(Problem::DeadlineExceeded))
            }
            None => answered.await,
        };
        drop(bytes);
        let (answered, choice) = match (answered, attempt) {
            (Ok((answered, choice)), Some(attempt)) => {
                (attempt.finish(answered, context).await?, choice)
            }
            (Err(problem), Some(attempt)) if context.wrote() => {
                attempt.interrupted(context).await;
                return Err(problem);
            }
            (answered, _) => answered?,
        };
        guard.disarm();
        if let Some((copies, copy)) = copy
            && !context.wrote()
        {
            // When copies cannot keep up some are left out; the client must not
            // wait for them.
            let _ = copies.try_send(copy);
        }
        let services = Arc::clone(&self.services);
        let caller = key.map(|key| Caller { key, services });
        Ok(match answered {
            // Turn and slot are free again: nobody works for this request.
            Answered::Whole(mut head, body) => {
                headers::own(&mut head.headers, context.quota().as_ref());
                Served::Whole(Answered::whole(head, body))
            }
            Answered::Stream(response) => Served::Handler(response, choice, (turn, slot), caller),
        })
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
    ) -> Result<(Answered, Choice), Problem> {
        let started = Instant::now();
        let answer = self.dispatch(&choice.generation, context, parts, body.clone()).await;
        let failed = match &answer {
            Ok(answered) => answered.head().0.is_server_error(),
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

    /// Runs the request; once more and by itself when its instance was lost
    /// before it answered, unless it has changed something or is to blame.
    async fn dispatch(
        &self,
        generation: &Generation,
        context: &Arc<RequestContext>,
        parts: &http::request::Parts,
        body: Bytes,
    ) -> Result<Answered, Problem> {
        let copy = || rebuild(parts, body.clone());
        let mut alone = context.is_quarantined() || self.is_solitary(parts, &body);
        let mut again = false;
        if alone {
            // Parsing takes seconds, and so does the wait for others' to end.
            self.quarantine(context, self.limits.request_timeout_ms).await?;
        }
        let give_up = Instant::now() + Duration::from_millis(self.limits.queue_timeout_ms);
        loop {
            let answer = if alone {
                generation.handle_alone(Arc::clone(context), copy()).await
            } else {
                generation.handle(Arc::clone(context), copy()).await
            };
            let answer = match answer {
                Ok(response) => self.whole_if_short(context, &parts.method, response).await,
                Err(failure) => Err(failure),
            };
            match answer {
                Ok(answered) => return Ok(answered),
                Err(HandlerFailure::Full) if Instant::now() < give_up => {
                    tokio::time::sleep(INSTANCE_RETRY).await;
                }
                Err(HandlerFailure::Full) => return Err(Problem::NoInstance),
                Err(HandlerFailure::Deadline) if context.wrote() => {
                    return Err(Problem::Interrupted);
                }
                Err(HandlerFailure::Deadline) => return Err(Problem::HandlerTimeout),
                Err(HandlerFailure::Lost) => {
                    let fate = context.fate_of_lost().await;
                    // What overran would do so again.
                    let overran = fate == Fate::Overran && (alone || context.is_to_blame());
                    if again || overran || !may_run_again(context, parts) {
                        return Err(match fate {
                            _ if context.wrote() => Problem::Interrupted,
                            Fate::Overran => Problem::HandlerTimeout,
                            Fate::Starved => Problem::NoMemory,
                            Fate::Running | Fate::Trapped => Problem::HandlerFailed,
                        });
                    }
                    self.quarantine(context, self.limits.queue_timeout_ms).await?;
                    context.set_fate(Fate::Running);
                    self.telemetry.metrics.replayed();
                    (alone, again) = (true, true);
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

    /// Waits up to `patience_ms` until the request may run apart, unless it may
    /// already.
    async fn quarantine(&self, context: &RequestContext, patience_ms: u64) -> Result<(), Problem> {
        if !context.is_quarantined() {
            let patience = Duration::from_millis(patience_ms);
            context.quarantine(self.quarantine.enter(context.tenant(), patience).await?);
        }
        Ok(())
    }

    /// Whether a request is of the kind that exhausts instances, and has one of
    /// its own: large bodies, and files that have to be parsed.
    fn is_solitary(&self, parts: &http::request::Parts, body: &Bytes) -> bool {
        let is_json = || {
            let media_type = parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
            media_type.is_none_or(|media_type| media_type.starts_with(b"application/json"))
        };
        !body.is_empty() && (body.len() >= self.solitary_body_bytes || !is_json())
    }

    async fn whole_if_short(
        &self,
        context: &RequestContext,
        method: &Method,
        response: Response<WasiBody>,
    ) -> Result<Answered, HandlerFailure> {
        let most = if context.tenant().is_empty() { MAX_WHOLE_OPEN_BYTES } else { MAX_WHOLE_BYTES };
        let wait = Duration::from_millis(self.limits.request_timeout_ms);
        let whole = timeout(wait, Answered::of(method, response, most)).await;
        whole.unwrap_or(Err(HandlerFailure::Deadline))
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

/// Whether a request whose instance was lost can run again: it has changed
/// nothing, or has a method that means the same the second time (RFC 9110 section
/// 9.2.2) and does not depend on what was there before.
fn may_run_again(context: &RequestContext, parts: &http::request::Parts) -> bool {
    let conditional = [IF_MATCH, IF_NONE_MATCH].iter().any(|name| parts.headers.contains_key(name));
    !context.wrote() || (parts.method == Method::PUT && !conditional)
}

fn rebuild(parts: &http::request::Parts, body: Bytes) -> Request<WasiBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    Request::from_parts(parts.clone(), body)
}
