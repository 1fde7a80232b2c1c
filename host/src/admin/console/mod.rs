//! The operator's console: files of this binary, which anybody may read. What they
//! show takes a key, which the page keeps in the memory of its tab.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, LOCATION, REFERRER_POLICY,
};
use http::{HeaderValue, Response, StatusCode};

use super::body::AdminBody;

/// Scripts and styles are files of this listener, and the page talks to it alone.
/// No page may frame it, so no click on it is another page's.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// Devices that the page never asks for.
const PERMISSIONS: &str = "camera=(), geolocation=(), microphone=(), payment=(), usb=()";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the console by its name below `/console/`; the empty name is the page.
fn find(name: &str) -> Option<(&'static str, &'static str)> {
    Some(match name {
        "" => (HTML, include_str!("index.html")),
        "console.css" => (STYLE, include_str!("console.css")),
        "app.js" => (SCRIPT, include_str!("app.js")),
        "charts.js" => (SCRIPT, include_str!("charts.js")),
        "document.js" => (SCRIPT, include_str!("document.js")),
        "documents.js" => (SCRIPT, include_str!("documents.js")),
        "dom.js" => (SCRIPT, include_str!("dom.js")),
        "fleet.js" => (SCRIPT, include_str!("fleet.js")),
        "handler.js" => (SCRIPT, include_str!("handler.js")),
        "jobs.js" => (SCRIPT, include_str!("jobs.js")),
        "keys.js" => (SCRIPT, include_str!("keys.js")),
        "overview.js" => (SCRIPT, include_str!("overview.js")),
        "requests.js" => (SCRIPT, include_str!("requests.js")),
        "session.js" => (SCRIPT, include_str!("session.js")),
        "settings.js" => (SCRIPT, include_str!("settings.js")),
        "upload.js" => (SCRIPT, include_str!("upload.js")),
        _ => return None,
    })
}

/// The console's answer to a path, if the path is one of the console's.
pub fn answer(path: &str) -> Option<Response<AdminBody>> {
    match path {
        // Relative, so that a proxy may put the listener below a path of its own.
        "/" => Some(to("console/")),
        "/console" => Some(to("console/")),
        path => find(path.strip_prefix("/console/")?).map(file),
    }
}

fn to(place: &'static str) -> Response<AdminBody> {
    let mut response = Response::new(AdminBody::whole(Bytes::new()));
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    response.headers_mut().insert(LOCATION, HeaderValue::from_static(place));
    response
}

fn file((media_type, text): (&'static str, &'static str)) -> Response<AdminBody> {
    let mut response = Response::new(AdminBody::whole(text));
    for (name, value) in [
        (CONTENT_TYPE, media_type),
        (CONTENT_SECURITY_POLICY, POLICY),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("permissions-policy"), PERMISSIONS),
        // The next version of the binary may have another.
        (CACHE_CONTROL, "no-cache"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
