//! `[data]`

use std::path::PathBuf;

use ragtime_policy::bounds::Bounds;
use serde::{Deserialize, Serialize};

use super::user_dir;

/// `[data]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Data {
    /// The folder of the database, the indexes and compiled handlers.
    pub dir: PathBuf,
    /// Writes that may wait for the disk at once; more are refused as busy
    /// after `write_timeout_ms`. They are held in memory, a body each at most.
    pub max_queued_writes: usize,
    /// How long a write waits for a place in that queue: longer than a disk
    /// takes to sync, shorter than a client waits.
    pub write_timeout_ms: u64,
    /// Chunks whose words are indexed in one step, at least: each step ends with a sync
    /// of the disk. While steps are short they grow, up to 16 times as large.
    pub index_batch_chunks: usize,
    /// Chunks embedded in one step: enough to keep all cores at work, few enough
    /// that a small document that comes meanwhile waits some tenths of a second.
    pub embed_batch_chunks: usize,
    /// How long a write that asks for it waits until search finds its documents;
    /// then it is answered with 202. Below the half minute after which many clients
    /// give up by themselves.
    pub searchable_timeout_ms: u64,
    /// Chunks that may wait for the indexes; while there are more, documents
    /// are refused as busy. Waiting costs disk and no memory, so there may be
    /// many: an hour of embedding at 280 a second.
    pub max_index_lag_chunks: u64,
    /// Collections there may be. Each is a row and a folder of some files.
    pub max_collections: u64,
    /// How long jobs that are done are kept.
    pub job_retention_seconds: u64,
    /// Jobs that are kept at most; the oldest that are done go first.
    pub max_jobs: u64,
    /// Collections whose indexes are in memory at once; the one that was not
    /// used for longest gives way and is loaded again when it is searched. One
    /// holds some ten memory maps for each segment, of 65,530 that Linux allows
    /// a process.
    pub max_loaded_indexes: usize,
    /// What the loaded indexes may take together: some 50 bytes for each chunk, and
    /// 1.7 kB for the vectors of each of the last 16,384 of a collection, which are in
    /// no file yet. A single one may take more, or it could not be searched.
    pub max_loaded_index_bytes: usize,
    /// Inverted lists that a search by vectors looks through in a collection of more than
    /// 32,768 chunks, of about twice as many as the root of the chunks. More find more of
    /// the nearest and take longer; the default is meant to find 95 of 100.
    pub vector_search_lists: usize,
    /// Documents that the answers of filters may have together, which are kept for the
    /// next search with the same filter; without, each search reads the metadata of all
    /// documents of its collection. One takes some 20 bytes.
    pub max_kept_filter_documents: usize,
    /// Lexical indexes that are open for writing at once. One holds three
    /// threads and up to 15 MB.
    pub max_index_writers: usize,
}

impl Data {
    /// The bounds of the store.
    pub fn store(&self) -> ragtime_store::Settings {
        ragtime_store::Settings {
            queued_writes: self.max_queued_writes.max(1),
            write_wait: std::time::Duration::from_millis(self.write_timeout_ms),
            index_batch: self.index_batch_chunks.max(1),
            embed_batch: self.embed_batch_chunks.max(1),
            max_index_lag: self.max_index_lag_chunks,
            bounds: Bounds {
                max_collections: self.max_collections,
                job_retention: std::time::Duration::from_secs(self.job_retention_seconds),
                max_jobs: self.max_jobs,
            },
            loaded_indexes: self.max_loaded_indexes,
            loaded_index_bytes: self.max_loaded_index_bytes,
            vector_search_lists: self.vector_search_lists.max(1),
            kept_filter_documents: self.max_kept_filter_documents,
            index_writers: self.max_index_writers,
            ..ragtime_store::Settings::default()
        }
    }
}

impl Default for Data {
    fn default() -> Self {
        let store = ragtime_store::Settings::default();
        Self {
            dir: user_dir("XDG_DATA_HOME", ".local/share").join("ragtime"),
            max_queued_writes: store.queued_writes,
            write_timeout_ms: u64::try_from(store.write_wait.as_millis()).unwrap_or(u64::MAX),
            index_batch_chunks: store.index_batch,
            embed_batch_chunks: store.embed_batch,
            searchable_timeout_ms: 20_000,
            max_index_lag_chunks: store.max_index_lag,
            max_collections: store.bounds.max_collections,
            job_retention_seconds: store.bounds.job_retention.as_secs(),
            max_jobs: store.bounds.max_jobs,
            max_loaded_indexes: store.loaded_indexes,
            max_loaded_index_bytes: store.loaded_index_bytes,
            vector_search_lists: store.vector_search_lists,
            max_kept_filter_documents: store.kept_filter_documents,
            max_index_writers: store.index_writers,
        }
    }
}
