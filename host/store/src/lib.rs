//! Documents in SQLite, and the indexes derived from them; several hosts share them by
//! the log of a [`fleet`].
//!
//! SQLite is the truth. The lexical index (tantivy) and the vector index follow
//! it by chunk id and can be rebuilt from it at any time, so a crash can
//! neither lose nor invent a document.

mod alive;
mod allowed;
mod audit;
mod backup;
mod bisect;
mod check;
mod collections;
mod connection;
mod contents;
mod deployments;
mod details;
mod documents;
mod embedders;
mod embedding_queue;
mod files;
pub mod fleet;
mod folders;
mod idempotency_records;
mod index;
mod indexer;
mod jobs;
mod keys;
mod lag;
mod lexical;
mod look;
mod maintainer;
mod models;
mod opening;
mod pace;
mod pending;
mod quantization;
mod reader;
mod rebuild;
mod recent;
mod rechunking;
mod records;
mod retrieval;
mod rollouts;
mod schema;
mod serving;
mod tls_fault;
mod types;
mod vectors;
mod wake;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::Mutex;
use ragtime_policy::key::KeyId;
use rusqlite::Connection;
use tokio::sync::watch;

use allowed::AllowedDocuments;
pub use backup::{backup, restore};
pub use check::{Report, check};
use embedders::{Embedders, Tools};
use fleet::Fleet;
use index::Indexes;
pub use keys::KeyTable;
pub use look::{in_use, newest};
use maintainer::Maintainer;
use models::Known;
use opening::{IN_THE_MAKING, lock};
pub use ragtime_filter::Filter;
use reader::Readers;
pub use types::*;
use wake::Wake;
use writer::Writer;

const DATABASE: &str = "ragtime.sqlite";
const INDEXES: &str = "index";
const LOCK: &str = "lock";

/// After how long to send again what was refused because the indexes are
/// behind: a thousand chunks further on.
const BEHIND_RETRY: Duration = Duration::from_secs(5);

/// The store. Clones share it.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    writer: Arc<Writer>,
    readers: Arc<Readers>,
    indexes: Arc<Indexes>,
    allowed: AllowedDocuments,
    embedders: Arc<Embedders>,
    tools: Tools,
    watermark: watch::Receiver<u64>,
    queue: watch::Receiver<u64>,
    wake: Sender<Wake>,
    max_index_lag: u64,
    bounds: Bounds,
    indexer: Mutex<Option<JoinHandle<()>>>,
    maintainer: Maintainer,
    fleet: Option<Arc<Fleet>>,
    presence: Mutex<Option<fleet::Presence>>,
    /// Held as long as the store is open: two processes would disagree about
    /// the indexes.
    _lock: File,
}

impl Store {
    /// Opens the store in `dir`, making it if need be. Blocking.
    pub fn open(dir: &Path, settings: Settings) -> Result<Self, OpenError> {
        opening::open(dir, settings)
    }

    /// Brings a model in. Chunks of its collections that have no vector yet get one in
    /// the background. A second model of the same name is ignored.
    pub fn set_embedder(&self, embedder: Arc<dyn Embed>) {
        if let Err(error) = self.0.embedders.add(embedder, self.0.tools.clone()) {
            tracing::error!(%error, "there is no thread for an embedding model");
        }
        if let Some(fleet) = &self.0.fleet {
            fleet.set_can_lead(true);
        }
    }

    /// Resolves when search finds every chunk up to `seq`, by its words and, with a
    /// model, by its vector.
    pub async fn wait_searchable(&self, seq: Seq) {
        self.wait_until(seq, move |db| embedding_queue::is_any_waiting(db, seq)).await;
    }

    /// The same for the one document whose last chunk is `seq`, whatever waits before
    /// it.
    pub async fn wait_document_searchable(&self, seq: Seq) {
        self.wait_until(seq, move |db| embedding_queue::is_waiting(db, seq)).await;
    }

    /// The same for the documents of a job, the last of whose chunks is `seq`.
    pub async fn wait_job_searchable(&self, job: &str, seq: Seq) {
        let job = job.to_owned();
        self.wait_until(seq, move |db| embedding_queue::is_job_waiting(db, &job)).await;
    }

