//! The indexer: one thread that brings the indexes up to the database.
//!
//! It follows chunk ids. What it has not done before a crash it does after:
//! every lexical index records how far it has come, and vectors are in the
//! database itself.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rusqlite::{Connection, OptionalExtension};
use tokio::sync::watch;

use crate::documents::headings_from_json;
use crate::index::{CollectionIndex, Indexes, encode_vector};
use crate::lexical::{LexicalWriter, Progress};
use crate::reader::Readers;
use crate::types::{Embed, Error};
use crate::writer::Writer;

/// Writers without work are closed after this long; one holds 15 MB.
const WRITER_IDLE: Duration = Duration::from_secs(10);
/// How long to wait before trying again what failed.
const RETRY: Duration = Duration::from_millis(500);

/// What wakes the indexer.
pub(crate) enum Wake {
    /// Something was written.
    Written,
    /// A model has come.
    Embedder,
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
    pub(crate) batch: usize,
    pub(crate) open: HashMap<i64, LexicalWriter>,
    /// Whether the vectors in the database are known to be of this model.
    pub(crate) adopted: bool,
}

/// A chunk that is to be indexed.
struct Pending {
    chunk: u64,
    document: u64,
    collection: i64,
    text: String,
}

/// Chunks of one collection with their vectors, and removals.
#[derive(Default)]
struct Work {
    chunks: Vec<(Pending, Option<Vec<f32>>)>,
    removals: Vec<(i64, u64)>,
}

impl Indexer {
    /// Works until told to stop.
    pub(crate) fn run(mut self, wakes: &Receiver<Wake>) {
        loop {
            let wait = match self.step() {
                Ok(true) => Duration::ZERO,
                Ok(false) => WRITER_IDLE,
                Err(error) => {
                    tracing::error!(%error, "indexing failed and will be tried again");
                    // A writer that failed half-way is not to be trusted.
                    self.open.clear();
                    RETRY
                }
            };
            match wakes.recv_timeout(wait) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Wake::Written | Wake::Embedder) => {}
                Err(RecvTimeoutError::Timeout) if wait == WRITER_IDLE => self.open.clear(),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    /// Does one batch; true when there may be more.
    fn step(&mut self) -> Result<bool, Error> {
        if let Some(embedder) = self.embedder.get()
            && !self.adopted
        {
            self.adopt_model(embedder.name().to_owned())?;
            self.adopted = true;
        }
        if self.index_batch()? {
            return Ok(true);
        }
        self.fill_vectors()
    }

    fn index_batch(&mut self) -> Result<bool, Error> {
        let from = *self.watermark.borrow();
        let (collections, through) = self.readers.read(|db| upcoming(db, from, self.batch))?;
        // In memory before the chunks are read: from here on, a removal finds
        // the index or comes before the snapshot.
        let mut indexes = BTreeMap::new();
        for collection in collections {
            indexes.insert(collection, self.indexes.get(collection, from)?);
        }
        let (pending, removals) =
            self.readers.read(|db| Ok((pending(db, from, through)?, removals(db)?)))?;
        if pending.is_empty() && removals.is_empty() {
            let advanced = through > from;
            self.watermark.send_replace(through);
            return Ok(advanced);
        }
        let vectors = self.embed_new(&pending)?;
        let mut work: BTreeMap<i64, Work> = BTreeMap::new();
        for (chunk, vector) in pending.into_iter().zip(vectors) {
            work.entry(chunk.collection).or_default().chunks.push((chunk, vector));
        }
        let last_removal = removals.last().map(|(n, ..)| *n);
        for (n, collection, chunk) in removals {
            work.entry(collection).or_default().removals.push((n, chunk));
        }
        self.open.retain(|collection, _| self.indexes.is_loaded(*collection));
        for (collection, work) in &work {
            let index = match indexes.get(collection) {
                Some(index) => Arc::clone(index),
                None => self.indexes.get(*collection, from)?,
            };
            let applied = self.apply(*collection, &index, work, through);
            if self.indexes.is_loaded(*collection) {
                applied?;
            } else {
                // Deleted meanwhile, and its files with it.
                self.open.remove(collection);
            }
        }
        if let Some(last) = last_removal {
            self.writer.write_blocking(move |db, _| {
                db.execute("DELETE FROM removals WHERE n <= ?1", [last])?;
                Ok(())
            })?;
        }
        self.watermark.send_replace(through);
        Ok(true)
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
        let done = index.lexical.progress()?;
        let writer = match self.open.entry(collection) {
            std::collections::hash_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::hash_map::Entry::Vacant(vacant) => {
                vacant.insert(index.lexical.writer()?)
            }
        };
        for (pending, _) in work.chunks.iter().filter(|(pending, _)| pending.chunk > done.chunk) {
            writer.add(pending.chunk, &pending.text)?;
        }
        for (_, chunk) in &work.removals {
            writer.remove(*chunk);
        }
        let removal = work.removals.last().map_or(done.removal, |(n, _)| *n);
        writer.commit(Progress { chunk: through.max(done.chunk), removal })?;
        index.lexical.reload()?;
        let chunks: Vec<_> = work
            .chunks
            .iter()
            .map(|(pending, vector)| (pending.chunk, pending.document, vector.as_deref()))
            .collect();
        index.add(&chunks);
        Ok(())
    }

    /// Vectors for new chunks, on disk before the chunks are findable. Without
    /// a model, or when it fails, there are none for now.
    fn embed_new(&self, pending: &[Pending]) -> Result<Vec<Option<Vec<f32>>>, Error> {
        let texts: Vec<_> = pending.iter().map(|pending| pending.text.as_str()).collect();
        let Some(vectors) = self.embed(&texts) else {
            self.vectors_complete
                .store(pending.is_empty() && self.vectors_complete.load(Relaxed), Relaxed);
            return Ok(pending.iter().map(|_| None).collect());
        };
        self.save(
            pending
                .iter()
                .map(|pending| pending.chunk)
                .zip(vectors.iter().map(|v| encode_vector(v))),
        )?;
        Ok(vectors.into_iter().map(Some).collect())
    }

    fn embed(&self, texts: &[&str]) -> Option<Vec<Vec<f32>>> {
        let embedder = self.embedder.get()?;
        match embedder.embed(texts) {
            Ok(vectors) if vectors.len() == texts.len() => Some(vectors),
            Ok(vectors) => {
                tracing::error!(
                    asked = texts.len(),
                    got = vectors.len(),
                    "the embedding model lost texts"
                );
                None
            }
            Err(error) => {
                tracing::error!(%error, "embedding failed");
                None
            }
        }
    }

    /// A chunk may have been deleted while its vector was made.
    fn save(&self, vectors: impl Iterator<Item = (u64, Vec<u8>)>) -> Result<(), Error> {
        let vectors: Vec<_> = vectors.collect();
        self.writer.write_blocking(move |db, _| {
            let mut insert = db.prepare_cached(
                "INSERT OR REPLACE INTO vectors (chunk, vector) SELECT id, ?2 FROM chunks WHERE id = ?1",
            )?;
            for (chunk, vector) in vectors {
                insert.execute((chunk, vector))?;
            }
            Ok(())
        })
    }

    /// Makes vectors for chunks that were indexed before there was a model.
    fn fill_vectors(&mut self) -> Result<bool, Error> {
        if self.embedder.get().is_none() || self.vectors_complete.load(Relaxed) {
            return Ok(false);
        }
        let through = *self.watermark.borrow();
        let missing = self.readers.read(|db| without_vector(db, through, self.batch))?;
        if missing.is_empty() {
            self.vectors_complete.store(true, Relaxed);
            return Ok(false);
        }
        let texts: Vec<_> = missing.iter().map(|pending| pending.text.as_str()).collect();
        let vectors =
            self.embed(&texts).ok_or_else(|| Error::Internal("no vectors were made".into()))?;
        self.save(
            missing
                .iter()
                .map(|pending| pending.chunk)
                .zip(vectors.iter().map(|v| encode_vector(v))),
        )?;
        let mut by_collection: BTreeMap<i64, Vec<(u64, Vec<f32>)>> = BTreeMap::new();
        for (pending, vector) in missing.into_iter().zip(vectors) {
            by_collection.entry(pending.collection).or_default().push((pending.chunk, vector));
        }
        for (collection, vectors) in by_collection {
            self.indexes.get(collection, through)?.add_vectors(&vectors);
        }
        Ok(true)
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
            db.execute("INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)", (KEY, name))?;
            Ok(())
        })?;
        if known.is_some() {
            self.indexes.unload_all();
        }
        Ok(())
    }
}

