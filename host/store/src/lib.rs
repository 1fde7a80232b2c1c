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
mod types;
mod vectors;
mod writer;

pub use backup::{backup, restore};
pub use check::{Report, check};
pub use keys::KeyTable;
pub use look::{in_use, newest};
pub use ragtime_filter::Filter;
pub use types::*;

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use ragtime_policy::chunking::{Chunking, ChunkingSpec};
use ragtime_policy::clock::unix_now;
use ragtime_policy::key::KeyId;
use ragtime_policy::version::Condition;
use rusqlite::Connection;
use tokio::sync::watch;

use allowed::AllowedDocuments;
use embedders::{Embedders, Tools};
use fleet::Fleet;
use index::Indexes;
use indexer::Wake;
use maintainer::Maintainer;
use models::Known;
use opening::{IN_THE_MAKING, lock};
use reader::Readers;
use writer::{Effects, Writer};

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
        threads.extend(lock_mutex(&self.0.indexer).take());
        threads.extend(self.0.maintainer.stop());
        if let Some(fleet) = &self.0.fleet {
            fleet.close();
        }
        threads.extend(lock_mutex(&self.0.presence).take().map(|(_, thread)| thread));
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

/// Collections.
impl Store {
    /// All of them, by name. Blocking.
    pub fn collections(&self) -> Result<Vec<Collection>, Error> {
        self.0.readers.read(|db| documents::collections(db, &self.known()))
    }

    /// One of them. Blocking.
    pub fn collection(&self, name: &str) -> Result<Collection, Error> {
        self.0.readers.read(|db| documents::collection(db, name, &self.known()))
    }

    /// Makes an empty one.
    pub async fn create_collection(
        &self,
        name: &str,
        chunking: Option<Chunking>,
        model: Option<String>,
    ) -> Result<Collection, Error> {
        let (name, bounds, known) = (name.to_owned(), self.0.bounds, self.known());
        let create = move |db: &Connection, _: &mut _| {
            let within = (known.as_ref(), bounds);
            documents::create_collection(db, &name, chunking, model.as_deref(), within, unix_now())
        };
        self.0.writer.write(create).await
    }

    /// Chooses the embedding model of one; none for the default. Vectors of the one it
    /// had serve until there are all of the new one.
    pub async fn set_collection_model(
        &self,
        name: &str,
        model: Option<String>,
    ) -> Result<(), Error> {
        let (name, known) = (name.to_owned(), self.known());
        let choose = move |db: &Connection, _: &mut _| {
            models::choose(db, documents::collection_key(db, &name)?, model.as_deref(), &known)
        };
        self.0.writer.write(choose).await?;
        self.0.embedders.are_behind();
        Ok(())
    }

    /// The models of collections, in the order asked; nothing for one that is not there.
    /// Blocking.
    pub fn collection_models(&self, names: &[String]) -> Result<Vec<CollectionModels>, Error> {
        let known = self.known();
        self.0.readers.read(|db| {
            let of = |name: &String| match documents::collection_key(db, name) {
                Ok(key) => models::told(db, key, &known),
                Err(Error::UnknownCollection) => Ok(CollectionModels::default()),
                Err(error) => Err(error),
            };
            names.iter().map(of).collect()
        })
    }

    /// Notified whenever another model's vectors have come to serve a collection, which may
    /// want its texts rechunked then.
    pub fn model_switches(&self) -> watch::Receiver<u64> {
        self.0.embedders.switches()
    }

    /// The model whose vectors are compared in one, if there are any. Blocking.
    pub fn serving_model(&self, name: &str) -> Result<Option<String>, Error> {
        let key = self.0.readers.read(|db| documents::collection_key(db, name))?;
        Ok(self.0.indexes.get(key)?.model())
    }

    /// Changes how the texts of one are cut. Those that are there stay as they
    /// are until [`Self::rechunk`].
    pub async fn set_chunking(&self, name: &str, chunking: Chunking) -> Result<(), Error> {
        let name = name.to_owned();
        let change = move |db: &Connection, _: &mut _| {
            rechunking::set_chunking(db, documents::collection_key(db, &name)?, chunking)
        };
        self.0.writer.write(change).await
    }

    /// What was set for collections, in the order asked: the language of their documents
    /// that were stored without one, and how language models are asked about them;
    /// nothing for one that is not there. Blocking.
    pub fn collection_settings(
        &self,
        names: &[String],
    ) -> Result<Vec<(Option<ragtime_text::Language>, Prompt)>, Error> {
        self.0.readers.read(|db| {
            let of = |name: &String| match documents::collection_key(db, name) {
                Ok(key) => details::collection_settings(db, key),
                Err(Error::UnknownCollection) => Ok(Default::default()),
                Err(error) => Err(error),
            };
            names.iter().map(of).collect()
        })
    }

