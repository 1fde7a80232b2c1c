//! The web pages: a playground at `/` and the API at `/docs`. All of it is part
//! of the component, and nothing comes from elsewhere.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use ragtime_api::problem::{Code, Problem};

use crate::reply;

/// Scripts and styles are files of this server, and a page talks to it alone.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// `GET /`
pub(crate) fn playground() -> Response {
    page(HTML, include_str!("playground.html"))
}

/// `GET /docs`
pub(crate) fn docs() -> Response {
    page(HTML, include_str!("docs.html"))
}

/// `GET /assets/{name}`
pub(crate) fn asset(name: &str) -> Result<Response, Problem> {
    match name {
        "style.css" => Ok(page("text/css; charset=utf-8", include_str!("style.css"))),
        "common.js" => Ok(page(SCRIPT, include_str!("common.js"))),
        "playground.js" => Ok(page(SCRIPT, include_str!("playground.js"))),
        "snippets.js" => Ok(page(SCRIPT, include_str!("snippets.js"))),
        "docs.js" => Ok(page(SCRIPT, include_str!("docs.js"))),
        _ => Err(Code::NotFound.into()),
    }
}

fn page(media_type: &'static str, text: &'static str) -> Response {
    let mut response = reply::with_type(StatusCode::OK, media_type, Body::from(text));
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        // A swap of the handler may change it at any time.
        (CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}
