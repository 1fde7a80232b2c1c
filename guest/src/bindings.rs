//! What the host offers, generated from the contract in `wit/`.

#![allow(unsafe_code, missing_docs, unreachable_pub, clippy::all, reason = "generated code")]

wit_bindgen::generate!({
    path: "../wit",
    world: "ragtime:handler/capabilities",
    generate_all,
});

pub(crate) use ragtime::auth::principals;
pub(crate) use ragtime::documents::{details, listing, store};
pub(crate) use ragtime::health::readiness;
pub(crate) use ragtime::keys::keyring;
pub(crate) use ragtime::logging::log;
pub(crate) use ragtime::models0_1_0::{assessment, generation, rewriting};
pub(crate) use ragtime::models0_2_0::{collections as models, embedding, reranking};
pub(crate) use ragtime::rate_limit::admission;
pub(crate) use ragtime::retrieval::search;
