//! `POST /mcp`

use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, StatusCode};
use ragtime_api::body::BodyType;
use ragtime_api::diversity::Diversity;
use ragtime_api::mcp::resources::{self, Place};
use ragtime_api::mcp::{
    self, ErrorKind, Headers, Message, Request, RpcError, Sent, Step, Version, tools,
};
use ragtime_api::problem::{Code, Problem};
use ragtime_api::rate::Quota;
use ragtime_api::resource::documents::Document;
use ragtime_api::resource::openai::files;
use ragtime_api::{json, limits, parameters};
use serde_json::{Value, json};

use super::query::{self, Question};
use super::{RouteResult, documents, search};
use crate::bindings::admission::Permit;
use crate::bindings::principals::Principal;
use crate::bindings::store;
use crate::call::{Origin, read_body};
use crate::gate::{self, Refused};
use crate::reply;

/// A message that was read, but not served yet: its cost stands in its body.
pub(crate) struct Asked {
    origin: Origin,
    headers: HeaderMap,
    body: Bytes,
}

impl Asked {
    /// Reads a request.
    pub(crate) async fn read(request: axum::extract::Request) -> Result<Self, Problem> {
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

    /// Serves it for a caller who has the budget: `least` units a message, or
    /// what its tool costs.
    pub(crate) async fn serve(
        self,
        principal: &Principal,
        least: u32,
    ) -> Result<(RouteResult, Quota), Refused> {
        let spoken = self.spoken();
        let version = match spoken.version() {
            Ok(version) => version,
            Err(error) => {
                let (_, quota) = gate::admit(principal, least).await?;
                return Ok((Ok(refuse(&error, &Value::Null, Version::March2025)), quota));
            }
        };
        let sent = Sent::read(&self.body, version);
        let (mut answers, mut quota) = (Vec::new(), None);
        // All of a batch is paid for before any of it is done.
        let mut paid = Vec::with_capacity(sent.messages.len());
        for message in sent.messages {
            let cost = match &message {
                Ok(Message::Request(request)) => tools::cost(request).max(least),
                _ => least,
            };
            let (permit, left) = gate::admit(principal, cost).await?;
            quota = Some(left);
            paid.push((message, permit));
        }
        for (message, permit) in paid {
            answers.extend(self.answer(message, permit, version).await);
        }
        let quota = quota.ok_or(Code::Internal)?;
        Ok((Ok(reply_with(answers, sent.batch, version)), quota))
    }

    fn spoken(&self) -> Headers<'_> {
        Headers {
            version: header(&self.headers, "mcp-protocol-version"),
            method: header(&self.headers, "mcp-method"),
            name: header(&self.headers, "mcp-name"),
        }
    }

    /// The answer to a message, if it wants one.
    async fn answer(
        &self,
        message: Result<Message<'_>, RpcError>,
        permit: Permit,
        version: Version,
    ) -> Option<(Value, Result<Value, RpcError>)> {
        let mut request = match message {
            Ok(Message::Request(request)) => request,
            Ok(Message::Notice) => return None,
            Err(error) => return Some((Value::Null, Err(error))),
        };
        let id = request.id.clone();
        Some((id, self.result(&mut request, permit, version).await))
    }

    async fn result(
        &self,
        request: &mut Request<'_>,
        permit: Permit,
        version: Version,
    ) -> Result<Value, RpcError> {
        if !version.is_initialized() {
            self.spoken().check(request)?;
        }
        match mcp::step(request, version)? {
            Step::Offer(offered) => Ok(offered),
            Step::Call => Ok(self.call(permit, tools::read(request)?, version).await),
            Step::ListResources => list(&permit, request, version).await,
            Step::ReadResource => read(&permit, request, version).await,
        }
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

/// `resources/list`: the documents of one collection after another, a page of
/// one of them at a time.
async fn list(permit: &Permit, request: &Request<'_>, version: Version) -> Result<Value, RpcError> {
    let failed = |error: store::Error| resources::error(&error.into(), version);
    let place = Place::of(request)?;
    let names = store::collections(permit).await.map_err(failed)?.into_iter();
    let mut names = names
        .map(|collection| collection.name)
        // Files as they came are no texts.
        .filter(|name| name != files::COLLECTION)
        .skip_while(|name| place.collection.as_ref().is_some_and(|begun| name < begun));
    let Some(collection) = names.next() else {
        return Ok(mcp::kept(json!({"resources": []}), version, 0));
    };
    let cursor = place.cursor.filter(|_| place.collection.as_ref() == Some(&collection));
    let page = store::Page { cursor, limit: limits::DEFAULT_PAGE_ITEMS };
    let (documents, next) =
        store::list_documents(permit, collection.clone(), page).await.map_err(failed)?;
    let next = match next {
        Some(cursor) => Some(Place { collection: Some(collection.clone()), cursor: Some(cursor) }),
        None => names.next().map(|name| Place { collection: Some(name), cursor: None }),
    };
    let listed: Vec<_> = documents
        .iter()
        .map(|one| resources::listed(&collection, &one.id, one.title.as_deref(), one.bytes))
        .collect();
    let mut result = json!({"resources": listed});
    if let (Some(next), Some(members)) = (next, result.as_object_mut()) {
        members.insert("nextCursor".into(), next.encode().into());
    }
    Ok(mcp::kept(result, version, 0))
}

/// `resources/read`
async fn read(permit: &Permit, request: &Request<'_>, version: Version) -> Result<Value, RpcError> {
    let uri = request
        .text("uri")
        .ok_or_else(|| RpcError::new(ErrorKind::InvalidParams, "`uri` must be a string"))?;
    let failed = |problem: &Problem| resources::error(problem, version);
    let (collection, id) =
        resources::parse(uri).ok_or_else(|| failed(&Code::UnknownDocument.into()))?;
    let document = store::get_document(permit, collection, id).await;
    let document = document.map_err(|error| failed(&error.into()))?;
    Ok(resources::read(uri, &document.text, version))
}

/// The answers to what one body asked.
fn reply_with(
    answers: Vec<(Value, Result<Value, RpcError>)>,
    batch: bool,
    version: Version,
) -> Response {
    if batch && !answers.is_empty() {
        let answers: Vec<_> = answers
            .into_iter()
            .map(|(id, result)| match result {
                Ok(result) => mcp::answer(&id, &result),
                Err(error) => error.json(&id),
            })
            .collect();
        return reply::json(StatusCode::OK, &answers);
    }
    match answers.into_iter().next() {
        Some((id, Ok(result))) => reply::json(StatusCode::OK, &mcp::answer(&id, &result)),
        Some((id, Err(error))) => refuse(&error, &id, version),
        None => reply::empty(StatusCode::ACCEPTED),
    }
}

/// What a tool answers, as JSON.
async fn run(permit: Permit, origin: Origin, called: tools::Call) -> Result<String, Problem> {
    let started = Instant::now();
    match called {
        tools::Call::Search { collection, request } => {
            search::answer(&permit, collection, request, started).await
        }
        tools::Call::Answer { collection, question, top_k, filter, rerank } => {
            let asked = Question {
                collection,
                search: question.clone(),
                question,
                earlier: Vec::new(),
                top_k,
                filter,
                generator: None,
                diversity: Diversity::default(),
                rerank,
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

fn refuse(error: &RpcError, id: &Value, version: Version) -> Response {
    let status = StatusCode::from_u16(error.kind.status(version));
    let body = Body::from(json::encode(&error.json(id)));
    reply::with_type(status.unwrap_or(StatusCode::BAD_REQUEST), "application/json", body)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}
