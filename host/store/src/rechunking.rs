//! The chunking spec of each document, and rechunking where a collection wants another.
//!
//! New chunks are written beside the old ones, which serve until the indexes
//! have the new ones too. Then the old ones go, in the same transaction that
//! makes the new ones the document's own; a crash in between resumes there.

use std::sync::Arc;

use ragtime_policy::chunking::{Chunking, ChunkingSpec};
use ragtime_policy::cursor;
use rusqlite::{Connection, OptionalExtension};

use crate::models::Known;
use crate::types::{Error, NewChunk, NewDocument, StaleDocument};
use crate::writer::Effects;
use crate::{details, documents, models};

/// `cut` is the chunking spec of the newest chunks; `next_last` and `next_count`
/// stand there while those are not yet the document's own.
pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS chunkings (
    collection INTEGER PRIMARY KEY REFERENCES collections ON DELETE CASCADE,
    tokens INTEGER NOT NULL,
    overlap INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS cuts (
    document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE,
    collection INTEGER NOT NULL,
    cut TEXT NOT NULL,
    next_last INTEGER,
    next_count INTEGER,
    outline TEXT NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS cuts_by_collection ON cuts (collection, document, cut);
CREATE INDEX IF NOT EXISTS cuts_under_way ON cuts (next_last) WHERE next_last IS NOT NULL;
";

/// Bytes of texts handed out at once, unless the first has more.
const MAX_HANDED_BYTES: usize = 4 * 1024 * 1024;
/// The list that cursors are of.
const LIST: &str = "uncut";

/// The lengths that a collection wants.
pub(crate) fn chunking(db: &Connection, collection: i64) -> Result<Chunking, Error> {
    let mut statement =
        db.prepare_cached("SELECT tokens, overlap FROM chunkings WHERE collection = ?1")?;
    let found = statement
        .query_row([collection], |row| Ok(Chunking { tokens: row.get(0)?, overlap: row.get(1)? }));
    Ok(found.optional()?.unwrap_or_default())
}

pub(crate) fn set_chunking(
    db: &Connection,
    collection: i64,
    chunking: Chunking,
) -> Result<(), Error> {
    chunking.check().map_err(Error::Invalid)?;
    db.execute(
        "INSERT OR REPLACE INTO chunkings (collection, tokens, overlap) VALUES (?1, ?2, ?3)",
        (collection, chunking.tokens, chunking.overlap),
    )?;
    Ok(())
}

/// Writes down the chunking spec of a document that was just written.
pub(crate) fn note(
    db: &Connection,
    document: i64,
    collection: i64,
    cut: &ChunkingSpec,
    outline: &str,
) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT INTO cuts (document, collection, cut, outline) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((document, collection, cut.label(), outline))?;
    Ok(())
}

/// Stale documents of a collection: those that have another chunking spec than `wanted`, by
/// number after `after`. With `indexed_through`, only those that search finds.
fn stale(
    db: &Connection,
    collection: i64,
    wanted: &ChunkingSpec,
    after: i64,
    indexed_through: Option<u64>,
    mut take: impl FnMut(i64) -> Result<bool, Error>,
) -> Result<(), Error> {
    let mut statement = db.prepare_cached(
        "SELECT cuts.document, cut FROM cuts JOIN documents ON documents.key = cuts.document
         WHERE cuts.collection = ?1 AND cuts.document > ?2 AND cut <> ?3 AND (?4 IS NULL OR last_chunk <= ?4)
         AND chunk_count > 0
         ORDER BY cuts.document",
    )?;
    let mut rows = statement.query((collection, after, wanted.label(), indexed_through))?;
    while let Some(row) = rows.next()? {
        let cut = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        if !wanted.is_met_by(cut) && !take(row.get(0)?)? {
            break;
        }
    }
    Ok(())
}

/// How many documents of a collection are stale, with those whose new chunks are not
/// their own yet.
pub(crate) fn count(db: &Connection, collection: i64, known: &Known) -> Result<u64, Error> {
    let mut count = db
        .prepare_cached(
            "SELECT count(*) FROM cuts WHERE next_last IS NOT NULL AND collection = ?1",
        )?
        .query_row([collection], |row| row.get(0))?;
    stale(db, collection, &wanted(db, collection, known)?, 0, None, |_| {
        count += 1;
        Ok(true)
    })?;
    Ok(count)
}

/// The chunking spec that a collection wants: by the tokens of the model whose vectors
/// serve, if that model counts tokens.
pub(crate) fn wanted(
    db: &Connection,
    collection: i64,
    known: &Known,
) -> Result<ChunkingSpec, Error> {
    let models = models::of(db, collection)?;
    let model = models.effective(known).filter(|model| known.counting.contains(*model));
    Ok(ChunkingSpec { chunking: chunking(db, collection)?, model: model.map(str::to_owned) })
}

/// The next stale documents, with what is needed to chunk them, and the cursor of the
/// page after.
pub(crate) fn next(
    db: &Connection,
    collection: &str,
    known: &Known,
    after: Option<&str>,
    limit: usize,
    indexed_through: u64,
) -> Result<(Vec<StaleDocument>, Option<String>), Error> {
    let key = documents::collection_key(db, collection)?;
    let after = after.map(|after| cursor::decode(LIST, after)).transpose()?;
    // A document that is gone: those before it were rechunked, and are not stale any more.
    let after = match after {
        Some(id) => documents::number_of(db, key, &id)?.unwrap_or(0),
        None => 0,
    };
    let mut numbers = Vec::new();
    stale(db, key, &wanted(db, key, known)?, after, Some(indexed_through), |number| {
        numbers.push(number);
        Ok(numbers.len() <= limit)
    })?;
    let more = documents::cut(&mut numbers, limit);
    let mut read = db.prepare_cached(
        "SELECT id, media_type, text, outline, sha256 FROM documents
         JOIN cuts ON cuts.document = documents.key WHERE documents.key = ?1",
    )?;
    let (mut found, mut bytes) = (Vec::<StaleDocument>::new(), 0);
    for number in &numbers {
        let document = read.query_row([number], |row| {
            Ok(StaleDocument {
                id: row.get(0)?,
                media_type: row.get(1)?,
                text: row.get(2)?,
                outline: row.get(3)?,
                sha256: row.get(4)?,
            })
        })?;
        bytes += document.text.len();
        if bytes > MAX_HANDED_BYTES && !found.is_empty() {
            break;
        }
        found.push(document);
    }
    let more = more || found.len() < numbers.len();
    let next = found.last().filter(|_| more).map(|last| cursor::encode(LIST, &last.id));
    Ok((found, next))
}

/// Names of collections with stale documents.
pub(crate) fn collections(
    db: &Connection,
    known: &Known,
    indexed_through: u64,
) -> Result<Vec<String>, Error> {
    let mut statement = db.prepare_cached("SELECT key, name FROM collections ORDER BY name")?;
    let all: Vec<(i64, String)> =
        statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
    let mut named = Vec::new();
    for (key, name) in all {
        let mut any = false;
        stale(db, key, &wanted(db, key, known)?, 0, Some(indexed_through), |_| {
            any = true;
            Ok(false)
        })?;
        if any {
            named.push(name);
        }
    }
    Ok(named)
}

/// Gives a document new chunks, if its text still has this hash and no rechunking of the
/// document is under way; true if it did.
pub(crate) fn rechunk(
    db: &Connection,
    collection: &str,
    id: &str,
    sha256: &str,
    chunks: &[NewChunk],
    cut: &ChunkingSpec,
    known: &Arc<Known>,
) -> Result<bool, Error> {
    let collection = documents::collection_key(db, collection)?;
    let found: Option<(i64, Option<String>, String, String, String)> = db
        .prepare_cached(
            "SELECT key, title, media_type, metadata, text FROM documents
             JOIN cuts ON cuts.document = documents.key
             WHERE documents.collection = ?1 AND id = ?2 AND sha256 = ?3 AND next_last IS NULL",
        )?
        .query_row((collection, id, sha256), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((key, title, media_type, metadata, text)) = found else { return Ok(false) };
    if chunks.is_empty() {
        return Err(Error::Invalid("a text that had chunks has some".into()));
    }
    let document = NewDocument {
        id: Some(id.to_owned()),
        title,
        text,
        media_type,
        metadata,
        chunks: chunks.to_vec(),
        cut: cut.clone(),
        outline: String::new(),
        details: details::of_row(db, key)?,
    };
    let prepared = documents::prepare(document, known)?;
    if !documents::has_chunks(db, key, prepared.chunks())? {
        let last_given = documents::last_chunk_ever(db)?;
        documents::add_chunks(db, collection, key, last_given, &prepared)?;
        let count = chunks.len() as u64;
        db.prepare_cached("UPDATE cuts SET next_last = ?2, next_count = ?3 WHERE document = ?1")?
            .execute((key, last_given + count, count))?;
    }
    // A client that sends the same again changes nothing.
    db.prepare_cached("UPDATE documents SET fingerprint = ?2 WHERE key = ?1")?
        .execute((key, prepared.fingerprint()))?;
    db.prepare_cached("UPDATE cuts SET cut = ?2 WHERE document = ?1")?
        .execute((key, cut.label()))?;
    Ok(true)
}

/// Documents whose new chunks are in the indexes, which have every chunk up to `?1`, and
/// have their vectors.
const RETIRABLE: &str =
    "next_last <= ?1 AND next_last NOT IN (SELECT last_chunk FROM embedding_queue)";

/// Whether a document has old chunks that can be retired.
pub(crate) fn any_to_retire(db: &Connection, indexed_through: u64) -> Result<bool, Error> {
    let mut statement =
        db.prepare_cached(&format!("SELECT EXISTS (SELECT 1 FROM cuts WHERE {RETIRABLE})"))?;
    Ok(statement.query_row([indexed_through], |row| row.get(0))?)
}

/// Retires the old chunks of documents whose new ones search finds.
pub(crate) fn retire(
    db: &Connection,
    indexed_through: u64,
    effects: &mut Effects,
) -> Result<(), Error> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT key, cuts.collection, last_chunk, next_last, next_count FROM cuts
         JOIN documents ON documents.key = cuts.document WHERE {RETIRABLE}"
    ))?;
    let retirable: Vec<(i64, i64, u64, u64, u64)> = statement
        .query_map([indexed_through], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    for (document, collection, old_last, last, count) in retirable {
        documents::remove_chunks(db, collection, document, Some(old_last), effects)?;
        db.prepare_cached("UPDATE documents SET last_chunk = ?2, chunk_count = ?3 WHERE key = ?1")?
            .execute((document, last, count))?;
        db.prepare_cached(
            "UPDATE cuts SET next_last = NULL, next_count = NULL WHERE document = ?1",
        )?
        .execute([document])?;
    }
    Ok(())
}
