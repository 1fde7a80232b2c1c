//! `POST /mcp`

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};
use ragtime_api::body::BodyType;
use ragtime_api::mcp::{self, Headers, Message, RpcError, Version, tools};
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::documents::Document;
use ragtime_api::variety::Variety;
use ragtime_api::{json, limits, parameters};
use serde_json::Value;

use super::query::{self, Question};
use super::{Answer, documents, search};
use crate::bindings::admission::Permit;
use crate::call::{Origin, read_body};
use crate::reply;

/// A message that was read, but not served yet: its cost stands in its body.
pub(crate) struct Asked {
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    /// Reads a request.
    pub(crate) async fn read(request: Request) -> Result<Self, Problem> {
        let origin = Origin::of(&request);
        parameters::none(request.uri().query().unwrap_or_default())?;
        let authority = request.uri().authority().map(ToString::to_string);
        let (parts, body) = request.into_parts();
        let host = header(&parts.headers, HOST.as_str()).map(str::to_owned).or(authority);
        if !mcp::same_origin(header(&parts.headers, ORIGIN.as_str()), host.as_deref()) {
            return Err(Code::OriginForbidden.into());
        }
        BodyType::require_json(parts.headers.get(CONTENT_TYPE).map(http::HeaderValue::as_bytes))?;
        let body = read_body(&parts.headers, body, limits::MAX_MCP_BYTES).await?;
        Ok(Self { origin, headers: parts.headers, body })
    }

    /// Units of the key's budget: `least`, or what the tool costs.
    pub(crate) fn cost(&self, least: u32) -> u32 {
        match Message::read(&self.body) {
            Ok(Message::Request(request)) => tools::cost(&request).max(least),
            _ => least,
        }
    }

    /// Serves it.
    pub(crate) async fn answer(self, permit: Permit) -> Answer {
        let spoken = Headers {
            version: header(&self.headers, "mcp-protocol-version"),
            method: header(&self.headers, "mcp-method"),
            name: header(&self.headers, "mcp-name"),
        };
        let version = match spoken.version() {
            Ok(version) => version,
            Err(error) => return Ok(refuse(&error, &Value::Null, Version::Initialized)),
        };
        let mut request = match Message::read(&self.body) {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notice) => return Ok(reply::empty(StatusCode::ACCEPTED)),
            Err(error) => return Ok(refuse(&error, &Value::Null, version)),
        };
        let id = request.id.clone();
        let checked = match version {
            Version::SelfContained => spoken.check(&request),
            Version::Initialized => Ok(()),
        };
        let result = match checked.and_then(|()| mcp::offer(&request, version)) {
            Ok(Some(result)) => result,
            Ok(None) => match tools::read(&mut request) {
                Ok(called) => self.call(permit, called, version).await,
                Err(error) => return Ok(refuse(&error, &id, version)),
            },
            Err(error) => return Ok(refuse(&error, &id, version)),
        };
        Ok(reply::json(StatusCode::OK, &mcp::answer(&id, &result)))
    }

    async fn call(
        &self,
        permit: Permit,
        called: Result<tools::Call, Problem>,
        version: Version,
    ) -> Value {
        let output = match called {
            Ok(called) => run(permit, self.origin.clone(), called).await,
            Err(problem) => Err(problem),
        };
        let output =
            output.map_err(|problem| problem.json(&self.origin.path, &self.origin.request_id));
        tools::result(output.as_deref().map_err(String::as_str), version)
    }
}

/// What a tool answers, as JSON.
async fn run(permit: Permit, origin: Origin, called: tools::Call) -> Result<String, Problem> {
    let started = Instant::now();
    match called {
        tools::Call::Search { collection, request } => {
            search::answer(&permit, collection, request, started).await
        }
        tools::Call::Answer { collection, question, top_k, filter } => {
            let asked = Question {
                collection,
                search: question.clone(),
                question,
                earlier: String::new(),
                top_k,
                filter,
                generator: None,
                variety: Variety::default(),
            };
            query::answer(&query::prepare(permit, origin, asked, started).await?).await
        }
        tools::Call::GetDocument { collection, id } => {
            let (document, details) = documents::described(&permit, collection, id).await?;
            let summary = documents::summary(&document.summary, &details);
            Ok(json::encode(&Document { summary, text: &document.text }))
        }
    }
}

fn refuse(error: &RpcError, id: &Value, version: Version) -> axum::response::Response {
    let status = StatusCode::from_u16(error.kind.status(version));
    let body = Body::from(json::encode(&error.json(id)));
    reply::with_type(status.unwrap_or(StatusCode::BAD_REQUEST), "application/json", body)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
