//! Documents, chunks and passages read.

use std::ops::Range;

use ragtime_policy::cursor;
use ragtime_policy::version::version;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{collection_key, headings_from_json, slice};
use crate::Filter;
use crate::types::{Between, Document, DocumentSummary, Error, Passage, Quote, StoredChunk};
use crate::{details, embedding_queue};

const SUMMARY: &str = "id, title, media_type, metadata, octet_length(text), chunk_count, sha256, \
                       created_at, updated_at, last_chunk, \
                       (SELECT language FROM document_details WHERE document = key), \
                       (SELECT file_name FROM document_details WHERE document = key)";

/// A document's summary and its last chunk. Whether it is searchable is the
/// caller's to say.
pub(super) fn summary(
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
) -> Result<(Vec<StoredChunk>, Option<String>), Error> {
    const LIST: &str = "chunks";
    let text = document(connection, collection, id, 0)?.text;
    let collection = collection_key(connection, collection)?;
    // A count in the document: the host's numbers show how many other collections have.
    let after = after.map(|after| cursor::decode_number::<usize>(LIST, after)).transpose()?;
    let after = after.unwrap_or(0);
    let mut statement = connection.prepare_cached(
        "SELECT chunks.id, start, end, headings, page FROM chunks JOIN documents ON documents.key = chunks.document
         WHERE documents.collection = ?1 AND documents.id = ?2
         AND chunks.id <= documents.last_chunk ORDER BY chunks.id LIMIT ?4 OFFSET ?3",
    )?;
    let rows = statement.query_map((collection, id, after, limit + 1), |row| {
        let span: Range<u64> = row.get(1)?..row.get(2)?;
        Ok(StoredChunk {
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