    /// Changes how language models are asked about one.
    pub async fn set_collection_prompt(&self, name: &str, prompt: Prompt) -> Result<(), Error> {
        let name = name.to_owned();
        let change = move |db: &Connection, _: &mut _| {
            details::set_collection_prompt(db, documents::collection_key(db, &name)?, &prompt)
        };
        self.0.writer.write(change).await
    }

    /// Changes the language of one. Its documents are found as they are until its
    /// index has been rebuilt, in the background.
    pub async fn set_collection_language(
        &self,
        name: &str,
        language: Option<ragtime_text::Language>,
    ) -> Result<(), Error> {
        let name = name.to_owned();
        let change = move |db: &Connection, _: &mut _| {
            details::set_collection_language(db, documents::collection_key(db, &name)?, language)
        };
        self.0.writer.write(change).await?;
        let _ = self.0.wake.send(Wake::Language);
        Ok(())
    }

    /// How the texts of one are to be cut now. Blocking.
    pub fn wanted_cut(&self, name: &str) -> Result<ChunkingSpec, Error> {
        self.0
            .readers
            .read(|db| rechunking::wanted(db, documents::collection_key(db, name)?, &self.known()))
    }

    /// Names of those with documents that are not cut so. Blocking.
    pub fn stale_collections(&self) -> Result<Vec<String>, Error> {
        let through = self.through();
        self.0.readers.read(|db| rechunking::collections(db, &self.known(), through))
    }

    /// Such documents, and the cursor of the next page. Blocking.
    pub fn stale(
        &self,
        collection: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StaleDocument>, Option<String>), Error> {
        let through = self.through();
        self.0
            .readers
            .read(|db| rechunking::next(db, collection, &self.known(), cursor, limit, through))
    }

    /// Gives a document new chunks, if its text is still the one with this
    /// hash; true if it did. The old chunks are found until the new ones are.
    pub async fn rechunk(
        &self,
        collection: &str,
        id: &str,
        sha256: &str,
        chunks: Vec<NewChunk>,
        cut: ChunkingSpec,
    ) -> Result<bool, Error> {
        let (collection, id, sha256) = (collection.to_owned(), id.to_owned(), sha256.to_owned());
        let known = self.known();
        let recut = move |db: &Connection, _: &mut _| {
            rechunking::rechunk(db, &collection, &id, &sha256, &chunks, &cut, &known)
        };
        self.0.writer.write(recut).await
    }

    /// Deletes one with all that is in it.
    pub async fn delete_collection(&self, name: &str) -> Result<(), Error> {
        let name = name.to_owned();
        self.0
            .writer
            .write(move |db, effects| documents::delete_collection(db, &name, effects))
            .await
    }
}

/// Documents.
impl Store {
    /// Stores a document, replacing the one of the same id, if the condition
    /// holds. It is on disk when this returns.
    pub async fn put(
        &self,
        collection: &str,
        document: NewDocument,
        condition: Condition,
    ) -> Result<Put, Error> {
        let prepared = documents::prepare(document, &self.known())?;
        let collection = collection.to_owned();
        let room = self.room();
        let write = move |db: &Connection, effects: &mut Effects| {
            room.check(db)?;
            let mut put =
                documents::put(db, &collection, &prepared, &condition, unix_now(), effects)?;
            put.summary.searchable = embedding_queue::is_searchable(db, put.seq, room.through)?;
            Ok(put)
        };
        self.0.writer.write(write).await
    }

    /// Stores a batch as one job. A document that breaks a rule fails alone.
    pub async fn ingest(
        &self,
        collection: &str,
        documents: Vec<NewDocument>,
        failures: Vec<Failure>,
    ) -> Result<(Job, Seq), Error> {
        let items = items_of(documents, failures, &self.known());
        let (collection, bounds) = (collection.to_owned(), self.0.bounds);
        let room = self.room();
        let write = move |db: &Connection, effects: &mut Effects| {
            room.check(db)?;
            jobs::purge(db, bounds, room.through, unix_now())?;
            jobs::ingest(db, &collection, &items, unix_now(), effects)
        };
        let (id, seq) = self.0.writer.write(write).await?;
        let this = self.clone();
        let job = tokio::task::spawn_blocking(move || this.job(&id)).await;
        let job = job.map_err(|error| Error::Internal(error.to_string()))??;
        Ok((job, seq))
    }

    /// Deletes a document if the condition holds. Search does not find it any
    /// more when this returns.
    pub async fn delete_document(
        &self,
        collection: &str,
        id: &str,
        condition: Condition,
    ) -> Result<(), Error> {
        let (collection, id) = (collection.to_owned(), id.to_owned());
        self.0
            .writer
            .write(move |db, effects| documents::delete(db, &collection, &id, &condition, effects))
            .await
    }

