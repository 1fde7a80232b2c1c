//! What the host does with a client's request before and after the handler.
//!
//! A request takes these steps, in this order. Each is a function of [`pipeline`] or a
//! file of its own, and most can end the request with a problem, which becomes a response
//! in one place (`Pipeline::respond`).
//!
//! | step | file |
//! |---|---|
//! | cross-origin rules, compression | `layers.rs` |
//! | request id, trace, access log | `pipeline.rs`, `access_log.rs` |
//! | limit of the client's address | `clients.rs` of the folder above |
//! | head: `Host`, deadline, encoding | `head.rs`, `host_header.rs`, `content_encoding.rs` |
//! | key, slot of the key | `clients.rs` and `credential.rs` of the folder above |
//! | body, within its limits | `body_reader.rs`, `byte_budget.rs` |
//! | idempotency record | `idempotency.rs` |
//! | slot of the server, or the queue for one | `admission_queue.rs` |
//! | route: the generation that it stays on | `pipeline.rs` |
//! | the request as the handler gets it | `handler_request.rs`, `public_url.rs` |
//! | dispatch: on trial, quarantined, once more | `dispatch.rs`, `quarantine.rs` |
//! | what becomes of one without a response | `rescue.rs`, `problem.rs` |
//! | the response | `handler_response.rs`, `response_headers.rs`, `response_body.rs` |

mod access_log;
mod admission_queue;
mod body_reader;
mod byte_budget;
mod content_encoding;
mod dispatch;
mod handler_request;
mod handler_response;
mod head;
mod host_header;
mod idempotency;
mod layers;
mod pipeline;
pub(super) mod problem;
mod public_url;
mod quarantine;
mod rescue;
mod response_body;
mod response_headers;

use http::HeaderName;

pub use layers::Ingress;
pub use pipeline::Pipeline;

/// The header that carries a request's id, in and out.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
