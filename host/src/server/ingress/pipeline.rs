//! The steps of a request, in the order in which it takes them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderValue, Request, Response, Version};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use tokio::time::timeout;

use super::REQUEST_ID;
use super::access_log::AccessLogGuard;
use super::admission_queue::{self, AdmissionQueue};
use super::body_reader::{BodyReader, discard};
use super::byte_budget::HeldBytes;
use super::dispatch::Dispatcher;
use super::handler_request::HandlerRequest;
use super::handler_response::HandlerResponse;
use super::head::Head;
use super::idempotency::{Idempotency, Lookup, PendingRecord};
use super::problem::Problem;
use super::public_url::PublicUrl;
use super::response_body::{self, KeyWatch, ResponseBody, ResponseGuard, Slots};
use super::response_headers;
use crate::config;
use crate::keyring::{self, Key};
use crate::runtime::request::{Purpose, RequestContext};
use crate::runtime::routing::{Choice, Mirrored, Routing};
use crate::server::clients::{Clients, Refused};
use crate::server::credential;
use crate::server::places::Place;
use crate::services::Services;
use crate::telemetry::{InFlightRequest, Phase};

/// What all requests share.
pub struct Pipeline {
    routing: Arc<Routing>,
    services: Arc<Services>,
    clients: Arc<Clients>,
    bodies: BodyReader,
    idempotency: Arc<Idempotency>,
    /// For requests with a valid key.
    keyed_queue: AdmissionQueue,
    /// For requests without a valid key, and for open routes.
    open_queue: AdmissionQueue,
    dispatcher: Dispatcher,
    public_url: PublicUrl,
    stream_timeout: Duration,
}

/// A request that has begun.
struct Arrival {
    id: HeaderValue,
    path: String,
    version: Version,
    address: Option<IpAddr>,
    request: Arc<InFlightRequest>,
    context: Arc<RequestContext>,
    /// Whether the connection can carry another request after this one: nothing of its
    /// body stands in the way.
    reusable: bool,
}

/// A request whose head breaks no rule.
struct Admitted {
    head: Head,
    /// None without a valid key, and where none is needed.
    key: Option<Arc<Key>>,
    key_slot: Option<keyring::Slot>,
}

/// What the client gets when it is no problem.
enum Reply {
    /// All of it is there: the handler is done, or has not been asked.
    Whole(Response<Full<Bytes>>),
    /// The handler is still at it.
    Stream(Response<wasmtime_wasi_http::WasiBody>, Choice, Slots, Option<KeyWatch>),
}

impl Pipeline {
    /// Serves what `routing` says within the limits of the settings.
    pub fn new(
        routing: Arc<Routing>,
        services: &Arc<Services>,
        clients: Arc<Clients>,
        settings: &config::Settings,
    ) -> Self {
        let limits = &settings.server;
        let telemetry = Arc::clone(&services.telemetry);
        Self {
            dispatcher: Dispatcher::new(Arc::clone(&routing), telemetry, settings),
            routing,
            services: Arc::clone(services),
            clients,
            bodies: BodyReader::new(limits),
            idempotency: Idempotency::new(Arc::clone(services), limits),
            keyed_queue: AdmissionQueue::new(limits.max_requests, limits),
            open_queue: AdmissionQueue::new(limits.max_open_requests, limits),
            public_url: PublicUrl::new(limits.public_url.as_ref()),
            stream_timeout: Duration::from_millis(limits.stream_timeout_ms),
        }
    }

    /// Answers one request.
    pub async fn answer(&self, request: Request<Incoming>) -> Response<ResponseBody> {
        let (mut arrival, access) = self.begin(&request);
        let (place, reply) = match self.clients.enter(arrival.address) {
            Some(place) => (place, self.serve(&mut arrival, request).await),
            None => (None, Err(Problem::TooManyOfAddress)),
        };
        self.respond(arrival, access, place, reply)
    }

    /// The steps behind the limit of an address.
    async fn serve(
        &self,
        arrival: &mut Arrival,
        request: Request<Incoming>,
    ) -> Result<Reply, Problem> {
        let (mut parts, body) = request.into_parts();
        let current = self.fence(arrival).await;
        let admitted = match current.and_then(|()| self.admit(arrival, &parts)) {
            Ok(admitted) => admitted,
            Err(problem) => {
                arrival.reusable = discard(body, &parts.headers).await;
                return Err(problem);
            }
        };
        let (body, held) = self.read_body(arrival, &admitted, &mut parts, body).await?;
        let Admitted { head, key, key_slot } = admitted;
        let record = match self.idempotency.begin(key.as_ref(), &parts, &body).await? {
            Lookup::NotApplicable => None,
            Lookup::First(record) => Some(record),
            Lookup::Recorded(response) => {
                arrival.context.set_key_id(arrival.context.tenant());
                return Ok(Reply::Whole(response));
            }
        };
        let slot = self.wait_for_slot(arrival, key.is_some()).await?;
        let choice = self.route(arrival);
        let copy = copy_for_shadow(&choice, &parts, &body);
        let context = &arrival.context;
        // Cancels the work behind the request when the client goes and this future is
        // dropped.
        let cancel = context.cancelled.clone().drop_guard();
        let id = arrival.id.clone();
        let request = HandlerRequest::new(parts, body, context, id, &self.public_url);
        let dispatched = self.dispatcher.dispatch(choice, context, &request);
        let dispatched = within(head.deadline, context, dispatched).await;
        drop((request, held));
        let (response, choice) = recorded(record, dispatched, context).await?;
        cancel.disarm();
        if let Some(copy) = copy.filter(|_| !context.wrote()) {
            copy.send();
        }
        let services = Arc::clone(&self.services);
        let key = key.map(|key| KeyWatch { key, services });
        Ok(reply(response, choice, (slot, key_slot), key, context))
    }

