//! Documents and collections in the database.

use std::ops::Range;
use std::sync::Arc;

use ragtime_policy::bounds::Bounds;
use ragtime_policy::chunking::Chunking;
use ragtime_policy::cursor;
use ragtime_policy::digest::hex;
use ragtime_policy::names;
use ragtime_policy::version::{Condition, version};
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256};

use crate::Filter;
use crate::models::Known;
use crate::types::{
    Between, Chunk, Collection, Document, DocumentSummary, Error, MAX_OUTLINE_EXTRA, NewChunk,
    NewDocument, Outcome, Passage, Put, Quote, Warning,
};
use crate::writer::Effects;
use crate::{cuts, details, embedding_queue, models};

/// The collection that is always there.
const DEFAULT: &str = "default";
/// What is indexed of a chunk, in bytes. A model sees far less; the bound keeps
/// the memory of an indexing step small.
const MAX_INDEXED: usize = 256 * 1_024;

const SUMMARY: &str = "id, title, media_type, metadata, octet_length(text), chunk_count, sha256, \
                       created_at, updated_at, last_chunk, \
                       (SELECT language FROM document_details WHERE document = key), \
                       (SELECT file_name FROM document_details WHERE document = key)";

/// The key of a collection.
pub(crate) fn collection_key(connection: &Connection, name: &str) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT key FROM collections WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()?.ok_or(Error::UnknownCollection)
}

/// The keys of all collections.
pub(crate) fn collection_keys(connection: &Connection) -> Result<Vec<i64>, Error> {
    let mut statement = connection.prepare_cached("SELECT key FROM collections ORDER BY key")?;
    Ok(statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?)
}

/// Whether there is a collection of this key.
pub(crate) fn exists(connection: &Connection, key: i64) -> Result<bool, Error> {
    let mut statement =
        connection.prepare_cached("SELECT count(*) > 0 FROM collections WHERE key = ?1")?;
    Ok(statement.query_row([key], |row| row.get(0))?)
}

pub(crate) fn collections(
    connection: &Connection,
    known: &Known,
) -> Result<Vec<Collection>, Error> {
    let mut statement = connection.prepare_cached("SELECT name FROM collections ORDER BY name")?;
    let names: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    names.iter().map(|name| collection(connection, name, known)).collect()
}

/// A collection, with the embedding models there are.
pub(crate) fn collection(
    connection: &Connection,
    name: &str,
    known: &Known,
) -> Result<Collection, Error> {
    let key = collection_key(connection, name)?;
    let (chunking, uncut) =
        (cuts::chunking(connection, key)?, cuts::count(connection, key, known)?);
    let mut statement = connection.prepare_cached(
        "SELECT name, created_at,
             (SELECT count(*) FROM documents WHERE collection = collections.key),
             (SELECT count(*) FROM chunks WHERE collection = collections.key)
         FROM collections WHERE name = ?1",
    )?;
    let found = statement.query_row([name], |row| {
        Ok(Collection {
            name: row.get(0)?,
            created_at: row.get(1)?,
            documents: row.get(2)?,
            chunks: row.get(3)?,
            chunking,
            uncut,
        })
    });
    found.optional()?.ok_or(Error::UnknownCollection)
}

pub(crate) fn create_collection(
    connection: &Connection,
    name: &str,
    chunking: Option<Chunking>,
    model: Option<&str>,
    (known, bounds): (&Known, Bounds),
    now: u64,
) -> Result<Collection, Error> {
    names::check_collection(name).map_err(|error| Error::Invalid(error.to_string()))?;
    let made = connection.execute(
        "INSERT OR IGNORE INTO collections (name, created_at) VALUES (?1, ?2)",
        (name, now),
    )?;
    if made == 0 {
        return Err(Error::CollectionExists);
    }
    // This one is counted, and goes with the transaction if it is one too many.
    let count: u64 =
        connection.query_row("SELECT count(*) - 1 FROM collections", [], |row| row.get(0))?;
    let more = bounds.check_one_more_collection(count);
    more.map_err(|error| Error::Invalid(error.to_string()))?;
    if let Some(chunking) = chunking {
        cuts::set_chunking(connection, collection_key(connection, name)?, chunking)?;
    }
    models::choose(connection, collection_key(connection, name)?, model, known)?;
    collection(connection, name, known)
}

