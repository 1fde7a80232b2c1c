//! The operator's API and console, on a listener of their own: what the handler must
//! not have a say in.
//!
//! A console shows documents and keys too, which are the public API's. So requests for
//! that come here with a key of scope `admin` go on to the public listener's side, in
//! this process: there they meet all that they would have met had they come in there.

mod body;
mod console;
mod events;
mod fleet;
mod guest;
mod observe;
mod problem;
mod pulse;
mod settings;
mod usage;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use ragtime_policy::scope::Scope;
use serde_json::Value;
use tokio::time::timeout;

use crate::config;
use crate::keyring::Key;
use crate::server::clients::Clients;
use crate::server::ingress::Ingress;
use crate::server::{Respond, credential};
use crate::services::Services;
use crate::swap::Swaps;
use body::AdminBody;
use problem::AdminProblem;
use pulse::Pulse;
use settings::Shown;

/// Size of a request's body where it is no component.
const MAX_JSON_BYTES: usize = 1024 * 1024;

/// How long a body may take to arrive: the largest component at about 1 MB/s.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// Answers the operator.
pub struct Admin {
    swaps: Arc<Swaps>,
    services: Arc<Services>,
    clients: Arc<Clients>,
    ingress: Arc<Ingress>,
    pulse: Arc<Pulse>,
    shown: Shown,
    settings: config::Admin,
}

type Answered = Result<Response<AdminBody>, AdminProblem>;

impl Admin {
    /// The operator's listener of a server that has `public` as its own.
    pub fn new(
        swaps: Arc<Swaps>,
        services: Arc<Services>,
        clients: Arc<Clients>,
        ingress: Arc<Ingress>,
        settings: &config::Settings,
    ) -> Self {
        let pulse = Pulse::new(Arc::clone(&services), Arc::clone(&swaps), &settings.admin);
        let shown = Shown::new(settings);
        Self { swaps, services, clients, ingress, pulse, shown, settings: settings.admin.clone() }
    }

    /// What looks at the server for the console. Somebody has to run it.
    pub fn pulse(&self) -> Arc<Pulse> {
        Arc::clone(&self.pulse)
    }

    async fn route(&self, request: Request<Incoming>) -> Answered {
        if let Some(page) = console_page(&request) {
            return Ok(page);
        }
        let path = request.uri().path().to_owned();
        // Metrics show nothing of documents, and are wanted most when the database is away.
        if path != "/metrics" {
            self.services.store.fence().await.map_err(AdminProblem::not_current)?;
        }
        let key = self.key(&request)?;
        let actor = key.record.id.to_string();
        let segments: Vec<_> = path.split('/').skip(1).collect();
        let method = request.method().clone();
        match (&method, segments.as_slice()) {
            (&Method::GET, ["admin", "guest"]) => self.list(),
            (&Method::POST, ["admin", "guest"]) => self.swap(request, actor).await,
            (&Method::POST, ["admin", "guest", "rollback"]) => self.rollback(request, actor).await,
            (&Method::GET, ["admin", "guest", "history"]) => self.history(request.uri()),
            (&Method::POST, ["admin", "guest", id, "decision"]) => self.decide(id, request).await,
            (_, ["admin", "guest", id, "request", ..]) => self.forward(id, request).await,
            (&Method::GET, ["metrics"]) => self.metrics().await,
            (&Method::GET, ["admin", "requests"]) => self.requests(),
            (&Method::GET, ["admin", "samples"]) => self.samples(),
            (&Method::GET, ["admin", "events"]) => self.events(key),
            (&Method::GET, ["admin", "settings"]) => self.settings(),
            (&Method::GET, ["admin", "fleet"]) => self.fleet().await,
            (&Method::GET, ["admin", "keys"]) => self.keys().await,
            (&Method::GET, ["admin", "audit"]) => self.audit(request.uri()).await,
            (
                _,
                ["admin", "guest"]
                | ["admin", "guest", "rollback" | "history"]
                | ["metrics"]
                | [
                    "admin",
                    "requests" | "audit" | "samples" | "events" | "settings" | "keys" | "fleet",
                ],
            ) => Err(AdminProblem::method_not_allowed()),
            _ => Err(AdminProblem::not_found()),
        }
    }

    /// Whose request it is. Every call needs a key with the scope `admin`.
    fn key(&self, request: &Request<Incoming>) -> Result<Arc<Key>, AdminProblem> {
        if !credential::is_unambiguous(request.headers()) {
            return Err(AdminProblem::conflicting());
        }
        let credential = credential::find(request.headers());
        let credential = credential.ok_or_else(AdminProblem::unauthenticated)?;
        let address = self.clients.address(request.extensions().get(), request.headers());
        let key = self.clients.key(address, &credential).map_err(AdminProblem::refused)?;
        if !key.record.allows(Scope::Admin) {
            return Err(AdminProblem::forbidden());
        }
        Ok(key)
    }
}

impl Respond for Admin {
    type Body = AdminBody;

    /// The events of a swap go on for as long as the swap.
    const ENDS: bool = false;

    async fn answer(&self, request: Request<Incoming>) -> Response<AdminBody> {
        let id = uuid::Uuid::now_v7().to_string();
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let address = self.clients.address(request.extensions().get(), request.headers());
        let answered = match self.clients.enter(address) {
            Some(place) if is_public(&path) => match self.key(&request) {
                Ok(_) => {
                    // The public side takes a place of its own.
                    drop(place);
                    return self.ingress.answer(request).await.map(AdminBody::relayed);
                }
                Err(problem) => Err(problem),
            },
            Some(place) => {
                self.route(request).await.map(|response| response.map(|body| body.holding(place)))
            }
            None => Err(AdminProblem::too_many()),
        };
        let mut response = answered.unwrap_or_else(|problem| problem.response(&id, &path));
        if let Ok(id) = HeaderValue::from_str(&id) {
            response.headers_mut().insert("x-request-id", id);
        }
        let status = response.status().as_u16();
        let path = credential::redacted(&path);
        tracing::info!(target: "ragtime::admin", %method, %path, status, request_id = id, "request");
        response
    }
}

/// The whole body, up to `limit` bytes.
async fn whole(body: Incoming, limit: usize) -> Result<Bytes, AdminProblem> {
    match timeout(BODY_TIMEOUT, Limited::new(body, limit).collect()).await {
        Err(_) => Err(AdminProblem::late()),
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
            Err(AdminProblem::too_large(limit))
        }
        Ok(Err(_)) => Err(AdminProblem::broken()),
    }
}

fn json(status: StatusCode, body: &Value) -> Response<AdminBody> {
    let mut response = Response::new(AdminBody::whole(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Whether a path is the public API's, as far as the console uses it: documents, keys
/// and jobs, what is ready, and what codes mean.
fn is_public(path: &str) -> bool {
    const ROOMS: [&str; 3] = ["/v1/", "/problems/", "/warnings/"];
    path == "/readyz" || ROOMS.iter().any(|room| path.starts_with(room))
}

/// A page or file of the console, which needs no key.
fn console_page(request: &Request<Incoming>) -> Option<Response<AdminBody>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    reads.then(|| console::answer(request.uri().path())).flatten()
}

/// A response of server-sent events.
fn event_stream(events: impl Stream<Item = Bytes> + Send + 'static) -> Response<AdminBody> {
    let mut response = Response::new(AdminBody::stream(events));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A server-sent event with JSON as its data, which has no line breaks.
fn event(name: &str, data: &str) -> Bytes {
    Bytes::from(format!("event: {name}\ndata: {data}\n\n"))
}
