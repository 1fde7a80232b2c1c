//! The indexer: one thread that brings the indexes up to the database.
//!
//! It follows chunk ids. What it has not done before a crash it does after:
//! every lexical index records how far it has come, and vectors are in the
//! database itself, so that no chunk is embedded twice.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use lru::LruCache;
use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use crate::embedding_queue::{self, Share};
use crate::index::{CollectionIndex, Indexes, encode_vector};
use crate::lexical::{LexicalWriter, Progress};
use crate::pending::{self, Pending};
use crate::reader::Readers;
use crate::rebuild::Rebuild;
use crate::types::{Embed, Error};
use crate::writer::Writer;
use crate::{cuts, isolate, jobs};

/// Writers without work are closed after this long; one holds 15 MB.
const WRITER_IDLE: Duration = Duration::from_secs(10);
/// How long to wait before trying again what failed, doubled each time that it
/// fails again.
const RETRY: Duration = Duration::from_millis(500);
/// At most 64 times as long.
const MAX_DOUBLINGS: u32 = 6;

/// How long the old and the new chunks of a document are both found: longer
/// than a search takes between finding and reading.
const SETTLE_AFTER: Duration = Duration::from_secs(2);

/// Batches of words for one batch of vectors, when there are both: hundreds of
/// chunks a second are embedded, tens of thousands indexed. So words are found
/// soon, and vectors do not wait for the end of a large import.
const MAX_INDEXED_IN_A_ROW: usize = 8;

/// What wakes the indexer.
pub(crate) enum Wake {
    /// Something was written.
    Written,
    /// A model has come.
    Embedder,
    /// What could not be embedded may be tried again.
    Retry,
    /// A collection's texts are in another language now.
    Language,
    /// The store closes.
    Stop,
}

/// What the indexer works with.
pub(crate) struct Indexer {
    pub(crate) readers: Arc<Readers>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) indexes: Arc<Indexes>,
    pub(crate) embedder: Arc<OnceLock<Arc<dyn Embed>>>,
    pub(crate) watermark: watch::Sender<u64>,
    pub(crate) vectors_complete: Arc<AtomicBool>,
    /// Chunks in the queue for vectors; told after each batch.
    pub(crate) queue_length: watch::Sender<u64>,
    pub(crate) embed_batch: usize,
    /// The collection that had the last turn of being embedded.
    pub(crate) last_embedded: i64,
    /// Batches of words since the last batch of vectors.
    pub(crate) indexed_in_a_row: usize,
    pub(crate) batch: usize,
    /// Writers of lexical indexes, kept for the next batch.
    pub(crate) open: LruCache<i64, LexicalWriter>,
    pub(crate) max_open: usize,
    /// The lexical index that is being made anew.
    pub(crate) rebuild: Option<Rebuild>,
    /// Whether every lexical index is known to be of this analysis.
    pub(crate) rebuilt: bool,
    /// Whether the vectors in the database are known to be of this model.
    pub(crate) adopted: bool,
    /// Every chunk up to this id is known to have its vector.
    pub(crate) filled: u64,
    /// When the old chunks of documents may go that were cut anew up to a chunk.
    pub(crate) settling: VecDeque<(Instant, u64)>,
}

/// Chunks of one collection, and removals.
#[derive(Default)]
struct Work {
    chunks: Vec<Pending>,
    removals: Vec<(i64, u64)>,
}

