//! `/v1/vector_stores`: what is answered.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::resource::rules;

/// Before the name of the collection in the id of a vector store.
const PREFIX: &str = "vs_";

/// The id of the vector store that a collection is.
pub fn id(collection: &str) -> String {
    format!("{PREFIX}{collection}")
}

/// The collection that a vector store is. A collection's own name will do.
pub fn collection(id: &str) -> Option<&str> {
    Some(id.strip_prefix(PREFIX).unwrap_or(id))
        .filter(|name| rules::collection(name).is_ok() && *name != super::files::COLLECTION)
}

/// A vector store.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VectorStore")]
pub struct Store {
    /// `vs_{collection}`
    pub id: String,
    /// Always `vector_store`.
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created_at: u64,
    /// For people.
    pub name: String,
    /// Bytes of the texts of its files.
    pub usage_bytes: u64,
    /// Its files.
    pub file_counts: Counts,
    /// `completed`, or `in_progress` while a batch of files is on its way.
    pub status: &'static str,
    /// Always null.
    pub expires_after: Option<()>,
    /// Always null.
    pub expires_at: Option<()>,
    /// Seconds since the Unix epoch.
    pub last_active_at: u64,
    /// As it was sent.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metadata: Box<RawValue>,
}

/// Files by what has become of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "FileCounts")]
pub struct Counts {
    /// On disk, and not found yet.
    pub in_progress: u64,
    /// Found.
    pub completed: u64,
    /// Not taken.
    pub failed: u64,
    /// Taken out.
    pub cancelled: u64,
    /// All.
    pub total: u64,
}

/// A file in a store.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VectorStoreFile")]
pub struct StoreFile {
    /// The document's id.
    pub id: String,
    /// Always `vector_store.file`.
    pub object: &'static str,
    /// Bytes of the text.
    pub usage_bytes: u64,
    /// Seconds since the Unix epoch.
    pub created_at: u64,
    /// The store.
    pub vector_store_id: String,
    /// `completed`, or `in_progress` until search finds it; of a batch also
    /// `failed` and `cancelled`.
    pub status: &'static str,
    /// Why a file of a batch could not be taken.
    pub last_error: Option<FileError>,
    /// How long chunks are.
    pub chunking_strategy: Chunking,
    /// What filters compare.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub attributes: Box<RawValue>,
}

/// Why a file could not be taken.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "VectorStoreFileError")]
pub struct FileError {
    /// Always `invalid_file`.
    pub code: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// How long chunks are.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ChunkingStrategy")]
pub struct Chunking {
    /// Always `static`.
    pub r#type: &'static str,
    /// The lengths.
    pub r#static: Lengths,
}

/// Lengths in tokens of the embedding model.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ChunkLengths")]
pub struct Lengths {
    /// What a chunk aims at.
    pub max_chunk_size_tokens: u32,
    /// The most that it repeats of the one before.
    pub chunk_overlap_tokens: u32,
}

/// A batch of files on its way into the index: a job.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FileBatch")]
pub struct FileBatch {
    /// `vsfb_{job}`
    pub id: String,
    /// Always `vector_store.file_batch`.
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created_at: u64,
    /// The store.
    pub vector_store_id: String,
    /// `in_progress`, `completed` or `cancelled`.
    pub status: &'static str,
    /// Its files.
    pub file_counts: Counts,
}

/// What a search found.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VectorStoreResults")]
pub struct Results<'a> {
    /// Always `vector_store.search_results.page`.
    pub object: &'static str,
    /// What was searched for.
    pub search_query: [&'a str; 1],
    /// Best first.
    pub data: Vec<Found<'a>>,
    /// Always false.
    pub has_more: bool,
    /// Always null.
    pub next_page: Option<()>,
}

/// A passage.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "VectorStoreResult")]
pub struct Found<'a> {
    /// The document's id.
    pub file_id: &'a str,
    /// The document's name.
    pub filename: String,
    /// How well it fits: 0 to 1, and without an embedding model by BM25, unbounded.
    pub score: f64,
    /// What filters compare.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub attributes: Box<RawValue>,
    /// The passage.
    pub content: [Content<'a>; 1],
}

/// A text.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TextContent")]
pub struct Content<'a> {
    /// Always `text`.
    pub r#type: &'static str,
    /// The text.
    pub text: &'a str,
}

/// The text of a file.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "FileContent")]
pub struct ContentPage<'a> {
    /// Always `vector_store.file_content.page`.
    pub object: &'static str,
    /// The whole text.
    pub data: [Content<'a>; 1],
    /// Always false.
    pub has_more: bool,
    /// Always null.
    pub next_page: Option<()>,
}
