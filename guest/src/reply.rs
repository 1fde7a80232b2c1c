//! Responses.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, ETAG, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use ragtime_api::json;
use ragtime_api::problem::Problem;
use ragtime_api::rate::Quota;
use serde::Serialize;

use crate::call::Origin;

/// Compact JSON, as one piece.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    with_type(status, "application/json", Body::from(json::encode(body)))
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// A body of a media type.
pub(crate) fn with_type(status: StatusCode, media_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// Server-sent events.
pub(crate) fn events(body: Body) -> Response {
    let mut response = with_type(StatusCode::OK, "text/event-stream", body);
    let headers = response.headers_mut();
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies that buffer would hold back the tokens.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// A problem, with the headers that go with it.
pub(crate) fn problem(problem: Problem, origin: &Origin) -> Response {
    let problem = problem.told_at(&origin.path);
    let status = StatusCode::from_u16(problem.code.entry().status)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = Body::from(problem.json(&origin.path, &origin.request_id));
    let mut response = with_type(status, "application/problem+json", body);
    if let Some(seconds) = problem.retry_after {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    if let Some(challenge) = problem.challenge() {
        insert(response.headers_mut(), WWW_AUTHENTICATE, &challenge);
    }
    response
}

/// Says what is left of the caller's budget.
pub(crate) fn add_quota(headers: &mut HeaderMap, quota: &Quota) {
    insert(headers, HeaderName::from_static("ratelimit-policy"), &quota.policy_header());
    insert(headers, HeaderName::from_static("ratelimit"), &quota.state_header());
}

/// Says where what was made can be found.
pub(crate) fn add_location(response: &mut Response, path: &str) {
    insert(response.headers_mut(), LOCATION, path);
}

/// Makes a `Location` that begins at the root one that begins where clients know
/// the server.
pub(crate) fn complete_location(response: &mut Response, public_url: &str) {
    let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
    if let Some(path) = location.filter(|path| path.starts_with('/')) {
        let url = format!("{public_url}{path}");
        insert(response.headers_mut(), LOCATION, &url);
    }
}

/// Adds the entity tag of a document: its version.
pub(crate) fn add_etag(response: &mut Response, version: &str) {
    insert(response.headers_mut(), ETAG, &format!("\"{version}\""));
}

/// A value that no header may have is left out.
fn insert(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
