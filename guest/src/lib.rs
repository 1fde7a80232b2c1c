//! The default handler: an axum application in a component. It reaches
//! documents, models and the caller's identity through the host alone; what it
//! does with them is in the pure crate `ragtime-api`.
#![cfg(target_arch = "wasm32")]

mod app;
mod bindings;
mod call;
mod failure;
mod gate;
mod multipart;
mod pages;
mod reply;
mod request_id;
mod routes;
mod scopes;

use axum::body::Body;
use wasip3::http::types::{ErrorCode, Request, Response};
use wasip3::http_compat::{http_from_wasi_request, http_into_wasi_response};

struct Handler;

wasip3::http::service::export!(Handler);

impl wasip3::exports::http::handler::Guest for Handler {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let request = http_from_wasi_request(request)?.map(Body::new);
        http_into_wasi_response(app::serve(request).await)
    }
}
