//! What goes into the store and what comes out. The shapes are those of
//! `wit/`; see there for each field.

#![allow(missing_docs, reason = "the contract in wit/ documents each field")]

mod deployment;
mod error;

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use ragtime_policy::chunking::{Chunking, ChunkingSpec};

pub use deployment::{Deployment, RolloutBegun, RolloutOrder, UnderWay};
pub use error::{Error, OpenError};
pub use ragtime_policy::bounds::Bounds;
pub use ragtime_policy::details::{Details, JobWarning, JobWarnings, Prompt, Warning};

pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Turns texts into vectors. Blocking.
pub trait Embed: Send + Sync {
    /// Length of a vector.
    fn dimensions(&self) -> usize;
    /// Names the model; vectors of another model are replaced.
    fn name(&self) -> &str;
    /// Whether texts are cut by its tokens. An endpoint does not give them.
    fn counts_tokens(&self) -> bool {
        true
    }
    /// One vector of unit length for each text.
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError>;
}

/// Bounds of the store.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Writes that may wait for the disk at once; more are refused as busy
    /// after `write_wait`.
    pub queued_writes: usize,
    /// How long a write waits for a place in the queue.
    pub write_wait: Duration,
    /// Chunks whose words are indexed in one step, at least: each step ends with a sync
    /// of the disk. While steps are short they grow, up to 16 times as large.
    pub index_batch: usize,
    /// Chunks embedded in one step. Large enough to keep all cores at work; a small
    /// document that comes meanwhile waits for the step, some tenths of a second.
    pub embed_batch: usize,
    /// Chunks that may wait for the indexes; while there are more, documents are
    /// refused as busy. Waiting costs disk and no memory, so there may be many:
    /// an hour of embedding at 280 a second.
    pub max_index_lag: u64,
    /// How many collections and jobs there may be. A collection is a row and a
    /// folder on disk.
    pub bounds: Bounds,
    /// Collections whose indexes are in memory at once; the one that was not
    /// used for longest gives way. One holds some memory maps a segment.
    pub loaded_indexes: usize,
    /// What the loaded indexes may take together, in bytes of vectors and
    /// tables; a single one may take more, or it could not be searched.
    pub loaded_index_bytes: usize,
    /// Inverted lists that a search by vectors looks through in a large collection: more
    /// find more and take longer. The default is meant to find 95 of 100 of the ten nearest.
    pub vector_search_lists: usize,
    /// Documents that the answers of filters may have together, which are kept for the
    /// next search with the same filter. One takes some 20 bytes.
    pub kept_filter_documents: usize,
    /// Lexical indexes open for writing at once. One holds three threads and up
    /// to 15 MB.
    pub index_writers: usize,
    /// Names of the embedding models there will be. Vectors of another serve until
    /// those of one of these are there, and those of none are dropped.
    pub models: BTreeSet<String>,
    /// The model of collections that chose none; the first that comes if it is not
    /// said.
    pub default_model: Option<String>,
    /// The fleet that this host is part of; none for a host that is alone.
    pub fleet: Option<crate::fleet::Settings>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queued_writes: 1_024,
            write_wait: Duration::from_secs(5),
            index_batch: 256,
            embed_batch: 32,
            max_index_lag: 1_000_000,
            bounds: Bounds::default(),
            loaded_indexes: 128,
            loaded_index_bytes: 4 * 1024 * 1024 * 1024,
            vector_search_lists: 64,
            kept_filter_documents: 1_000_000,
            index_writers: 8,
            models: BTreeSet::new(),
            default_model: None,
            fleet: None,
        }
    }
}

/// Every chunk up to this id.
pub type Seq = u64;

#[derive(Debug, Clone)]
pub struct NewChunk {
    pub span: Range<u64>,
    pub headings: Vec<String>,
    pub page: Option<u32>,
}

#[derive(Debug, Clone)]
pub struct NewDocument {
    pub id: Option<String>,
    pub title: Option<String>,
    pub text: String,
    pub media_type: String,
    pub metadata: String,
    pub chunks: Vec<NewChunk>,
    /// How the text was cut.
    pub cut: ChunkingSpec,
    /// The handler's own notes of the text's structure, so that it can cut it
    /// again. At most as long as the text and [`MAX_OUTLINE_EXTRA`].
    pub outline: String,
    pub details: Details,
}

/// Bytes that an outline may have beyond its text.
pub const MAX_OUTLINE_EXTRA: usize = 1_024;

/// A document that is not cut as its collection wants it.
#[derive(Debug, Clone)]
pub struct StaleDocument {
    pub id: String,
    pub media_type: String,
    pub text: String,
    pub outline: String,
    pub sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Created,
    Replaced,
    Unchanged,
}

#[derive(Debug, Clone)]
pub struct DocumentSummary {
    pub id: String,
    pub title: Option<String>,
    pub media_type: String,
    pub metadata: String,
    pub bytes: u64,
    pub chunks: u32,
    pub sha256: String,
    pub version: String,
    pub created_at: u64,
    pub updated_at: u64,
    pub searchable: bool,
}

#[derive(Debug, Clone)]
pub struct Document {
    pub summary: DocumentSummary,
    pub text: String,
}

#[derive(Debug, Clone)]
pub struct Put {
    pub outcome: Outcome,
    pub summary: DocumentSummary,
    pub seq: Seq,
}

#[derive(Debug, Clone)]
pub struct StoredChunk {
    pub id: u64,
    pub span: Range<u64>,
    pub headings: Vec<String>,
    pub page: Option<u32>,
    pub text: String,
}

