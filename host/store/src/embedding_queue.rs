//! Documents that search finds by their words and that wait for their vectors.
//!
//! Embedding is a thousand times slower than indexing words. So a large file
//! must not stand between a small document and its vectors: collections take
//! turns, and within one the smallest documents share a turn with the oldest,
//! so that neither waits for ever.

use rusqlite::Connection;

use crate::pending::{self, Pending};
use crate::serving::{JOIN, VECTOR};
use crate::types::{Error, Seq};

/// A row is the chunks of one document up to `last_chunk`; those up to `done`
/// have their vectors.
pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS embedding_queue (
    last_chunk INTEGER PRIMARY KEY,
    done INTEGER NOT NULL,
    collection INTEGER NOT NULL,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE
) STRICT;
CREATE INDEX IF NOT EXISTS embedding_queue_by_size
    ON embedding_queue (collection, last_chunk - done, last_chunk);
CREATE INDEX IF NOT EXISTS embedding_queue_by_age ON embedding_queue (collection, last_chunk);
CREATE INDEX IF NOT EXISTS embedding_queue_by_document ON embedding_queue (document);
";

/// The least that a collection gets of a batch, in chunks: half of it goes to the
/// smallest documents, half to the oldest. So a batch serves few collections, and
/// the others have their turn with the next one, a second later.
const SHARE: usize = 8;

/// Puts the `count` chunks up to `last_chunk` into the queue.
pub(crate) fn push(
    db: &Connection,
    collection: i64,
    document: i64,
    last_chunk: u64,
    count: u64,
) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO embedding_queue (last_chunk, done, collection, document)
         VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((last_chunk, last_chunk.saturating_sub(count), collection, document))?;
    Ok(())
}

/// Whether search finds the document with this last chunk by all that it can:
/// by its words, which it does `through` here, and by its vectors.
pub(crate) fn is_searchable(db: &Connection, last_chunk: Seq, through: u64) -> Result<bool, Error> {
    Ok(last_chunk <= through && !is_waiting(db, last_chunk)?)
}

/// Whether the document with this last chunk is in the queue.
pub(crate) fn is_waiting(db: &Connection, last_chunk: Seq) -> Result<bool, Error> {
    let mut statement =
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM embedding_queue WHERE last_chunk = ?1)")?;
    Ok(statement.query_row([last_chunk], |row| row.get(0))?)
}

/// Whether any document up to this chunk is in the queue.
pub(crate) fn is_any_waiting(db: &Connection, last_chunk: Seq) -> Result<bool, Error> {
    let mut statement =
        db.prepare_cached("SELECT EXISTS (SELECT 1 FROM embedding_queue WHERE last_chunk <= ?1)")?;
    Ok(statement.query_row([last_chunk], |row| row.get(0))?)
}

/// Whether a document of this job is in the queue.
pub(crate) fn is_job_waiting(db: &Connection, job: &str) -> Result<bool, Error> {
    let mut statement = db.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM jobs JOIN job_items ON job_items.job = jobs.n
             JOIN embedding_queue ON embedding_queue.last_chunk = job_items.last_chunk
             WHERE jobs.id = ?1 AND failure IS NULL)",
    )?;
    Ok(statement.query_row([job], |row| row.get(0))?)
}