impl Indexer {
    /// Works until told to stop.
    pub(crate) fn run(mut self, wakes: &Receiver<Wake>) {
        let mut failures = 0;
        loop {
            let wait = match self.step_or_error() {
                Ok(more) => {
                    failures = 0;
                    if more { Duration::ZERO } else { self.idle() }
                }
                Err(error) => {
                    let wait = RETRY * (1 << failures);
                    failures = MAX_DOUBLINGS.min(failures + 1);
                    tracing::error!(%error, ?wait, "indexing failed and will be tried again");
                    // A writer that failed half-way is not to be trusted.
                    self.open.clear();
                    self.rebuild = None;
                    wait
                }
            };
            match wakes.recv_timeout(wait) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Wake::Written | Wake::Embedder) => {}
                Ok(Wake::Language) => self.rebuilt = false,
                Ok(Wake::Retry) => {
                    self.filled = 0;
                    self.vectors_complete.store(false, Relaxed);
                }
                Err(RecvTimeoutError::Timeout) if wait == WRITER_IDLE => self.close_down_to(0),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// A model that panics must not end the indexing.
    fn step_or_error(&mut self) -> Result<bool, Error> {
        catch_unwind(AssertUnwindSafe(|| self.step()))
            .unwrap_or_else(|_| Err(Error::Internal("the indexer panicked".into())))
    }

    /// Does one batch; true when there may be more.
    fn step(&mut self) -> Result<bool, Error> {
        if let Some(embedder) = self.embedder.get()
            && !self.adopted
        {
            self.adopt_model(embedder.name().to_owned())?;
            self.adopted = true;
        }
        self.settle()?;
        let indexed = self.index_batch()?;
        if indexed && self.indexed_in_a_row < MAX_INDEXED_IN_A_ROW {
            self.indexed_in_a_row += 1;
            return Ok(true);
        }
        self.indexed_in_a_row = 0;
        if self.embed_queued()? || indexed {
            return Ok(true);
        }
        Ok(self.rebuild_batch()? || self.fill_vectors()?)
    }

    /// Takes a lexical index that another analysis made one batch further towards
    /// the next one; true when there was something to do.
    fn rebuild_batch(&mut self) -> Result<bool, Error> {
        if self.rebuilt {
            return Ok(false);
        }
        let through = *self.watermark.borrow();
        let mut rebuild = match self.rebuild.take() {
            Some(rebuild) if rebuild.is_wanted(&self.indexes)? => rebuild,
            _ => match Rebuild::next(&self.readers, &self.indexes)? {
                Some(rebuild) => rebuild,
                None => {
                    self.rebuilt = true;
                    return Ok(false);
                }
            },
        };
        if rebuild.batch(&self.readers, through, self.batch)? {
            self.rebuild = Some(rebuild);
            return Ok(true);
        }
        let collection = rebuild.close();
        // It is of the index that goes.
        self.open.pop(&collection);
        self.indexes.finish(collection)?;
        tracing::info!(collection, "a lexical index of an earlier analysis was replaced");
        Ok(true)
    }

    fn index_batch(&mut self) -> Result<bool, Error> {
        let from = *self.watermark.borrow();
        let (collections, through) =
            self.readers.read(|db| pending::upcoming(db, from, self.batch))?;
        // In memory before the chunks are read: from here on, a removal finds
        // the index or comes before the snapshot. Held until the watermark has
        // moved: an index that was unloaded and loaded again meanwhile would
        // lack these chunks.
        let held: Vec<_> = collections
            .into_iter()
            .map(|collection| self.indexes.get_if_any(collection))
            .collect::<Result<_, _>>()?;
        let (pending, removals) = self
            .readers
            .read(|db| Ok((pending::between(db, from, through)?, pending::removals(db)?)))?;
        if pending.is_empty() && removals.is_empty() {
            self.watermark.send_replace(through);
            return Ok(through > from);
        }
        let last_removal = removals.last().map(|(n, ..)| *n);
        self.apply_all(by_collection(pending, removals), through)?;
        if let Some(last) = last_removal {
            self.writer.write_blocking(move |db, _| {
                db.execute("DELETE FROM removals WHERE n <= ?1", [last])?;
                Ok(())
            })?;
        }
        if self.embedder.get().is_some()
            && self.readers.read(|db| embedding_queue::leaves_out(db, from, through))?
        {
            self.vectors_complete.store(false, Relaxed);
        }
        // Before the watermark: what is behind must not look done for a moment.
        self.tell_queue(through)?;
        self.watermark.send_replace(through);
        drop(held);
        self.indexes.shrink();
        Ok(true)
    }

    /// Old chunks of documents that were cut anew go some time after the new
    /// ones are found: a search that has seen the old ones only has yet to read
    /// them.
    fn settle(&mut self) -> Result<(), Error> {
        let through = *self.watermark.borrow();
        let noted = self.settling.back().is_some_and(|(_, last)| *last == through);
        if !noted && self.readers.read(|db| cuts::any_to_settle(db, through))? {
            self.settling.push_back((Instant::now() + SETTLE_AFTER, through));
        }
        while let Some((_, through)) = self.settling.pop_front_if(|(at, _)| *at <= Instant::now()) {
            self.writer.write_blocking(move |db, effects| cuts::settle(db, through, effects))?;
        }
        Ok(())
    }

    /// How long to wait for something to do.
    fn idle(&self) -> Duration {
        let due = self.settling.front().map(|(at, _)| at.saturating_duration_since(Instant::now()));
        due.map_or(WRITER_IDLE, |due| due.clamp(Duration::from_millis(1), WRITER_IDLE))
    }

    fn apply_all(&mut self, all: BTreeMap<i64, Work>, through: u64) -> Result<(), Error> {
        let unloaded: Vec<_> = self.open.iter().map(|(collection, _)| *collection).collect();
        for collection in unloaded.into_iter().filter(|one| !self.indexes.is_loaded(*one)) {
            // Perhaps deleted, and its files with it.
            self.open.pop(&collection);
        }
        for (collection, work) in all {
            let Some(index) = self.indexes.get_if_any(collection)? else { continue };
            let applied = self.apply(collection, &index, &work, through);
            if self.indexes.is_loaded(collection) {
                applied?;
            } else {
                // Deleted meanwhile, and its files with it.
                self.open.pop(&collection);
            }
        }
        Ok(())
    }

    /// Brings one collection up to `through`. What a lexical index had before
    /// a crash is not added twice.
    fn apply(
        &mut self,
        collection: i64,
        index: &CollectionIndex,
        work: &Work,
        through: u64,
    ) -> Result<(), Error> {
        let done = index.lexical().state()?.progress;
        let mut writer = match self.open.pop(&collection) {
            Some(writer) => writer,
            None => {
                self.close_down_to(self.max_open.saturating_sub(1));
                index.lexical().writer()?
            }
        };
        for pending in work.chunks.iter().filter(|pending| pending.chunk > done.chunk) {
            writer.add(pending.chunk, &pending.words)?;
        }
        for (_, chunk) in &work.removals {
            writer.remove(*chunk);
            if let Some(rebuild) = &self.rebuild {
                rebuild.remove(collection, *chunk);
            }
        }
        let removal = work.removals.last().map_or(done.removal, |(n, _)| *n);
        writer.commit(Progress { chunk: through.max(done.chunk), removal })?;
        self.open.put(collection, writer);
        index.lexical().reload()?;
        index.add(&work.chunks, through);
        Ok(())
    }

    /// Closes the writers that were not used for longest until `most` are left.
    fn close_down_to(&mut self, most: usize) {
        while self.open.len() > most {
            let Some((_, writer)) = self.open.pop_lru() else { return };
            writer.close();
        }
    }

    /// Embeds the next chunks of the queue; true when there were any. What the model
    /// fails at altogether is left to [`Self::fill_vectors`], which tries again.
    fn embed_queued(&mut self) -> Result<bool, Error> {
        let Some(embedder) = self.embedder.get().cloned() else { return Ok(false) };
        let through = *self.watermark.borrow();
        let (mut shares, last) = self
            .readers
            .read(|db| embedding_queue::next(db, self.last_embedded, through, self.embed_batch))?;
        if shares.is_empty() {
            return Ok(false);
        }
        self.last_embedded = last;
        let mut chunks: Vec<_> = shares.iter_mut().flat_map(|share| &mut share.chunks).collect();
        if let Err(error) = self.embed(embedder.as_ref(), &mut chunks) {
            tracing::error!(%error, "embedding failed and will be tried again");
            self.vectors_complete.store(false, Relaxed);
            self.writer.write_blocking(|db, _| embedding_queue::clear(db))?;
        } else {
            let vectors = encoded(shares.iter().flat_map(|share| &share.chunks));
            let progress: Vec<_> = shares.iter().map(Share::progress).collect();
            self.writer.write_blocking(move |db, _| {
                save(db, &vectors)?;
                progress.iter().try_for_each(|progress| progress.save(db))
            })?;
            self.show(shares.into_iter().flat_map(|share| share.chunks).collect());
        }
        self.tell_queue(through)?;
        Ok(true)
    }

    /// Tells how many chunks wait for their vectors.
    fn tell_queue(&self, through: u64) -> Result<(), Error> {
        self.queue_length.send_replace(self.readers.read(|db| embedding_queue::len(db, through))?);
        Ok(())
    }

    /// Gives each chunk its vector. One at which the model fails gets none, and its
    /// document's jobs say so.
    ///
    /// # Errors
    ///
    /// What the model says when it fails at everything.
    fn embed(&self, model: &dyn Embed, chunks: &mut [&mut Pending]) -> Result<(), Error> {
        let texts: Vec<_> = chunks.iter().map(|chunk| chunk.words.text.as_str()).collect();
        let vectors = isolate::embed_each(model, &texts).map_err(Error::Internal)?;
        for (chunk, vector) in chunks.iter_mut().zip(vectors) {
            match vector {
                Ok(vector) => chunk.vector = Some(vector),
                Err(error) => self.leave_out(chunk.chunk, &error)?,
            }
        }
        Ok(())
    }

    /// Has search find chunks by the vectors that were saved. A collection that is not
    /// in memory reads them from the database.
    fn show(&self, chunks: Vec<Pending>) {
        for (collection, work) in by_collection(chunks, Vec::new()) {
            if let Some(index) = self.indexes.loaded(collection) {
                index.add_vectors(&work.chunks);
            }
        }
    }

    /// Makes vectors for chunks that were indexed before there was a model.
    fn fill_vectors(&mut self) -> Result<bool, Error> {
        let Some(embedder) =
            self.embedder.get().filter(|_| !self.vectors_complete.load(Relaxed)).cloned()
        else {
            return Ok(false);
        };
        let through = *self.watermark.borrow();
        let mut missing = self
            .readers
            .read(|db| pending::without_vector(db, self.filled, through, self.embed_batch))?;
        let Some(last) = missing.last().map(|pending| pending.chunk) else {
            self.filled = through;
            self.vectors_complete.store(true, Relaxed);
            return Ok(false);
        };
        self.embed(embedder.as_ref(), &mut missing.iter_mut().collect::<Vec<_>>())?;
        let vectors = encoded(&missing);
        self.writer.write_blocking(move |db, _| save(db, &vectors))?;
        self.show(missing);
        self.filled = last;
        Ok(true)
    }

    /// A chunk that the model fails at holds up no other.
    fn leave_out(&self, chunk: u64, error: &str) -> Result<(), Error> {
        tracing::error!(chunk, error, "a chunk cannot be embedded");
        self.writer.write_blocking(move |db, _| jobs::not_embedded(db, chunk))
    }

    /// Vectors of another model are of no use to this one.
    fn adopt_model(&self, name: String) -> Result<(), Error> {
        const KEY: &str = "embedding_model";
        let known = self.readers.read(|db| {
            let mut statement = db.prepare_cached("SELECT value FROM meta WHERE name = ?1")?;
            Ok(statement.query_row([KEY], |row| row.get::<_, String>(0)).optional()?)
        })?;
        if known.as_deref() == Some(&name) {
            return Ok(());
        }
        self.writer.write_blocking(move |db, _| {
            db.execute("DELETE FROM vectors", [])?;
            jobs::forget_not_embedded(db)?;
            db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", (KEY, name))?;
            Ok(())
        })?;
        if known.is_some() {
            self.indexes.unload_all();
        }
        Ok(())
    }
}

/// Chunks that have a vector, and the vector as it is stored.
fn encoded<'a>(chunks: impl IntoIterator<Item = &'a Pending>) -> Vec<(u64, Vec<u8>)> {
    let vector = |chunk: &Pending| Some((chunk.chunk, encode_vector(chunk.vector.as_deref()?)));
    chunks.into_iter().filter_map(vector).collect()
}

/// Stores vectors. A chunk may have been deleted while its vector was made.
fn save(db: &Connection, vectors: &[(u64, Vec<u8>)]) -> Result<(), Error> {
    let mut insert = db.prepare_cached(
        "INSERT OR REPLACE INTO vectors (chunk, vector) SELECT id, ?2 FROM chunks WHERE id = ?1",
    )?;
    for (chunk, vector) in vectors {
        insert.execute((chunk, vector))?;
    }
    Ok(())
}

fn by_collection(pending: Vec<Pending>, removals: Vec<pending::Removal>) -> BTreeMap<i64, Work> {
    let mut all: BTreeMap<i64, Work> = BTreeMap::new();
    for chunk in pending {
        all.entry(chunk.collection).or_default().chunks.push(chunk);
    }
    for (n, collection, chunk) in removals {
        all.entry(collection).or_default().removals.push((n, chunk));
    }
    all
}