#[derive(Debug, Clone)]
pub struct Collection {
    pub name: String,
    pub documents: u64,
    pub chunks: u64,
    pub chunking: Chunking,
    /// Documents that are still cut in another way.
    pub uncut: u64,
    pub created_at: u64,
}

#[derive(Debug, Clone)]
pub struct Failure {
    pub position: u32,
    pub id: Option<String>,
    pub reason: String,
}

#[derive(Debug, Clone)]
pub struct Job {
    pub id: String,
    pub collection: String,
    pub received: u32,
    pub indexed: u32,
    pub pending: u32,
    /// The first of those that failed. How many did is what is left of
    /// `received`.
    pub failed: Vec<Failure>,
    pub created_at: u64,
}

/// A part of a collection's documents, which are in the order of their ids.
#[derive(Debug, Clone, Default)]
pub struct Between {
    /// Only those with a greater id.
    pub above: Option<String>,
    /// Only those with a smaller id.
    pub below: Option<String>,
    /// From the greatest id to the smallest.
    pub descending: bool,
    /// The most to return.
    pub limit: usize,
}

/// A document of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobItem {
    pub position: u32,
    pub id: Option<String>,
    pub fate: Fate,
}

/// What has become of a document of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// On disk, and not found yet.
    Pending,
    /// Search finds it.
    Indexed,
    /// It could not be taken, and why.
    Failed(String),
}

/// What to look for.
pub struct CandidateQuery<'a> {
    pub text: &'a str,
    pub lexical: bool,
    /// The query's vector; without it the vector leg does not run.
    pub vector: Option<&'a [f32]>,
    /// The model that made it, if it is known: vectors of another are not compared.
    pub model: Option<&'a str>,
    /// The most chunks to take from each leg.
    pub depth: usize,
    pub filter: Option<&'a crate::Filter>,
    /// Words and phrases that a chunk has to contain.
    pub required: &'a [String],
    /// Words and phrases that it must not contain.
    pub excluded: &'a [String],
    /// The languages that the model knows, if not all. Where both legs run it has no vote on a
    /// chunk in another: `vector` is none.
    pub known: Option<&'a ragtime_text::ModelLanguages>,
}

impl<'a> CandidateQuery<'a> {
    /// At most `depth` chunks that have words of `text`, whatever else they have.
    pub const fn by_words(text: &'a str, depth: usize) -> Self {
        Self {
            text,
            lexical: true,
            vector: None,
            model: None,
            depth,
            filter: None,
            required: &[],
            excluded: &[],
            known: None,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Candidate {
    pub chunk: u64,
    pub document: u64,
    pub lexical: Option<f32>,
    pub vector: Option<f32>,
}

#[derive(Debug, Clone)]
pub struct Passage {
    pub chunk: u64,
    pub document_id: String,
    pub title: Option<String>,
    pub headings: Vec<String>,
    pub page: Option<u32>,
    pub span: Range<u64>,
    pub text: String,
    pub metadata: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub quote: String,
    pub sha256: String,
}

#[derive(Debug, Clone)]
pub struct StoredKey {
    pub record: ragtime_policy::key_record::KeyRecord,
    pub last_used_at: Option<u64>,
    /// Units of its budget that it has spent since it was made.
    pub spent_units: u64,
}

/// The embedding models of a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectionModels {
    /// What was chosen; none for the default.
    pub chosen: Option<String>,
    /// Whose vectors are compared.
    pub serving: Option<String>,
    /// Whose vectors are being made meanwhile.
    pub next: Option<String>,
    /// Chunks that have theirs.
    pub next_made: u64,
}

/// How an embedding model is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    pub name: String,
    /// Whether every chunk that search finds by it has its vector.
    pub complete: bool,
    /// Whether it failed at the last texts that it was given.
    pub failing: bool,
}

/// How the store is doing.
#[derive(Debug, Clone)]
pub struct Status {
    /// Whether the last write reached the disk.
    pub writable: bool,
    /// Chunks on disk that search does not find yet.
    pub index_lag: u64,
    /// Whether every chunk that search finds has its vector, as far as there
    /// is a model.
    pub vectors_complete: bool,
    /// The models that are there.
    pub models: Vec<ModelStatus>,
}

/// Rows and where the next ones begin, if there are more.
pub type Page<T, C> = (Vec<T>, Option<C>);

/// An administrative act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEvent {
    /// Counts up; given by the store.
    pub n: u64,
    /// In seconds since the Unix epoch.
    pub at: u64,
    /// The id of the key that did it.
    pub actor: String,
    /// What was done, as in `key.issue`.
    pub action: String,
    /// To what.
    pub target: String,
    /// What it is now, as a JSON object; never a secret.
    pub detail: String,
    /// In which request.
    pub request_id: Option<String>,
}

/// A response that is kept for a repetition of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyRecord {
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// In seconds since the Unix epoch.
    pub at: u64,
    /// Its status.
    pub status: u16,
    /// Its headers, as a JSON array of pairs.
    pub headers: String,
    /// Its body; none when it must not be kept or is too large.
    pub body: Option<Vec<u8>>,
    /// What a key needs to be given it, as whoever keeps it writes that down;
    /// none in what older versions kept.
    pub rights: Option<String>,
}

/// A request that one host of several is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Whose request.
    pub principal: String,
    /// What the request is known by.
    pub key: String,
    /// SHA-256 of the request.
    pub fingerprint: [u8; 32],
    /// What the claim is known by: one of its own.
    pub holder: String,
    /// When it ends by itself, in seconds since the Unix epoch.
    pub until: u64,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// The request is the claimer's to do.
    First,
    /// A request of the same name is at work; its SHA-256.
    Held([u8; 32]),
    /// The request was done before.
    Recorded(IdempotencyRecord),
}