    /// Request id, trace and access log: from here on the request has a line in the log,
    /// however it ends.
    fn begin(&self, request: &Request<Incoming>) -> (Arrival, AccessLogGuard) {
        let telemetry = &self.services.telemetry;
        let (id, id_header) = request_id();
        let path = request.uri().path().to_owned();
        let trace = telemetry.begin_trace(request.headers());
        let route = self.routing.active().route(&path);
        let in_flight =
            InFlightRequest::new(id.clone(), request.method().clone(), route, Instant::now());
        let access = AccessLogGuard::new(telemetry, in_flight, path.clone(), trace);
        let credential = credential::find(request.headers());
        let arrival = Arrival {
            id: id_header,
            path,
            version: request.version(),
            address: self.clients.address(request.extensions().get(), request.headers()),
            request: access.request(),
            context: RequestContext::new(id, Purpose::Client, credential, trace),
            reusable: request.body().is_end_stream(),
        };
        (arrival, access)
    }

    /// Waits until this host has what any host of its fleet has acknowledged before, which
    /// may be another handler. It
    /// comes before the key is looked up, which another host may have revoked.
    async fn fence(&self, arrival: &Arrival) -> Result<(), Problem> {
        match arrival.request.route.is_open() {
            true => Ok(()),
            false => {
                self.services.store.fence().await?;
                match self.services.lacks_handler() {
                    true => Err(Problem::HandlerNotHere),
                    false => Ok(()),
                }
            }
        }
    }

    /// Head, key and slot of the key: all that a stranger is heard of. A request that
    /// would wait in vain for a slot of the server ends here.
    fn admit(&self, arrival: &Arrival, parts: &Parts) -> Result<Admitted, Problem> {
        let head = Head::check(parts)?;
        let key = match arrival.request.route.is_open() {
            true => None,
            false => self.key(arrival, parts)?,
        };
        self.queue(key.is_some()).check()?;
        let key_slot = key.as_ref().map(|key| self.key_slot(key)).transpose()?;
        Ok(Admitted { head, key, key_slot })
    }

    /// The key behind the credential, if it is valid. The handler answers requests
    /// without one, as it knows what is missing.
    fn key(&self, arrival: &Arrival, parts: &Parts) -> Result<Option<Arc<Key>>, Problem> {
        if !credential::is_unambiguous(&parts.headers) {
            return Err(Problem::SeveralCredentials);
        }
        let Some(given) = arrival.context.credential() else { return Ok(None) };
        match self.clients.key(arrival.address, given) {
            Ok(key) => {
                arrival.context.set_tenant(key.record.id.as_str());
                Ok(Some(key))
            }
            Err(Refused::Rejected(_)) => Ok(None),
            Err(Refused::Throttled { retry_after_seconds }) => {
                Err(Problem::TooManyFailures { retry_after_seconds })
            }
        }
    }

    /// Leave to be one of the key's requests at work.
    fn key_slot(&self, key: &Arc<Key>) -> Result<keyring::Slot, Problem> {
        key.enter(self.services.max_concurrent).ok_or(Problem::TooManyAtOnce)
    }

    /// The body of a request with a key. Of any other request none is kept.
    async fn read_body(
        &self,
        arrival: &mut Arrival,
        admitted: &Admitted,
        parts: &mut Parts,
        body: Incoming,
    ) -> Result<(Bytes, Option<HeldBytes>), Problem> {
        let headers = &mut parts.headers;
        let Some(key) = &admitted.key else {
            arrival.reusable = discard(body, headers).await;
            headers.remove(CONTENT_LENGTH);
            headers.remove(TRANSFER_ENCODING);
            return Ok((Bytes::new(), None));
        };
        let (encoding, route) = (admitted.head.encoding, &arrival.request.route);
        let (body, held) = self.bodies.read(body, headers, encoding, key, route).await?;
        arrival.reusable = true;
        Ok((body, Some(held)))
    }

