//! What is recorded of each request: a line in the access log, its metrics, its span.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use serde_json::json;

use crate::server::credential;
use crate::telemetry::trace::{self, Span, TraceContext};
use crate::telemetry::{self, InFlightRequest, Phase, Telemetry};

/// What is known of a request so far. It is written when it is dropped, so that there
/// is exactly one line, one observation and one span however the request ends.
pub struct AccessLogGuard {
    telemetry: Arc<Telemetry>,
    request: Arc<InFlightRequest>,
    /// Where it stands among the requests at work.
    place: u64,
    trace: TraceContext,
    path: String,
    status: StatusCode,
    problem: Option<&'static str>,
    bytes: u64,
    /// What `Content-Length` promised, if anything.
    length: Option<u64>,
    outcome: Outcome,
}

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The client went away first.
    ClientGone,
    /// All of it was sent.
    Complete,
    /// The response broke off, and the client can see that.
    Broken,
}

impl AccessLogGuard {
    /// The guard of a request that has just come in. The query string stays out:
    /// it may carry what a user typed.
    pub fn new(
        telemetry: &Arc<Telemetry>,
        request: InFlightRequest,
        path: String,
        trace: TraceContext,
    ) -> Self {
        let request = Arc::new(request);
        telemetry.metrics.request_started();
        Self {
            place: telemetry.requests.begin(Arc::clone(&request)),
            telemetry: Arc::clone(telemetry),
            request,
            trace,
            path,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            problem: None,
            bytes: 0,
            length: None,
            outcome: Outcome::ClientGone,
        }
    }

    /// The request at work.
    pub fn request(&self) -> Arc<InFlightRequest> {
        Arc::clone(&self.request)
    }

    /// Adds why the host answered in the handler's place.
    pub fn with_problem(mut self, code: &'static str) -> Self {
        self.telemetry.metrics.problem(code);
        self.problem = Some(code);
        self
    }

    /// Notes the head that goes out.
    pub fn set_head(&mut self, status: StatusCode, length: Option<u64>) {
        self.request.enter(Phase::Sending);
        self.status = status;
        self.length = length;
        // These have no body (RFC 9110 sections 15.3.5 and 15.4.5), so nobody
        // asks for one.
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        if bodiless || length == Some(0) || self.request.method == Method::HEAD {
            self.outcome = Outcome::Complete;
        }
    }

    /// Counts bytes of the body. The server does not ask for more once it has
    /// all that was promised.
    pub fn add_bytes(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if self.length == Some(self.bytes) {
            self.outcome = Outcome::Complete;
        }
    }

    /// Notes how the response ended.
    pub fn set_outcome(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for AccessLogGuard {
    fn drop(&mut self) {
        let (request, took) = (&self.request, self.request.started.elapsed());
        let status = self.status.as_u16();
        tracing::info!(
            target: "ragtime::access",
            method = %request.method,
            path = %credential::redacted(&self.path),
            status,
            bytes = self.bytes,
            ms = took.as_micros() as f64 / 1000.0,
            request_id = request.id,
            trace_id = self.trace.trace_id(),
            key = request.key_id(),
            generation = request.generation(),
            problem = self.problem,
            outcome = ?self.outcome,
            "request"
        );
        self.telemetry.metrics.request_ended(&request.method, request.route.clone(), status, took);
        self.telemetry.export(&self.trace, || self.span(took));
        self.telemetry.requests.end(self.place, status, took, self.problem);
    }
}

impl AccessLogGuard {
    fn span(&self, took: Duration) -> Span {
        let request = &self.request;
        let (method, route) = (request.method.as_str(), request.route.as_str());
        let mut attributes = vec![
            ("http.request.method", json!(method)),
            ("http.route", json!(route)),
            ("http.response.status_code", json!(self.status.as_u16())),
            ("http.response.body.size", json!(self.bytes)),
            ("ragtime.request_id", json!(request.id)),
        ];
        attributes.extend(request.key_id().map(|id| ("ragtime.key_id", json!(id))));
        attributes.extend(request.generation().map(|id| ("ragtime.generation", json!(id))));
        attributes.extend(self.problem.map(|code| ("error.type", json!(code))));
        Span {
            context: self.trace,
            name: format!("{method} {route}"),
            kind: trace::SpanKind::Server,
            started: telemetry::start_of(took),
            ended: SystemTime::now(),
            attributes,
            failed: self.status.is_server_error() || self.outcome == Outcome::Broken,
        }
    }
}
