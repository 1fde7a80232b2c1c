//! OpenAI's API.

mod capped;
pub(super) mod chat;
mod chunks;
pub(super) mod embeddings;
pub(super) mod models;
mod response_events;
pub(super) mod responses;
mod whole;
