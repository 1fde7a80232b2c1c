//! OpenAI's API.

pub(super) mod batches;
mod capped;
pub(super) mod chat;
mod chunks;
pub(super) mod embeddings;
pub(super) mod files;
pub(super) mod models;
mod response_events;
mod response_head;
pub(super) mod responses;
pub(super) mod store_files;
mod store_path;
pub(super) mod stores;
mod whole;

use ragtime_api::resource::openai;

use crate::bindings::search::Passage;

/// What is said when nothing was found, as clients of this API show nothing but
/// the text.
const NOTHING: &str = "The documents do not hold an answer.";

/// What the document of a passage is called in OpenAI's answers.
fn filename(passage: &Passage) -> String {
    openai::files::filename(&passage.document_id, passage.title.as_deref(), &passage.metadata)
}
