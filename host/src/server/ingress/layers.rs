//! The layers around the pipeline, which know nothing of requests but HTTP:
//! cross-origin rules and compression.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::ORIGIN;
use http::{HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Incoming;
use tower::{Layer, Service, ServiceExt};
use tower_http::CompressionLevel;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::compression::{Compression, CompressionBody, CompressionLayer};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};

use super::REQUEST_ID;
use super::pipeline::Pipeline;
use super::response_body::ResponseBody;
use crate::server::Respond;

/// Below it compression gains less than its headers cost.
const MIN_COMPRESSED_BYTES: u16 = 1_024;

/// How long a browser may remember what is allowed.
const PREFLIGHT_SECONDS: u64 = 600;

/// Headers of responses that a page may read.
const EXPOSED: [&str; 8] = [
    "etag",
    "location",
    "retry-after",
    "ratelimit",
    "ratelimit-policy",
    "x-request-id",
    "www-authenticate",
    "idempotency-replayed",
];

type Compressible = SizeAboveAndNoStream;

type Plain = Compression<PipelineService, Compressible>;

/// The ingress: the pipeline in its layers, behind the listener for clients.
pub struct Ingress {
    plain: Plain,
    /// For requests of pages, when some may call.
    crossing: Option<Cors<Plain>>,
}

impl Ingress {
    /// Lets pages of `origins` in; `*` lets all of them in.
    pub fn new(pipeline: Pipeline, origins: &[String]) -> Self {
        // Fast rather than small: an answer must not wait for its compression.
        let compression = CompressionLayer::new()
            .quality(CompressionLevel::Fastest)
            .compress_when(SizeAboveAndNoStream);
        let plain = compression
            .layer(PipelineService { pipeline: Arc::new(pipeline), origins: origins.into() });
        let crossing = (!origins.is_empty()).then(|| cors(origins).layer(plain.clone()));
        Self { plain, crossing }
    }
}

impl Respond for Ingress {
    type Body = CompressionBody<ResponseBody>;

    const ENDS: bool = true;

    async fn answer(&self, request: Request<Incoming>) -> Response<Self::Body> {
        // The layer takes every OPTIONS for a preflight.
        let of_a_page = request.headers().contains_key(ORIGIN);
        let answered = match self.crossing.as_ref().filter(|_| of_a_page) {
            Some(crossing) => crossing.clone().oneshot(request).await,
            None => self.plain.clone().oneshot(request).await,
        };
        let mut response = match answered {
            Ok(response) => response,
            Err(never) => match never {},
        };
        if !response.headers().contains_key(REQUEST_ID) {
            // A preflight, which is answered by the layer alone.
            let id = uuid::Uuid::now_v7().to_string();
            response
                .headers_mut()
                .extend(HeaderValue::from_str(&id).ok().map(|id| (REQUEST_ID, id)));
        }
        response
    }
}

fn cors(origins: &[String]) -> CorsLayer {
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => {
            AllowOrigin::list(origins.iter().filter_map(|one| HeaderValue::from_str(one).ok()))
        }
    };
    // Keys travel in headers and never in cookies, so no credentials mode.
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
        .allow_headers(tower_http::cors::AllowHeaders::mirror_request())
        .expose_headers(EXPOSED.map(HeaderName::from_static))
        .max_age(Duration::from_secs(PREFLIGHT_SECONDS))
}

/// Whole responses of some size. An event must not wait in a compressor.
#[derive(Debug, Clone, Copy)]
struct SizeAboveAndNoStream;

impl Predicate for SizeAboveAndNoStream {
    fn should_compress<B: http_body::Body>(&self, response: &Response<B>) -> bool {
        SizeAbove::new(MIN_COMPRESSED_BYTES).should_compress(response)
            && NotForContentType::SSE.should_compress(response)
    }
}

/// The pipeline as a `tower` service.
#[derive(Clone)]
struct PipelineService {
    pipeline: Arc<Pipeline>,
    origins: Arc<[String]>,
}

impl PipelineService {
    /// Whether pages of this origin may call.
    fn lets_in(&self, origin: &HeaderValue) -> bool {
        self.origins.iter().any(|one| one == "*" || one.as_bytes() == origin.as_bytes())
    }
}

impl Service<Request<Incoming>> for PipelineService {
    type Response = Response<ResponseBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        // The operator has decided; a handler that knows no such list must not
        // take the page for one that has no business here.
        if request.headers().get(ORIGIN).is_some_and(|origin| self.lets_in(origin)) {
            request.headers_mut().remove(ORIGIN);
        }
        let pipeline = Arc::clone(&self.pipeline);
        Box::pin(async move { Ok(pipeline.answer(request).await) })
    }
}