/// The collections of the next chunks, and how far a batch of them goes. At
/// the end that is the last id ever given, so that nobody waits for a chunk
/// that was deleted before its turn.
fn upcoming(db: &Connection, from: u64, limit: usize) -> Result<(Vec<i64>, u64), Error> {
    let mut statement =
        db.prepare_cached("SELECT id, collection FROM chunks WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = statement.query_map((from, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let rows: Vec<(u64, i64)> = rows.collect::<Result<_, _>>()?;
    let through = match rows.last() {
        Some((last, _)) if rows.len() == limit => *last,
        _ => last_chunk(db)?.max(from),
    };
    let mut collections: Vec<_> = rows.into_iter().map(|(_, collection)| collection).collect();
    collections.sort_unstable();
    collections.dedup();
    Ok((collections, through))
}

/// The last chunk id ever given.
pub(crate) fn last_chunk(db: &Connection) -> Result<u64, Error> {
    let mut statement =
        db.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

const CHUNK_TEXT: &str = "SELECT chunks.id, chunks.document, chunks.collection, title, headings,
    CAST(substr(CAST(text AS BLOB), start + 1, end - start) AS TEXT)
    FROM chunks JOIN documents ON documents.key = chunks.document";

fn pending(db: &Connection, from: u64, through: u64) -> Result<Vec<Pending>, Error> {
    let sql = format!("{CHUNK_TEXT} WHERE chunks.id > ?1 AND chunks.id <= ?2 ORDER BY chunks.id");
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map((from, through), pending_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn without_vector(db: &Connection, through: u64, limit: usize) -> Result<Vec<Pending>, Error> {
    let sql = format!(
        "{CHUNK_TEXT} LEFT JOIN vectors ON vectors.chunk = chunks.id
         WHERE vectors.chunk IS NULL AND chunks.id <= ?1 ORDER BY chunks.id LIMIT ?2"
    );
    let mut statement = db.prepare_cached(&sql)?;
    let rows = statement.query_map((through, limit), pending_of)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// What is indexed of a chunk: the title and the headings above it belong to
/// its meaning.
fn pending_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Pending> {
    let title: Option<String> = row.get(3)?;
    let headings = headings_from_json(&row.get::<_, String>(4)?);
    let above =
        title.iter().chain(headings.iter().filter(|heading| Some(*heading) != title.as_ref()));
    let mut text = String::new();
    for line in above.filter(|line| !line.is_empty()) {
        text.push_str(line);
        text.push('\n');
    }
    text.push_str(&row.get::<_, String>(5)?);
    Ok(Pending { chunk: row.get(0)?, document: row.get(1)?, collection: row.get(2)?, text })
}

fn removals(db: &Connection) -> Result<Vec<(i64, i64, u64)>, Error> {
    let mut statement =
        db.prepare_cached("SELECT n, collection, chunk FROM removals ORDER BY n")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}