    /// Resolves when the lexical indexes have come to `seq` and nothing `is_waiting`
    /// in the queue for vectors any more.
    async fn wait_until<F>(&self, seq: Seq, is_waiting: F)
    where
        F: Fn(&Connection) -> Result<bool, Error> + Clone + Send + 'static,
    {
        // The senders live as long as the indexer; when that has stopped the server
        // is shutting down.
        let _ = self.0.watermark.clone().wait_for(|through| *through >= seq).await;
        let mut queue = self.0.queue.clone();
        loop {
            queue.mark_unchanged();
            let (readers, is_waiting) = (Arc::clone(&self.0.readers), is_waiting.clone());
            let waits = tokio::task::spawn_blocking(move || readers.read(is_waiting)).await;
            // What cannot be read now is looked at again after the next batch.
            let done = matches!(waits, Ok(Ok(false)));
            if done || queue.changed().await.is_err() {
                return;
            }
        }
    }

    /// How the store is doing.
    pub fn status(&self) -> Status {
        self.0.writer.probe();
        let lag = self.index_lag();
        let models = self.0.embedders.status();
        Status {
            writable: self.0.writer.healthy() && lag.is_ok(),
            index_lag: lag.unwrap_or_else(|_| self.queued()),
            vectors_complete: models.iter().all(|model| model.complete),
            models,
        }
    }

    /// Chunks that wait for their vectors, by collection: at most `most` collections, those
    /// with the most chunks first. Blocking.
    ///
    /// # Errors
    ///
    /// When the database cannot be read.
    pub fn embedding_queue(&self, most: usize) -> Result<Vec<(String, u64)>, Error> {
        self.0.readers.read(|db| embedding_queue::by_collection(db, most))
    }

    /// Stops the indexer. What it has not done yet it does after the next
    /// start.
    pub async fn close(&self) {
        let _ = self.0.wake.send(Wake::Stop);
        let mut threads = self.0.embedders.stop();
        threads.extend(self.0.indexer.lock().take());
        threads.extend(self.0.maintainer.stop());
        if let Some(fleet) = &self.0.fleet {
            fleet.close();
        }
        threads.extend(self.0.presence.lock().take().map(|(_, thread)| thread));
        let joined = tokio::task::spawn_blocking(move || {
            threads.into_iter().for_each(|thread| drop(thread.join()));
        });
        let _ = joined.await;
    }

    fn through(&self) -> u64 {
        *self.0.watermark.borrow()
    }

    /// Chunks that wait for their vectors, as of the last batch.
    fn queued(&self) -> u64 {
        *self.0.queue.borrow()
    }

    fn room(&self) -> Room {
        let max_index_lag = self.0.max_index_lag;
        Room { through: self.through(), queued: self.queued(), max_index_lag }
    }

    fn known(&self) -> Arc<Known> {
        self.0.embedders.known()
    }
}

/// Keys.
impl Store {
    /// All of them, oldest first. Blocking.
    pub fn keys(&self) -> Result<Vec<StoredKey>, Error> {
        self.0.readers.read(keys::all)
    }

    /// Those of these ids that there are. Blocking.
    pub fn keys_with(&self, ids: &[String]) -> Result<Vec<StoredKey>, Error> {
        self.0.readers.read(|db| keys::with(db, ids))
    }

    /// Runs a change of the keys as one write: nobody else's comes between what
    /// it reads and what it writes. An error undoes all of it.
    pub async fn change_keys<R: Send + 'static>(
        &self,
        change: impl FnOnce(&KeyTable<'_>) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        self.0.writer.write(move |db, _| change(&KeyTable(db))).await
    }

    /// Adds to the units of its budget that a key has spent since it was made; all that it
    /// has spent then, on every host.
    pub async fn note_spent(&self, id: &KeyId, units: u64) -> Result<u64, Error> {
        let id = id.clone();
        self.0.writer.write(move |db, _| keys::note_spent(db, &id, units)).await
    }

    /// Notes when a key was last used, in seconds since the Unix epoch.
    pub async fn touch_key(&self, id: &KeyId, at: u64) -> Result<(), Error> {
        let id = id.clone();
        self.0.writer.write(move |db, _| keys::touch(db, &id, at)).await
    }
}

/// How far the indexes are behind, and how far they may be.
#[derive(Clone, Copy)]
struct Room {
    /// The last chunk that is found by its words.
    through: Seq,
    /// Chunks that wait for their vectors.
    queued: u64,
    max_index_lag: u64,
}

impl Room {
    /// Refuses documents while more chunks wait for the indexes than may.
    fn check(self, db: &Connection) -> Result<(), Error> {
        let lag = documents::last_chunk_ever(db)?.saturating_sub(self.through);
        if lag.saturating_add(self.queued) > self.max_index_lag {
            return Err(Error::Busy { retry_after: BEHIND_RETRY });
        }
        Ok(())
    }
}