    /// The queue for requests with a valid key, or the one for all others.
    fn queue(&self, has_key: bool) -> &AdmissionQueue {
        if has_key { &self.keyed_queue } else { &self.open_queue }
    }

    /// Leave to be one of the server's requests at work.
    async fn wait_for_slot(
        &self,
        arrival: &Arrival,
        has_key: bool,
    ) -> Result<admission_queue::Slot, Problem> {
        arrival.request.enter(Phase::Queued);
        let queued = Instant::now();
        let slot = self.queue(has_key).enter().await?;
        self.services.telemetry.metrics.queued(queued.elapsed());
        Ok(slot)
    }

    /// The generation that the request stays on.
    fn route(&self, arrival: &Arrival) -> Choice {
        arrival.request.enter(Phase::Handling);
        let choice = self.routing.choose();
        arrival.request.set_generation(choice.generation.id);
        choice
    }

    /// The response, from a reply or a problem. Nothing fails behind this.
    fn respond(
        &self,
        arrival: Arrival,
        access: AccessLogGuard,
        place: Option<Place<IpAddr>>,
        reply: Result<Reply, Problem>,
    ) -> Response<ResponseBody> {
        let Arrival { id, path, context, .. } = arrival;
        arrival.request.set_key_id(context.key_id());
        let response = match reply {
            Ok(Reply::Whole(response)) => response.map(|body| ResponseBody::host(body, access)),
            Ok(Reply::Stream(response, choice, slots, key)) => {
                let head = response.headers();
                let guard = ResponseGuard::new(
                    context,
                    choice,
                    slots,
                    key,
                    self.stream_timeout,
                    head,
                    &path,
                );
                response.map(|body| ResponseBody::handler(body, guard, access))
            }
            Err(problem) => {
                let access = access.with_problem(problem.code());
                problem.response(&context.id, &path).map(|body| ResponseBody::host(body, access))
            }
        };
        let mut response = response.map(|body| body.holding(place));
        response.headers_mut().insert(REQUEST_ID, id);
        // A client must not send its next request where the rest of this one's
        // body stands in the way. HTTP/2 has a stream for each.
        if !arrival.reusable && arrival.version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response_body::head_sent(&mut response);
        response
    }
}

/// A new id for a request, as text and as a header.
fn request_id() -> (String, HeaderValue) {
    let id = uuid::Uuid::now_v7().to_string();
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static(""));
    (id, header)
}

/// Waits for a handler as long as the client does. A handler that has changed something
/// by then was cut off, and nobody knows how far it came.
async fn within<T>(
    deadline: Option<Duration>,
    context: &RequestContext,
    dispatched: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let Some(deadline) = deadline else { return dispatched.await };
    if let Some(at) = Instant::now().checked_add(deadline) {
        context.set_client_deadline(at);
    }
    match timeout(deadline, dispatched).await {
        Ok(dispatched) => dispatched,
        Err(_) if context.wrote() => Err(Problem::Interrupted),
        Err(_) => Err(Problem::DeadlineExceeded),
    }
}

/// Completes the idempotency record of a request that has one.
async fn recorded(
    record: Option<PendingRecord>,
    dispatched: Result<(HandlerResponse, Choice), Problem>,
    context: &RequestContext,
) -> Result<(HandlerResponse, Choice), Problem> {
    match (dispatched, record) {
        (Ok((response, choice)), Some(record)) => {
            Ok((record.finish(response, context).await?, choice))
        }
        (Err(problem), Some(record)) if context.wrote() => {
            record.interrupted(context).await;
            Err(problem)
        }
        (dispatched, _) => dispatched,
    }
}

/// A copy of a request for the shadow on trial.
struct ShadowCopy {
    copies: tokio::sync::mpsc::Sender<Mirrored>,
    request: Mirrored,
}

/// The copy of a request that is in the share of a shadow.
fn copy_for_shadow(choice: &Choice, parts: &Parts, body: &Bytes) -> Option<ShadowCopy> {
    let copies = choice.copies()?.clone();
    Some(ShadowCopy { copies, request: Mirrored { parts: parts.clone(), body: body.clone() } })
}

impl ShadowCopy {
    /// Sends it. When copies cannot keep up some are left out; the client must not wait
    /// for them.
    fn send(self) {
        let _ = self.copies.try_send(self.request);
    }
}

/// What the client gets of a handler's response. The slots of one that is whole are
/// free again: nobody works for it.
fn reply(
    response: HandlerResponse,
    choice: Choice,
    slots: Slots,
    key: Option<KeyWatch>,
    context: &RequestContext,
) -> Reply {
    let quota = context.quota();
    match response {
        HandlerResponse::Whole(mut head, body) => {
            response_headers::own(&mut head.headers, quota.as_ref());
            Reply::Whole(Response::from_parts(head, Full::new(body)))
        }
        HandlerResponse::Stream(mut response) => {
            response_headers::own(response.headers_mut(), quota.as_ref());
            Reply::Stream(response, choice, slots, key)
        }
    }
}
