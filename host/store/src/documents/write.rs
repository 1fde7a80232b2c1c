//! Documents and chunks written and taken out.

use ragtime_policy::version::Condition;
use rusqlite::{Connection, OptionalExtension};

use super::read::summary;
use super::{Prepared, collection_key, headings_to_json};
use crate::types::{Error, NewChunk, Outcome, Put};
use crate::writer::Effects;
use crate::{details, embedding_queue, models, rechunking};

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
    rechunking::note(connection, key, collection, &document.cut, &document.outline)?;
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
