//! `GET /openapi.json`

use std::cell::OnceCell;

use axum::body::{Body, Bytes};
use axum::response::Response;
use http::StatusCode;
use ragtime_api::{json, openapi};

use crate::bindings::generation;
use crate::reply;

thread_local! {
    /// Made once for each instance of the component.
    static DOCUMENT: OnceCell<Bytes> = const { OnceCell::new() };
}

/// `GET /openapi.json`
pub(super) fn document() -> Response {
    let make = || Bytes::from(json::encode(&openapi::document(&generation::generators())));
    let document = DOCUMENT.with(|document| document.get_or_init(make).clone());
    reply::with_type(StatusCode::OK, "application/json", Body::from(document))
}
