//! OpenAI's API.

pub(super) mod chat;
mod chunks;
pub(super) mod embeddings;
pub(super) mod models;
