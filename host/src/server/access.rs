//! One line in the log for each request.

use std::time::Instant;

use http::header::CONTENT_LENGTH;
use http::{Method, Request, Response, StatusCode};
use http_body::Body;

use super::body::EdgeBody;
use crate::runtime::request::RequestContext;

/// What is known of a request so far. Written when dropped, so that there is
/// exactly one line however the request ends.
pub struct Line {
    method: Method,
    path: String,
    request_id: String,
    started: Instant,
    status: StatusCode,
    generation: Option<u64>,
    key_id: Option<String>,
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
    pub fn new<B>(request: &Request<B>, request_id: String, started: Instant) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            request_id,
            started,
            status: StatusCode::INTERNAL_SERVER_ERROR,
            generation: None,
            key_id: None,
            problem: None,
            bytes: 0,
            length: None,
            outcome: Outcome::ClientGone,
        }
    }

    /// Adds who answered, and for whom.
    pub fn with_handler(mut self, generation: u64, context: &RequestContext) -> Self {
        self.generation = Some(generation);
        self.with_context(context)
    }

    /// Adds whose request it was, as far as known.
    pub fn with_context(mut self, context: &RequestContext) -> Self {
        self.key_id = context.key_id().map(str::to_owned);
        self
    }

    /// Adds why the host answered in the handler's place.
    pub fn with_problem(mut self, code: &'static str) -> Self {
        self.problem = Some(code);
        self
    }

    /// Notes the head that goes out.
    fn set_head(&mut self, status: StatusCode, length: Option<u64>) {
        self.status = status;
        self.length = length;
        // These have no body (RFC 9110 sections 15.3.5 and 15.4.5), so nobody
        // asks for one.
        let bodiless = [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        if bodiless || length == Some(0) || self.method == Method::HEAD {
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
        tracing::info!(
            target: "ragtime::access",
            method = %self.method,
            path = self.path,
            status = self.status.as_u16(),
            bytes = self.bytes,
            ms = self.started.elapsed().as_micros() as f64 / 1000.0,
            request_id = self.request_id,
            key = self.key_id,
            generation = self.generation,
            problem = self.problem,
            outcome = ?self.outcome,
            "request"
        );
    }
}

/// Notes the head of a response that is about to be sent.
pub fn head_sent(response: &mut Response<EdgeBody>) {
    let status = response.status();
    let length =
        response.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length = length.or_else(|| response.body().size_hint().exact());
    response.body_mut().line_mut().set_head(status, length);
}
