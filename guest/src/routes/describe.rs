//! `GET /openapi.json`

use std::cell::OnceCell;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use ragtime_api::openapi;

use crate::bindings::generation;
use crate::call::Origin;
use crate::reply;

/// The document as the API's own description has it: `guest/openapi.json`. Making
/// it takes 33 ms in a new instance, in which nobody else is served.
const WRITTEN: &str = include_str!(concat!(env!("OUT_DIR"), "/openapi.json"));

thread_local! {
    /// Made once for each instance of the component.
    static DOCUMENT: OnceCell<Bytes> = const { OnceCell::new() };
}

/// `GET /openapi.json`
pub(super) fn document(request: &Request) -> Response {
    let make = || Bytes::from(openapi::with_generators(WRITTEN, &generation::generators()));
    let mut document = DOCUMENT.with(|document| document.get_or_init(make).clone());
    if let Some(url) = Origin::of(request).public_url {
        document = openapi::at(&document, &url).into();
    }
    reply::with_type(StatusCode::OK, "application/json", Body::from(document))
}