pub(crate) fn delete_collection(
    connection: &Connection,
    name: &str,
    effects: &mut Effects,
) -> Result<(), Error> {
    let key = collection_key(connection, name)?;
    if name == DEFAULT {
        return Err(Error::CollectionProtected);
    }
    connection.execute("DELETE FROM removals WHERE collection = ?1", [key])?;
    connection.execute("DELETE FROM collections WHERE key = ?1", [key])?;
    effects.dropped.push(key);
    Ok(())
}

/// A document checked and hashed, before the writing thread takes it.
pub(crate) struct Prepared {
    document: NewDocument,
    id: String,
    sha256: String,
    /// Hash of everything a client can set, so that a document sent again is
    /// known again.
    fingerprint: Vec<u8>,
    /// The language that the text tells.
    detected: Option<ragtime_text::Language>,
    /// The models there are to embed it.
    known: Arc<Known>,
}

/// Checks and hashes a document.
pub(crate) fn prepare(document: NewDocument, known: &Arc<Known>) -> Result<Prepared, Error> {
    let id = match &document.id {
        Some(id) => id.clone(),
        None => uuid::Uuid::now_v7().to_string(),
    };
    names::check_document_id(&id).map_err(|error| Error::Invalid(error.to_string()))?;
    for chunk in &document.chunks {
        check_chunk(&document, chunk)?;
    }
    if document.outline.len() > document.text.len() + MAX_OUTLINE_EXTRA {
        return Err(Error::Invalid("an outline is not longer than its text".into()));
    }
    document.details.check().map_err(Error::Invalid)?;
    let sha256 = Sha256::digest(&document.text);
    let mut hash = Sha256::new();
    for part in
        [document.title.as_deref().unwrap_or_default(), &document.media_type, &document.metadata]
    {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.update([u8::from(document.title.is_some())]);
    hash.update(sha256);
    for chunk in &document.chunks {
        hash.update(chunk.span.start.to_le_bytes());
        hash.update(chunk.span.end.to_le_bytes());
        hash.update(headings_to_json(&chunk.headings));
        if let Some(page) = chunk.page {
            hash.update(page.to_le_bytes());
        }
    }
    if let Some(details) = document.details.canonical() {
        hash.update(details);
    }
    let sha256 = hex(&sha256);
    let detected = ragtime_text::detect(&document.text, None);
    let fingerprint = hash.finalize().to_vec();
    Ok(Prepared { id, sha256, fingerprint, known: Arc::clone(known), document, detected })
}

impl Prepared {
    pub(crate) fn fingerprint(&self) -> &[u8] {
        &self.fingerprint
    }

    pub(crate) fn chunks(&self) -> &[NewChunk] {
        &self.document.chunks
    }

    pub(crate) fn warnings(&self) -> &[Warning] {
        &self.document.details.warnings
    }
}

/// Whether a stored document has these very chunks.
pub(crate) fn has_chunks(
    connection: &Connection,
    key: i64,
    chunks: &[NewChunk],
) -> Result<bool, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT start, end, headings, page FROM chunks WHERE document = ?1 ORDER BY id",
    )?;
    let stored = statement.query_map([key], |row| {
        Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?))
    })?;
    let stored: Vec<(u64, u64, String, Option<u32>)> = stored.collect::<Result<_, _>>()?;
    let same =
        |((start, end, headings, page), chunk): (&(u64, u64, String, Option<u32>), &NewChunk)| {
            (*start..*end, headings, page)
                == (chunk.span.clone(), &headings_to_json(&chunk.headings), &chunk.page)
        };
    Ok(stored.len() == chunks.len() && stored.iter().zip(chunks).all(same))
}

fn check_chunk(document: &NewDocument, chunk: &NewChunk) -> Result<(), Error> {
    let text = slice(&document.text, &chunk.span).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        Error::Invalid("a chunk lies outside its text or splits a character".into())
    })?;
    let above = document.title.iter().chain(&chunk.headings).map(String::len).sum::<usize>();
    if above.saturating_add(text.len()) > MAX_INDEXED {
        return Err(Error::Invalid(format!(
            "a chunk has at most {MAX_INDEXED} bytes, with its title and headings"
        )));
    }
    Ok(())
}

/// What is indexed of a chunk: the title and the headings above it belong to
/// its meaning.
pub(crate) fn indexed_text(title: Option<&str>, headings: &[String], text: &str) -> String {
    let headings = headings.iter().map(String::as_str).filter(|heading| Some(*heading) != title);
    let lines = title.into_iter().chain(headings).filter(|line| !line.is_empty());
    lines.chain([text]).collect::<Vec<_>>().join("\n")
}