    /// A document with its text. Blocking.
    pub fn document(&self, collection: &str, id: &str) -> Result<Document, Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::document(db, collection, id, through))
    }

    /// The details of documents, in the order asked; empty ones for a document
    /// that has none or is not there. Blocking.
    pub fn details(&self, collection: &str, ids: &[String]) -> Result<Vec<Details>, Error> {
        self.0.readers.read(|db| details::of_documents(db, collection, ids))
    }

    /// The warnings of a job's documents, none if there is no such job or its
    /// collection is not one that is `seen`. Blocking.
    pub fn job_warnings(
        &self,
        id: &str,
        seen: impl Fn(&str) -> bool,
    ) -> Result<JobWarnings, Error> {
        self.0.readers.read(|db| jobs::warnings(db, id, seen))
    }

    /// Documents by id, and the cursor of the next page. Blocking.
    pub fn documents(
        &self,
        collection: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<DocumentSummary>, Option<String>), Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::documents(db, collection, cursor, limit, through))
    }

    /// The first documents of a range. Blocking.
    pub fn documents_between(
        &self,
        collection: &str,
        range: &Between,
    ) -> Result<Vec<DocumentSummary>, Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::between(db, collection, range, through))
    }

    /// Documents in the order asked; none for one that is not there. Blocking.
    pub fn summaries(
        &self,
        collection: &str,
        ids: &[String],
    ) -> Result<Vec<Option<DocumentSummary>>, Error> {
        let through = self.through();
        self.0.readers.read(|db| documents::summaries(db, collection, ids, through))
    }

    /// The bytes of all texts of a collection. Blocking.
    pub fn bytes(&self, collection: &str) -> Result<u64, Error> {
        self.0.readers.read(|db| documents::bytes(db, collection))
    }

    /// Documents of a job from a position on. Blocking.
    pub fn job_items(&self, id: &str, first: u32, limit: usize) -> Result<Vec<JobItem>, Error> {
        let through = self.through();
        self.0.readers.read(|db| jobs::items(db, id, first, limit, through))
    }

    /// The chunks of a document in order, and the cursor of the next page.
    /// Blocking.
    pub fn chunks(
        &self,
        collection: &str,
        id: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<StoredChunk>, Option<String>), Error> {
        self.0.readers.read(|db| documents::chunks(db, collection, id, cursor, limit))
    }

    /// A job. Blocking.
    pub fn job(&self, id: &str) -> Result<Job, Error> {
        let through = self.through();
        self.0.readers.read(|db| jobs::job(db, id, through))
    }

    /// Takes out of a job what search does not find yet; those documents fail as
    /// cancelled and are gone. What was stored elsewhere already stays.
    pub async fn cancel_job(&self, id: &str) -> Result<(), Error> {
        let (id, watermark) = (id.to_owned(), self.0.watermark.clone());
        let cancel = move |db: &Connection, effects: &mut Effects| {
            jobs::cancel(db, &id, *watermark.borrow(), effects)
        };
        self.0.writer.write(cancel).await
    }

    /// Tries again to embed the documents of a job that are stored and could not
    /// be embedded.
    pub async fn retry_job(&self, id: &str) -> Result<(), Error> {
        let id = id.to_owned();
        self.0.writer.write(move |db, _| jobs::retry(db, &id)).await?;
        self.0.embedders.are_behind();
        Ok(())
    }

    /// Jobs of these collections (or of all), newest first, and the cursor of the
    /// next page. Blocking.
    pub fn jobs(
        &self,
        collections: Option<&BTreeSet<String>>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Job>, Option<String>), Error> {
        let through = self.through();
        self.0.readers.read(|db| jobs::jobs(db, collections, cursor, limit, through))
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

/// Gives each document the place in its batch that the failures leave free.
fn items_of(
    documents: Vec<NewDocument>,
    failures: Vec<Failure>,
    known: &Arc<Known>,
) -> Vec<(u32, jobs::Item)> {
    let taken: std::collections::HashSet<u32> =
        failures.iter().map(|failure| failure.position).collect();
    let free = (0..).filter(|position| !taken.contains(position));
    let prepared = free.zip(documents).map(|(position, document)| {
        let id = document.id.clone();
        let item = documents::prepare(document, known).map_err(|error| Failure {
            position,
            id,
            reason: error.to_string(),
        });
        (position, item)
    });
    let mut items: Vec<_> = prepared.collect();
    items.extend(failures.into_iter().map(|failure| (failure.position, Err(failure))));
    items
}

/// A thread that panicked has left nothing half done in what these guard.
pub(crate) fn lock_mutex<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
