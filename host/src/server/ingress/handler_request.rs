//! A request as the handler gets it.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderValue, Request};
use http_body_util::{BodyExt, Full};
use wasmtime_wasi_http::WasiBody;

use super::REQUEST_ID;
use super::public_url::PublicUrl;
use crate::runtime::request::{RequestContext, ensure_authority};
use crate::server::credential;
use crate::telemetry::trace::TRACEPARENT;

/// A request that is ready for a handler, and can be handed over more than once.
pub struct HandlerRequest {
    parts: Parts,
    body: Bytes,
}

impl HandlerRequest {
    /// Takes the credential out of the head, and adds what the host says: the id of the
    /// request, its trace and the URL by which clients know the server.
    pub fn new(
        mut parts: Parts,
        body: Bytes,
        context: &RequestContext,
        id: HeaderValue,
        url: &PublicUrl,
    ) -> Self {
        credential::replace(&mut parts.headers, context.reference());
        ensure_authority(&mut parts);
        url.set_header(&mut parts.headers);
        parts.headers.insert(TRACEPARENT, context.trace.traceparent());
        parts.headers.insert(REQUEST_ID, id);
        Self { parts, body }
    }

    /// Its head.
    pub fn parts(&self) -> &Parts {
        &self.parts
    }

    /// A copy for one run of a handler.
    pub fn copy(&self) -> Request<WasiBody> {
        let body = Full::new(self.body.clone()).map_err(|never| match never {}).boxed_unsync();
        Request::from_parts(self.parts.clone(), body)
    }

    /// Whether the request is of the kind that exhausts instances, and has one of its
    /// own: its body has `heavy_bytes` or more, or is a file that has to be parsed.
    pub fn is_heavy(&self, heavy_bytes: usize) -> bool {
        !self.body.is_empty() && (self.body.len() >= heavy_bytes || !self.is_json())
    }

    fn is_json(&self) -> bool {
        let media_type = self.parts.headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
        media_type.is_none_or(|media_type| media_type.starts_with(b"application/json"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::runtime::request::Purpose;
    use crate::telemetry::trace::TraceContext;

    fn of(body: &'static str, headers: &[(&str, &str)]) -> HandlerRequest {
        let request = headers
            .iter()
            .fold(Request::post("/v1/x").header("host", "a.example"), |request, (name, value)| {
                request.header(*name, *value)
            });
        let parts = request.body(()).unwrap().into_parts().0;
        let credential = credential::find(&parts.headers);
        let trace = TraceContext::of(&parts.headers, 0.0);
        let context = RequestContext::new("r".into(), Purpose::Client, credential, trace);
        let id = HeaderValue::from_static("r");
        HandlerRequest::new(parts, body.into(), &context, id, &PublicUrl::new(None))
    }

    #[test]
    fn the_handler_gets_a_reference_an_id_and_a_trace() {
        let sent = [
            ("authorization", "Bearer rt_secret"),
            ("x-request-id", "the client's"),
            ("ragtime-public-url", "https://evil.example"),
            ("cookie", "c=1"),
        ];
        let copy = of("{}", &sent).copy();
        let header = |name: &str| copy.headers().get(name).map(|value| value.to_str().unwrap());
        assert!(header("authorization").unwrap().starts_with("Bearer ref_"));
        assert_eq!(header("x-request-id"), Some("r"));
        assert!(header("traceparent").is_some());
        assert_eq!((header("ragtime-public-url"), header("cookie")), (None, None));
        assert_eq!(copy.uri().authority().unwrap(), "a.example");
    }

    #[test]
    fn large_bodies_and_files_have_an_instance_of_their_own() {
        let json = [("content-type", "application/json; charset=utf-8")];
        assert!(!of("{\"a\": 1}", &json).is_heavy(100));
        assert!(of("{\"a\": 1}", &json).is_heavy(8));
        assert!(!of("no type", &[]).is_heavy(100));
        assert!(of("%PDF", &[("content-type", "application/pdf")]).is_heavy(100));
        assert!(!of("", &[("content-type", "application/pdf")]).is_heavy(0));
    }
}