/// Stores a document, replacing the one of the same id, if the condition holds.
pub(crate) fn put(
    connection: &Connection,
    collection: &str,
    prepared: &Prepared,
    condition: &Condition,
    now: u64,
    effects: &mut Effects,
) -> Result<Put, Error> {
    let collection = collection_key(connection, collection)?;
    let (id, document) = (&prepared.id, &prepared.document);
    check(connection, collection, id, condition)?;
    let old: Option<(i64, Vec<u8>, u64)> = connection
        .prepare_cached(
            "SELECT key, fingerprint, created_at FROM documents WHERE collection = ?1 AND id = ?2",
        )?
        .query_row((collection, id), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        .optional()?;
    let (outcome, created_at) = match &old {
        Some((_, fingerprint, _)) if *fingerprint == prepared.fingerprint => {
            let (summary, seq) = summary(connection, collection, id)?;
            return Ok(Put { outcome: Outcome::Unchanged, summary, seq });
        }
        Some((key, _, created_at)) => {
            remove(connection, collection, *key, effects)?;
            (Outcome::Replaced, *created_at)
        }
        None => (Outcome::Created, now),
    };
    // Ids are given here and not by SQLite, so that the row with the text is
    // written once. A document without chunks has nothing to wait for.
    let last_given = last_chunk_ever(connection)?;
    let count = document.chunks.len() as u64;
    let last_chunk = if count == 0 { 0 } else { last_given + count };
    connection
        .prepare_cached(
            "INSERT INTO documents (collection, id, title, text, media_type, metadata, sha256,
                 fingerprint, chunk_count, last_chunk, created_at, updated_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
        )?
        .execute(rusqlite::params![
            collection,
            id,
            document.title,
            document.text,
            document.media_type,
            document.metadata,
            prepared.sha256,
            prepared.fingerprint,
            document.chunks.len(),
            last_chunk,
            created_at,
            now,
        ])?;
    let key = connection.last_insert_rowid();
    add_chunks(connection, collection, key, last_given, prepared)?;
    cuts::note(connection, key, collection, &document.cut, &document.outline)?;
    details::put(connection, key, &document.details, prepared.detected)?;
    let (summary, seq) = summary(connection, collection, id)?;
    Ok(Put { outcome, summary, seq })
}

/// Gives a document its chunks, with the ids after `last_given`.
pub(crate) fn add_chunks(
    connection: &Connection,
    collection: i64,
    document: i64,
    last_given: u64,
    prepared: &Prepared,
) -> Result<(), Error> {
    let chunks = prepared.chunks();
    let mut insert = connection.prepare_cached(
        "INSERT INTO chunks (id, collection, document, start, end, headings, page)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for (id, chunk) in (last_given + 1..).zip(chunks) {
        let (start, end) = (chunk.span.start, chunk.span.end);
        let headings = headings_to_json(&chunk.headings);
        insert.execute((id, collection, document, start, end, headings, chunk.page))?;
    }
    let count = chunks.len() as u64;
    if count > 0 && models::embeds(connection, collection, &prepared.known)? {
        embedding_queue::push(connection, collection, document, last_given + count, count)?;
    }
    Ok(())
}

/// Compares the document that is there with a condition.
fn check(
    connection: &Connection,
    collection: i64,
    id: &str,
    condition: &Condition,
) -> Result<(), Error> {
    if *condition == Condition::default() {
        return Ok(());
    }
    let current = match summary(connection, collection, id) {
        Ok((summary, _)) => Some(summary.version),
        Err(Error::UnknownDocument) => None,
        Err(error) => return Err(error),
    };
    if condition.holds(current.as_deref()) { Ok(()) } else { Err(Error::PreconditionFailed) }
}

/// The last chunk id ever given.
pub(crate) fn last_chunk_ever(connection: &Connection) -> Result<u64, Error> {
    let mut statement =
        connection.prepare_cached("SELECT seq FROM sqlite_sequence WHERE name = 'chunks'")?;
    Ok(statement.query_row([], |row| row.get(0)).optional()?.unwrap_or(0))
}

pub(crate) fn delete(
    connection: &Connection,
    collection: &str,
    id: &str,
    condition: &Condition,
    effects: &mut Effects,
) -> Result<(), Error> {
    let collection = collection_key(connection, collection)?;
    check(connection, collection, id, condition)?;
    let key: i64 = connection
        .prepare_cached("SELECT key FROM documents WHERE collection = ?1 AND id = ?2")?
        .query_row((collection, id), |row| row.get(0))
        .optional()?
        .ok_or(Error::UnknownDocument)?;
    remove(connection, collection, key, effects)
}

/// Deletes a document if it is still the version with this last chunk.
pub(crate) fn delete_version(
    connection: &Connection,
    collection: &str,
    id: &str,
    last_chunk: u64,
    effects: &mut Effects,
) -> Result<(), Error> {
    let found: Option<(i64, i64)> = connection
        .prepare_cached(
            "SELECT collection, documents.key FROM documents
             JOIN collections ON collections.key = documents.collection
             WHERE collections.name = ?1 AND id = ?2 AND last_chunk = ?3",
        )?
        .query_row((collection, id, last_chunk), |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((collection, key)) => remove(connection, collection, key, effects),
        None => Ok(()),
    }
}

fn remove(
    connection: &Connection,
    collection: i64,
    key: i64,
    effects: &mut Effects,
) -> Result<(), Error> {
    remove_chunks(connection, collection, key, None, effects)?;
    connection.prepare_cached("DELETE FROM documents WHERE key = ?1")?.execute([key])?;
    Ok(())
}

/// Takes out a document's chunks up to this one, or all.
pub(crate) fn remove_chunks(
    connection: &Connection,
    collection: i64,
    document: i64,
    last: Option<u64>,
    effects: &mut Effects,
) -> Result<(), Error> {
    // The bound is a range of the index that finds them.
    const UP_TO: &str = "document = ?1 AND id <= coalesce(?2, 9223372036854775807)";
    let mut chunks = connection.prepare_cached(&format!("SELECT id FROM chunks WHERE {UP_TO}"))?;
    for chunk in chunks.query_map((document, last), |row| row.get::<_, u64>(0))? {
        effects.removed.push((collection, chunk?));
    }
    connection
        .prepare_cached(&format!(
            "INSERT INTO removals (collection, chunk)
             SELECT collection, id FROM chunks WHERE {UP_TO}"
        ))?
        .execute((document, last))?;
    connection
        .prepare_cached(&format!("DELETE FROM chunks WHERE {UP_TO}"))?
        .execute((document, last))?;
    Ok(())
}

/// A document's summary and its last chunk. Whether it is searchable is the
/// caller's to say.
fn summary(
    connection: &Connection,
    collection: i64,
    id: &str,
) -> Result<(DocumentSummary, u64), Error> {
    let sql = format!("SELECT {SUMMARY} FROM documents WHERE collection = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    statement.query_row((collection, id), summary_of).optional()?.ok_or(Error::UnknownDocument)
}

fn summary_of(row: &Row<'_>) -> rusqlite::Result<(DocumentSummary, u64)> {
    let (title, media_type): (Option<String>, String) = (row.get(1)?, row.get(2)?);
    let (metadata, sha256): (String, String) = (row.get(3)?, row.get(6)?);
    let (language, file_name): (Option<String>, Option<String>) = (row.get(10)?, row.get(11)?);
    let summary = DocumentSummary {
        id: row.get(0)?,
        version: version(
            title.as_deref(),
            &media_type,
            &metadata,
            &sha256,
            [language.as_deref(), file_name.as_deref()],
        ),
        title,
        media_type,
        metadata,
        bytes: row.get(4)?,
        chunks: row.get(5)?,
        sha256,
        created_at: row.get(7)?,
        updated_at: row.get(8)?,
        searchable: false,
    };
    Ok((summary, row.get(9)?))
}

pub(crate) fn document(
    connection: &Connection,
    collection: &str,
    id: &str,
    through: u64,
) -> Result<Document, Error> {
    let key = collection_key(connection, collection)?;
    let (mut summary, last) = summary(connection, key, id)?;
    summary.searchable = embedding_queue::is_searchable(connection, last, through)?;
    let text = connection
        .prepare_cached("SELECT text FROM documents WHERE collection = ?1 AND id = ?2")?
        .query_row((key, id), |row| row.get(0))?;
    Ok(Document { summary, text })
}

pub(crate) fn documents(
    connection: &Connection,
    collection: &str,
    after: Option<&str>,
    limit: usize,
    through: u64,
) -> Result<(Vec<DocumentSummary>, Option<String>), Error> {
    const LIST: &str = "documents";
    let key = collection_key(connection, collection)?;
    let after = after.map(|after| cursor::decode(LIST, after)).transpose()?.unwrap_or_default();
    let sql = format!(
        "SELECT {SUMMARY} FROM documents WHERE collection = ?1 AND id > ?2 ORDER BY id LIMIT ?3"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map((key, after, limit + 1), summary_of)?;
    let mut page = Vec::with_capacity(limit);
    for row in rows {
        let (mut summary, last) = row?;
        summary.searchable = embedding_queue::is_searchable(connection, last, through)?;
        page.push(summary);
    }
    let next =
        cut(&mut page, limit).then(|| page.last().map(|last| cursor::encode(LIST, &last.id)));
    Ok((page, next.flatten()))
}

/// The first documents of a range.
pub(crate) fn between(
    connection: &Connection,
    collection: &str,
    range: &Between,
    through: u64,
) -> Result<Vec<DocumentSummary>, Error> {
    let key = collection_key(connection, collection)?;
    let order = if range.descending { "DESC" } else { "ASC" };
    // Ids are not empty, and no text is greater than a blob is.
    let sql = format!(
        "SELECT {SUMMARY} FROM documents WHERE collection = ?1
         AND id > coalesce(?2, '') AND id < coalesce(?3, x'') ORDER BY id {order} LIMIT ?4"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let bounds = (key, &range.above, &range.below, range.limit);
    let rows = statement.query_map(bounds, summary_of)?;
    rows.map(|row| Ok(searchable(row?, through))).collect()
}

/// Documents in the order asked; none for one that is not there.
pub(crate) fn summaries(
    connection: &Connection,
    collection: &str,
    ids: &[String],
    through: u64,
) -> Result<Vec<Option<DocumentSummary>>, Error> {
    let key = collection_key(connection, collection)?;
    let of = |id: &String| match summary(connection, key, id) {
        Ok(found) => Ok(Some(searchable(found, through))),
        Err(Error::UnknownDocument) => Ok(None),
        Err(error) => Err(error),
    };
    ids.iter().map(of).collect()
}

/// The bytes of all texts of a collection.
pub(crate) fn bytes(connection: &Connection, collection: &str) -> Result<u64, Error> {
    let key = collection_key(connection, collection)?;
    let mut statement = connection.prepare_cached(
        "SELECT coalesce(sum(octet_length(text)), 0) FROM documents WHERE collection = ?1",
    )?;
    Ok(statement.query_row([key], |row| row.get(0))?)
}

fn searchable((summary, last): (DocumentSummary, u64), through: u64) -> DocumentSummary {
    DocumentSummary { searchable: last <= through, ..summary }
}

/// The number of a document, if it is there.
pub(crate) fn number_of(
    connection: &Connection,
    collection: i64,
    id: &str,
) -> Result<Option<i64>, Error> {
    let mut statement =
        connection.prepare_cached("SELECT key FROM documents WHERE collection = ?1 AND id = ?2")?;
    Ok(statement.query_row((collection, id), |row| row.get(0)).optional()?)
}

pub(crate) fn chunks(
    connection: &Connection,
    collection: &str,
    id: &str,
    after: Option<&str>,
    limit: usize,
) -> Result<(Vec<Chunk>, Option<String>), Error> {
    const LIST: &str = "chunks";
    let text = document(connection, collection, id, 0)?.text;
    let collection = collection_key(connection, collection)?;
    // A count in the document: the host's numbers tell of other collections.
    let after = after.map(|after| cursor::decode_number::<usize>(LIST, after)).transpose()?;
    let after = after.unwrap_or(0);
    let mut statement = connection.prepare_cached(
        "SELECT chunks.id, start, end, headings, page FROM chunks JOIN documents ON documents.key = chunks.document
         WHERE documents.collection = ?1 AND documents.id = ?2
         AND chunks.id <= documents.last_chunk ORDER BY chunks.id LIMIT ?4 OFFSET ?3",
    )?;
    let rows = statement.query_map((collection, id, after, limit + 1), |row| {
        let span: Range<u64> = row.get(1)?..row.get(2)?;
        Ok(Chunk {
            id: row.get(0)?,
            text: slice(&text, &span).unwrap_or_default().to_owned(),
            span,
            headings: headings_from_json(&row.get::<_, String>(3)?),
            page: row.get(4)?,
        })
    })?;
    let mut page = rows.collect::<Result<Vec<_>, _>>()?;
    let next = cut(&mut page, limit)
        .then(|| cursor::encode(LIST, &after.saturating_add(page.len()).to_string()));
    Ok((page, next))
}

/// Cuts a page that was read one entry too long; true when there was more.
pub(crate) fn cut<T>(page: &mut Vec<T>, limit: usize) -> bool {
    let more = page.len() > limit;
    page.truncate(limit);
    more
}

pub(crate) fn passages(
    connection: &Connection,
    collection: &str,
    ids: &[u64],
) -> Result<Vec<Passage>, Error> {
    let collection = collection_key(connection, collection)?;
    // Bytes are cut out of the text by SQLite, so that a long document is not
    // copied for the sake of one chunk.
    let mut statement = connection.prepare_cached(
        "SELECT documents.id, title, headings, start, end,
             CAST(substr(CAST(text AS BLOB), start + 1, end - start) AS TEXT), metadata, page
         FROM chunks JOIN documents ON documents.key = chunks.document
         WHERE chunks.id = ?1 AND chunks.collection = ?2",
    )?;
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let passage = statement.query_row((id, collection), |row| {
            Ok(Passage {
                chunk: *id,
                document_id: row.get(0)?,
                title: row.get(1)?,
                headings: headings_from_json(&row.get::<_, String>(2)?),
                page: row.get(7)?,
                span: row.get(3)?..row.get(4)?,
                text: row.get(5)?,
                metadata: row.get(6)?,
            })
        });
        found.extend(passage.optional()?);
    }
    Ok(found)
}

pub(crate) fn quotes(
    connection: &Connection,
    collection: &str,
    requests: &[(&str, Range<u64>)],
) -> Result<Vec<Quote>, Error> {
    let collection = collection_key(connection, collection)?;
    let mut statement = connection
        .prepare_cached("SELECT text, sha256 FROM documents WHERE collection = ?1 AND id = ?2")?;
    requests
        .iter()
        .map(|(id, span)| {
            let found = statement.query_row((collection, id), |row| Ok((row.get(0)?, row.get(1)?)));
            let (text, sha256): (String, String) =
                found.optional()?.ok_or(Error::UnknownDocument)?;
            let quote = slice(&text, span).filter(|quote| !quote.is_empty());
            let quote = quote.ok_or_else(|| {
                Error::Invalid("a citation lies outside its text or splits a character".into())
            })?;
            Ok(Quote { quote: quote.to_owned(), sha256 })
        })
        .collect()
}

/// The greatest key of a document; 0 without any.
pub(crate) fn last_key(connection: &Connection) -> Result<i64, Error> {
    let mut statement = connection.prepare_cached("SELECT max(key) FROM documents")?;
    Ok(statement.query_row([], |row| row.get::<_, Option<i64>>(0))?.unwrap_or(0))
}

/// The documents of a collection with keys greater than `after` that a filter allows.
pub(crate) fn matching(
    connection: &Connection,
    collection: i64,
    filter: &Filter,
    after: i64,
) -> Result<Vec<u64>, Error> {
    // The last documents are found by their keys, all of them by their collection.
    let by = if after > 0 { "NOT INDEXED" } else { "" };
    let mut statement = connection.prepare_cached(&format!(
        "SELECT documents.key, metadata, {} FROM documents {by}
             JOIN collections ON collections.key = collection
             LEFT JOIN document_details ON document = documents.key
             WHERE collection = ?1 AND documents.key > ?2",
        details::LANGUAGE
    ))?;
    let mut rows = statement.query((collection, after))?;
    let mut matching = Vec::new();
    while let Some(row) = rows.next()? {
        let metadata = row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?;
        let metadata = serde_json::from_str(metadata).unwrap_or(serde_json::Value::Null);
        let language: Option<String> = row.get(2)?;
        let language = language.as_deref().and_then(ragtime_text::Language::parse);
        if filter.matches(&metadata, language.as_ref().map(ragtime_text::Language::code)) {
            matching.push(row.get(0)?);
        }
    }
    Ok(matching)
}

pub(crate) fn slice<'a>(text: &'a str, span: &Range<u64>) -> Option<&'a str> {
    text.get(usize::try_from(span.start).ok()?..usize::try_from(span.end).ok()?)
}

fn headings_to_json(headings: &[String]) -> String {
    serde_json::Value::from(headings).to_string()
}

/// The inverse; what is stored was written by [`headings_to_json`].
pub(crate) fn headings_from_json(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}
