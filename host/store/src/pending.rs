//! What the database has that the indexes may not have yet.

use std::collections::{BTreeMap, BTreeSet};

use ragtime_text::{Language, Words};
use rusqlite::{Connection, Params};

use crate::details;
use crate::documents::{headings_from_json, indexed_text, last_chunk_ever, slice};
use crate::index::vector::decode_vector;
use crate::serving::{FAILED, JOIN, VECTOR};
use crate::types::Error;

/// A chunk that is to be indexed.
pub(crate) struct Pending {
    pub(crate) chunk: u64,
    pub(crate) document: u64,
    pub(crate) collection: i64,
    /// What is indexed of it.
    pub(crate) words: Words,
    pub(crate) vector: Option<Vec<f32>>,
}

/// A chunk that is to be taken out: number of the removal, collection, chunk.
pub(crate) type Removal = (i64, i64, u64);

/// Chunks of one collection, and removals.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) chunks: Vec<Pending>,
    pub(crate) removals: Vec<(i64, u64)>,
}

/// Collections in one batch: their indexes are held in memory together.
const MAX_COLLECTIONS: usize = 32;

/// The collections of the next chunks, and how far a batch of them goes. At
/// the end that is the last id ever given, so that nobody waits for a chunk
/// that was deleted before its turn.
pub(crate) fn upcoming(
    db: &Connection,
    from: u64,
    limit: usize,
) -> Result<(BTreeSet<i64>, u64), Error> {
    let mut statement =
        db.prepare_cached("SELECT id, collection FROM chunks WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    let rows = statement.query_map((from, limit), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut collections = BTreeSet::new();
    let (mut last, mut count) = (from, 0);
    for row in rows {
        let (chunk, collection): (u64, i64) = row?;
        if collections.len() == MAX_COLLECTIONS && !collections.contains(&collection) {
            return Ok((collections, last));
        }
        collections.insert(collection);
        (last, count) = (chunk, count + 1);
    }
    let through = if count == limit { last } else { last_chunk_ever(db)?.max(from) };
    Ok((collections, through))
}

/// The chunks after `from` up to `through`.
pub(crate) fn between(db: &Connection, from: u64, through: u64) -> Result<Vec<Pending>, Error> {
    read(db, "chunks.id > ?1 AND chunks.id <= ?2 ORDER BY chunks.id", (from, through))
}

/// The first `limit` of a collection's chunks after `from` up to `through`.
pub(crate) fn of_collection(
    db: &Connection,
    collection: i64,
    from: u64,
    through: u64,
    limit: usize,
) -> Result<Vec<Pending>, Error> {
    let which = "collection = ?1 AND chunks.id > ?2 AND chunks.id <= ?3
        ORDER BY chunks.id LIMIT ?4";
    read(db, which, (collection, from, through, limit))
}

/// The first `limit` of these that have no vector of `model`, which serves their
/// collection, and can have one.
pub(crate) fn without_vector(
    db: &Connection,
    model: &str,
    from: u64,
    through: u64,
    limit: usize,
) -> Result<Vec<Pending>, Error> {
    let which = format!(
        "chunks.id > ?1 AND chunks.id <= ?2 AND vectors_model = ?4
         AND {VECTOR} IS NULL AND NOT {FAILED} ORDER BY chunks.id LIMIT ?3"
    );
    read(db, &which, (from, through, limit, model))
}

/// Every removal that the indexes may not have yet.
pub(crate) fn removals(db: &Connection) -> Result<Vec<Removal>, Error> {
    let mut statement =
        db.prepare_cached("SELECT n, collection, chunk FROM removals ORDER BY n")?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

struct Source {
    document: u64,
    id: String,
    title: Option<String>,
    text: String,
    language: Option<Language>,
    file: Option<String>,
}

/// Chunks that meet `which`, with the vectors that serve.
pub(crate) fn read(
    db: &Connection,
    which: &str,
    params: impl Params,
) -> Result<Vec<Pending>, Error> {
    let mut chunks = db.prepare_cached(&format!(
        "SELECT chunks.id, document, collection, start, end, headings, {VECTOR}
         FROM chunks {JOIN} WHERE {which}"
    ))?;
    let mut documents =
        db.prepare_cached("SELECT id, title, text FROM documents WHERE key = ?1")?;
    let mut rows = chunks.query(params)?;
    let mut found = Vec::new();
    // Neighbours are mostly of one document, and its text may be long.
    let mut last: Option<Source> = None;
    while let Some(row) = rows.next()? {
        let document = row.get(1)?;
        let source = match last.take().filter(|source| source.document == document) {
            Some(source) => source,
            None => with_details(
                db,
                documents.query_row([document], |row| {
                    let text: String = row.get(2)?;
                    let id = row.get(0)?;
                    Ok(Source {
                        document,
                        id,
                        title: row.get(1)?,
                        text,
                        language: None,
                        file: None,
                    })
                })?,
            )?,
        };
        found.push(pending_of(row, last.insert(source))?);
    }
    Ok(found)
}

/// One from before languages were stored is in the language that is detected in its text.
fn with_details(db: &Connection, mut source: Source) -> Result<Source, Error> {
    let document = i64::try_from(source.document).unwrap_or(i64::MAX);
    let stored = details::language_of(db, document)?;
    source.language = stored.or_else(|| ragtime_text::detect(&source.text, None));
    source.file = details::of_row(db, document)?.file_name;
    Ok(source)
}

fn pending_of(row: &rusqlite::Row<'_>, source: &Source) -> Result<Pending, Error> {
    let headings = headings_from_json(&row.get::<_, String>(5)?);
    let text = slice(&source.text, &(row.get(3)?..row.get(4)?));
    let text = text.ok_or_else(|| Error::Internal("a stored chunk is outside its text".into()))?;
    let blob = row.get_ref(6)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    Ok(Pending {
        chunk: row.get(0)?,
        document: source.document,
        collection: row.get(2)?,
        words: Words {
            text: indexed_text(source.title.as_deref(), &headings, text),
            names: Words::names(
                &source.id,
                source.file.as_deref(),
                source.title.as_deref(),
                &headings,
            ),
            language: source.language,
        },
        vector: blob.and_then(decode_vector),
    })
}

/// Work by collection.
pub(crate) fn by_collection(pending: Vec<Pending>, removals: Vec<Removal>) -> BTreeMap<i64, Work> {
    let mut all: BTreeMap<i64, Work> = BTreeMap::new();
    for chunk in pending {
        all.entry(chunk.collection).or_default().chunks.push(chunk);
    }
    for (n, collection, chunk) in removals {
        all.entry(collection).or_default().removals.push((n, chunk));
    }
    all
}
