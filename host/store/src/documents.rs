//! Documents and collections in the database.

mod collections;
mod prepare;
mod read;
mod write;

use std::ops::Range;

pub(crate) use collections::{
    collection, collection_key, collection_keys, collections, create_collection, delete_collection,
    exists,
};
pub(crate) use prepare::{Prepared, indexed_text, prepare};
pub(crate) use read::{
    between, bytes, chunks, cut, document, documents, last_key, matching, number_of, passages,
    quotes, summaries,
};
pub(crate) use write::{
    add_chunks, delete, delete_version, has_chunks, last_chunk_ever, put, remove_chunks,
};

pub(crate) fn slice<'a>(text: &'a str, span: &Range<u64>) -> Option<&'a str> {
    text.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)
}

fn headings_to_json(headings: &[String]) -> String {
    serde_json::Value::from(headings).to_string()
}

/// The inverse; what is stored was written by [`headings_to_json`].
pub(crate) fn headings_from_json(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}
