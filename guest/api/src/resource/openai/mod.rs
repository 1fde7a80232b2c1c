//! The bodies of OpenAI's API, as far as a server of answers needs them.

pub mod chat;
pub mod completions;
mod conversation;
pub mod embeddings;
pub mod error;
pub mod file_search;
pub mod files;
pub mod listing;
mod metadata;
pub mod models;
pub mod response;
pub mod responses;
pub mod store;
pub mod stores;
mod tokens;
mod unsupported;

pub use conversation::{Conversation, Speaker};

/// Before the collection in the name of a model.
const PREFIX: &str = "ragtime/";

/// The name of the model that answers from a collection.
pub fn model(collection: &str) -> String {
    format!("{PREFIX}{collection}")
}

/// The collection that a model answers from.
pub fn collection(model: &str) -> Option<&str> {
    model.strip_prefix(PREFIX).filter(|name| super::rules::collection(name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_a_collection_and_nothing_else() {
        assert_eq!(collection(&model("papers")), Some("papers"));
        for name in ["papers", "ragtime/", "ragtime/A", "ragtime/a/b", "gpt-4o"] {
            assert_eq!(collection(name), None, "{name}");
        }
    }
}