/// The models that serve chunks after `from` up to `through` which have no vector and
/// do not wait for one here: they were written before the model was there.
pub(crate) fn leaves_out(db: &Connection, from: u64, through: u64) -> Result<Vec<String>, Error> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT DISTINCT vectors_model FROM chunks {JOIN}
         WHERE chunks.id > ?1 AND chunks.id <= ?2 AND vectors_model IS NOT NULL
         AND {VECTOR} IS NULL AND NOT EXISTS
             (SELECT 1 FROM embedding_queue WHERE document = chunks.document)"
    ))?;
    Ok(statement.query_map([from, through], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Chunks in the queue that are found by their words, which all are `through` here.
pub(crate) fn len(db: &Connection, through: u64) -> Result<u64, Error> {
    let mut statement = db.prepare_cached(
        "SELECT coalesce(sum(last_chunk - done), 0) FROM embedding_queue WHERE last_chunk <= ?1",
    )?;
    Ok(statement.query_row([through], |row| row.get(0))?)
}

/// Chunks in the queue of each collection by its name, at most `most` collections: those
/// with the most chunks first.
pub(crate) fn by_collection(db: &Connection, most: usize) -> Result<Vec<(String, u64)>, Error> {
    let mut statement = db.prepare_cached(
        "SELECT name, sum(last_chunk - done) AS waiting
         FROM embedding_queue JOIN collections ON key = collection
         GROUP BY collection ORDER BY waiting DESC, name LIMIT ?1",
    )?;
    let rows = statement.query_map([most], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The next chunks of one document to embed.
pub(crate) struct Share {
    /// Names the row.
    last_chunk: u64,
    /// How far these chunks take the row.
    done: u64,
    /// Those that have no vector and can have one.
    pub(crate) chunks: Vec<Pending>,
}

/// The documents of one collection that are indexed through a chunk.
struct Turn {
    collection: i64,
    through: u64,
}

/// The next chunks to embed by `model`, at most `limit`, of documents that are indexed
/// `through` here. The collection after `last` has the first turn; the one that had
/// the last turn is returned.
pub(crate) fn next(
    db: &Connection,
    model: &str,
    last: i64,
    through: u64,
    limit: usize,
) -> Result<(Vec<Share>, i64), Error> {
    let collections = turns(db, model, last, limit.div_ceil(SHARE))?;
    let each = limit / collections.len().max(1);
    let mut shares = Vec::new();
    for collection in &collections {
        let turn = Turn { collection: *collection, through };
        take(db, model, turn.smallest(db, each)?, each / 2, &mut shares)?;
        take(db, model, turn.oldest(db, each)?, each - each / 2, &mut shares)?;
    }
    Ok((shares, collections.last().copied().unwrap_or(last)))
}

/// Up to `most` collections of this model with documents in the queue, in a ring that
/// begins after `last`.
fn turns(db: &Connection, model: &str, last: i64, most: usize) -> Result<Vec<i64>, Error> {
    let mut after = db.prepare_cached(
        "SELECT key FROM collections WHERE vectors_model = ?2
         AND EXISTS (SELECT 1 FROM embedding_queue WHERE collection = key)
         ORDER BY key <= ?1, key LIMIT ?3",
    )?;
    Ok(after.query_map((last, model, most), |row| row.get(0))?.collect::<Result<_, _>>()?)
}

impl Turn {
    fn smallest(&self, db: &Connection, limit: usize) -> Result<Vec<(u64, u64)>, Error> {
        self.rows(db, "last_chunk - done, last_chunk", limit)
    }

    fn oldest(&self, db: &Connection, limit: usize) -> Result<Vec<(u64, u64)>, Error> {
        self.rows(db, "last_chunk", limit)
    }

    /// Last chunk and last chunk done of the first `limit` rows in this order.
    fn rows(&self, db: &Connection, order: &str, limit: usize) -> Result<Vec<(u64, u64)>, Error> {
        let mut statement = db.prepare_cached(&format!(
            "SELECT last_chunk, done FROM embedding_queue
             WHERE collection = ?1 AND last_chunk <= ?2 ORDER BY {order} LIMIT ?3"
        ))?;
        let rows = statement.query_map((self.collection, self.through, limit), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

/// Takes up to `most` chunks of these rows, beyond what the shares have of them.
fn take(
    db: &Connection,
    model: &str,
    rows: Vec<(u64, u64)>,
    most: usize,
    shares: &mut Vec<Share>,
) -> Result<(), Error> {
    let mut left = most;
    for (last_chunk, done) in rows {
        if left == 0 {
            break;
        }
        let known = shares.iter().position(|share| share.last_chunk == last_chunk);
        let mut share = match known {
            Some(place) => shares.swap_remove(place),
            None => Share { last_chunk, done, chunks: Vec::new() },
        };
        let chunks = pending::without_vector(db, model, share.done, last_chunk, left)?;
        let full = chunks.len() == left;
        left -= chunks.len();
        let reached = chunks.last().filter(|_| full).map(|chunk| chunk.chunk);
        share.done = reached.unwrap_or(last_chunk);
        share.chunks.extend(chunks);
        shares.push(share);
    }
    Ok(())
}

/// What a share leaves behind once its vectors are written.
pub(crate) struct Progress {
    last_chunk: u64,
    done: u64,
}

impl Share {
    /// How far it takes its row.
    pub(crate) fn progress(&self) -> Progress {
        Progress { last_chunk: self.last_chunk, done: self.done }
    }
}

impl Progress {
    /// Writes it down; a row without chunks goes.
    pub(crate) fn save(&self, db: &Connection) -> Result<(), Error> {
        if self.done < self.last_chunk {
            db.prepare_cached("UPDATE embedding_queue SET done = ?2 WHERE last_chunk = ?1")?
                .execute((self.last_chunk, self.done))?;
        } else {
            db.prepare_cached("DELETE FROM embedding_queue WHERE last_chunk = ?1")?
                .execute([self.last_chunk])?;
        }
        Ok(())
    }
}

/// Takes out of the queue what waits for `model`, when it does not work. What was in it
/// counts as found, by its words, and gets its vectors as the chunks do that were there
/// before the model.
pub(crate) fn give_up(db: &Connection, model: &str) -> Result<(), Error> {
    db.execute(
        "DELETE FROM embedding_queue WHERE collection IN
             (SELECT key FROM collections WHERE vectors_model = ?1)",
        [model],
    )?;
    Ok(())
}

/// The same for all models, when the store opens, perhaps without one.
pub(crate) fn clear(db: &Connection) -> Result<(), Error> {
    db.execute("DELETE FROM embedding_queue", [])?;
    Ok(())
}
