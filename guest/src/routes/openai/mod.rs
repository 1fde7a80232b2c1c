//! OpenAI's API.

pub(super) mod batches;
mod capped;
pub(super) mod chat;
mod chunks;
pub(super) mod embeddings;
pub(super) mod files;
pub(super) mod models;
mod response_events;
pub(super) mod responses;
pub(super) mod store_files;
pub(super) mod stores;
mod whole;
