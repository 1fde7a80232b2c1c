//! What is told of each request: a line in the log, its metrics, its span.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::CONTENT_LENGTH;
use http::{Method, Response, StatusCode};
use http_body::Body;
use serde_json::json;

use super::body::EdgeBody;
use super::credential;
use crate::telemetry::trace::{self, Span, TraceContext};
use crate::telemetry::{self, Ended, Flight, Phase, Telemetry};

/// What is known of a request so far. Written when dropped, so that there is
/// exactly one line, one observation and one span however the request ends.
pub struct Line {
    telemetry: Arc<Telemetry>,
    flight: Arc<Flight>,
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
    /// It broke off, and the client can tell.
    Broken,
}

impl Line {
    /// A line for a request that has just come in. The query string stays out:
    /// it may carry what a user typed.
    pub fn new(
        telemetry: &Arc<Telemetry>,
        flight: Flight,
        path: String,
        trace: TraceContext,
    ) -> Self {
        let flight = Arc::new(flight);
        telemetry.metrics.request_started();
        Self {
            place: telemetry.requests.begin(Arc::clone(&flight)),
            telemetry: Arc::clone(telemetry),
            flight,
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
    pub fn flight(&self) -> Arc<Flight> {
        Arc::clone(&self.flight)
    }

    /// Adds why the host answered in the handler's place.
    pub fn with_problem(mut self, code: &'static str) -> Self {
        self.telemetry.metrics.problem(code);
        self.problem = Some(code);
        self
    }

    /// Notes the head that goes out.
    fn set_head(&mut self, status: StatusCode, length: Option<u64>) {
        self.flight.enter(Phase::Sending);
        self.status = status;
        self.length = length;
        // These have no body (RFC 9110 sections 15.3.5 and 15.4.5), so nobody
        // asks for one.
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        if bodiless || length == Some(0) || self.flight.method == Method::HEAD {
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

impl Drop for Line {
    fn drop(&mut self) {
        let (flight, took) = (&self.flight, self.flight.started.elapsed());
        let status = self.status.as_u16();
        let trace_id = self.trace.trace_id();
        tracing::info!(
            target: "ragtime::access",
            method = %flight.method,
            path = %credential::redacted(&self.path),
            status,
            bytes = self.bytes,
            ms = took.as_micros() as f64 / 1000.0,
            request_id = flight.id,
            trace_id,
            key = flight.key_id(),
            generation = flight.generation(),
            problem = self.problem,
            outcome = ?self.outcome,
            "request"
        );
        self.telemetry.metrics.request_ended(&flight.method, flight.route.clone(), status, took);
        self.telemetry.export(&self.trace, || self.span(took));
        self.telemetry.requests.end(self.place, self.ended(took));
    }
}

impl Line {
    fn span(&self, took: Duration) -> Span {
        let flight = &self.flight;
        let (method, route) = (flight.method.as_str(), flight.route.as_str());
        let mut attributes = vec![
            ("http.request.method", json!(method)),
            ("http.route", json!(route)),
            ("http.response.status_code", json!(self.status.as_u16())),
            ("http.response.body.size", json!(self.bytes)),
            ("ragtime.request_id", json!(flight.id)),
        ];
        attributes.extend(flight.key_id().map(|id| ("ragtime.key_id", json!(id))));
        attributes.extend(flight.generation().map(|id| ("ragtime.generation", json!(id))));
        attributes.extend(self.problem.map(|code| ("error.type", json!(code))));
        Span {
            context: self.trace,
            name: format!("{method} {route}"),
            kind: trace::Kind::Server,
            started: telemetry::start_of(took),
            ended: SystemTime::now(),
            attributes,
            failed: self.status.is_server_error() || self.outcome == Outcome::Broken,
        }
    }

    fn ended(&self, took: Duration) -> Ended {
        Ended {
            id: self.flight.id.clone(),
            method: self.flight.method.clone(),
            route: self.flight.route.clone(),
            status: self.status.as_u16(),
            ms: took.as_micros() as f64 / 1000.0,
            generation: self.flight.generation(),
            key_id: self.flight.key_id().map(str::to_owned),
            problem: self.problem,
        }
    }
}

/// Notes the head of a response that is about to be sent.
pub fn head_sent(response: &mut Response<EdgeBody>) {
    let status = response.status();
    let length =
        response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.or_else(|| response.body().size_hint().exact());
    if let Some(line) = response.body_mut().line_mut() {
        line.set_head(status, length);
    }
}
