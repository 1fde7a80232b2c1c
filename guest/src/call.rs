//! One request that was admitted.

use std::borrow::Cow;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequestParts, RawPathParams, Request};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use ragtime_api::body::{BodyType, decode};
use ragtime_api::json::Fault;
use ragtime_api::precondition::Tags;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::routes::Cost;
use ragtime_api::{limits, parameters};

use crate::bindings::admission::Permit;
use crate::bindings::principals::Principal;
use crate::bindings::store::{Condition, Versions};
use crate::{gate, request_id};

/// What a problem says of the request that it answers.
#[derive(Clone)]
pub(crate) struct Origin {
    /// The path as it was sent.
    pub(crate) path: String,
    /// The id of this request.
    pub(crate) request_id: String,
    /// The URL by which clients know the server, if the host says it.
    pub(crate) public_url: Option<String>,
}

/// Carries the URL by which clients know the server. The Ragtime host sets it
/// and drops what a client sends.
const PUBLIC_URL: HeaderName = HeaderName::from_static("ragtime-public-url");

impl Origin {
    /// Of a request.
    pub(crate) fn of(request: &Request) -> Self {
        let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
        let id = header(request_id::HEADER);
        Self {
            path: request.uri().path().to_owned(),
            request_id: id.unwrap_or_default().to_owned(),
            public_url: header(PUBLIC_URL).map(str::to_owned),
        }
    }
}

/// A request with the leave to serve it.
pub(crate) struct Call {
    /// The leave.
    pub(crate) permit: Permit,
    principal: Principal,
    /// What the route costs.
    cost: Cost,
    /// Units that were paid for the leave.
    paid: u32,
    origin: Origin,
    parts: Parts,
    body: Body,
}

impl Call {
    /// Joins a request and its leave.
    pub(crate) fn new(principal: Principal, permit: Permit, cost: Cost, request: Request) -> Self {
        let origin = Origin::of(&request);
        let (parts, body) = request.into_parts();
        Self { permit, principal, cost, paid: cost.least(), origin, parts, body }
    }

    /// Pays for the work that a body of so many bytes, or texts of so many tokens,
    /// makes, whichever the route costs by. A body that costs more than a full budget
    /// takes all of it, or its key could not send it at all; texts can be sent in parts.
    pub(crate) async fn pay(&mut self, amount: usize) -> Result<(), Problem> {
        let (total, most) = (self.cost.of(amount), self.permit.quota().limit);
        if matches!(self.cost, Cost::ByTokens(_)) && total > most {
            let detail = format!("The texts cost {total} units, and the key's burst is {most}.");
            return Err(Problem::new(Code::InvalidRequest, detail));
        }
        let total = total.min(most);
        if total > self.paid {
            let admitted = gate::admit(&self.principal, total).await;
            (self.permit, _) = admitted.map_err(|refused| refused.problem)?;
            self.paid = total;
        }
        Ok(())
    }

    /// The path parameter `collection`, checked.
    pub(crate) async fn collection(&mut self) -> Result<String, Problem> {
        let name = path_parameter(&mut self.parts, "collection").await?;
        parameters::collection(&name)?;
        Ok(name)
    }

    /// The path parameter `id` of a document, checked.
    pub(crate) async fn document_id(&mut self) -> Result<String, Problem> {
        let id = self.id().await?;
        parameters::document_id(&id)?;
        Ok(id)
    }

    /// The path parameter `id`.
    pub(crate) async fn id(&mut self) -> Result<String, Problem> {
        path_parameter(&mut self.parts, "id").await
    }

    /// A parameter of the path.
    pub(crate) async fn named(&mut self, name: &str) -> Result<String, Problem> {
        path_parameter(&mut self.parts, name).await
    }

    /// The query string.
    pub(crate) fn query(&self) -> &str {
        self.parts.uri.query().unwrap_or_default()
    }

    /// A header's value.
    pub(crate) fn header(&self, name: HeaderName) -> Option<&[u8]> {
        self.parts.headers.get(name).map(HeaderValue::as_bytes)
    }

    /// What the request's `If-Match` and `If-None-Match` ask of a write.
    pub(crate) fn condition(&self) -> Result<Condition, Problem> {
        let versions = |named: Option<Vec<String>>| match named {
            None => Versions::Any,
            Some(these) => Versions::These(these),
        };
        Ok(Condition {
            must_be: self.tags(IF_MATCH)?.map(|tags| versions(tags.strong())),
            must_not_be: self.tags(IF_NONE_MATCH)?.map(|tags| versions(tags.all())),
        })
    }

    /// The versions that a header names.
    pub(crate) fn tags(&self, name: HeaderName) -> Result<Option<Tags>, Problem> {
        Tags::read(self.parts.headers.get_all(name).iter().map(HeaderValue::as_bytes))
    }

    /// The body of a request that must be JSON.
    pub(crate) async fn json_body(&mut self) -> Result<Bytes, Problem> {
        BodyType::require_json(self.header(CONTENT_TYPE))?;
        self.read_body().await
    }

    /// The same, of a request that may have none.
    pub(crate) async fn optional_json_body(&mut self) -> Result<Bytes, Problem> {
        let claimed = BodyType::require_json(self.header(CONTENT_TYPE));
        let body = self.read_body().await?;
        if !body.is_empty() {
            claimed?;
        }
        Ok(body)
    }

    /// The body, and what it claims to be.
    pub(crate) async fn body(&mut self) -> Result<(BodyType, Bytes), Problem> {
        let body_type = BodyType::of(self.header(CONTENT_TYPE))?;
        Ok((body_type, self.read_body().await?))
    }

    /// What goes on after the request has been read.
    pub(crate) fn into_leave(self) -> (Permit, Origin) {
        (self.permit, self.origin)
    }

    async fn read_body(&mut self) -> Result<Bytes, Problem> {
        let body = std::mem::take(&mut self.body);
        read_body(&self.parts.headers, body, limits::MAX_BODY_BYTES).await
    }
}

/// A body of at most so many bytes.
pub(crate) async fn read_body(
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let announced =
        headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|bytes| bytes > limit) {
        return Err(Code::BodyTooLarge.into());
    }
    let body = match Limited::new(body, limit).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Code::BodyTooLarge.into()),
        Err(_) => return Err(Code::BodyBroken.into()),
    };
    let encoding = headers.get(CONTENT_ENCODING).map(HeaderValue::as_bytes);
    match decode(encoding, &body, limit)? {
        Cow::Borrowed(_) => Ok(body),
        Cow::Owned(decoded) => Ok(decoded.into()),
    }
}

/// A parameter of the path, decoded.
pub(crate) async fn path_parameter(parts: &mut Parts, name: &str) -> Result<String, Problem> {
    let invalid =
        |_| Problem::invalid(vec![Fault::parameter("path", "must be percent-encoded UTF-8")]);
    let parameters = RawPathParams::from_request_parts(parts, &()).await.map_err(invalid)?;
    let value =
        parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_owned());
    value.ok_or_else(|| Code::NotFound.into())
}
