//! What is known of a document beside its text: language, file name, warnings.
//!
//! Few documents have warnings and many have none of it, so it stands in a table
//! of its own rather than behind the text, which is the last column of a
//! document's row.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::documents::collection_key;
use crate::types::{Details, Error, Warning};

pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS document_details (
    document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE,
    language TEXT,
    file_name TEXT,
    warnings TEXT NOT NULL
) STRICT;
";

/// Stores the details of a document that was just written.
pub(crate) fn put(db: &Connection, document: i64, details: &Details) -> Result<(), Error> {
    if details.is_empty() {
        return Ok(());
    }
    let warnings = serde_json::json!(details.warnings).to_string();
    db.prepare_cached(
        "INSERT INTO document_details (document, language, file_name, warnings)
         VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((document, &details.language, &details.file_name, warnings))?;
    Ok(())
}

/// The details of documents, in the order asked.
pub(crate) fn of_documents(
    db: &Connection,
    collection: &str,
    ids: &[String],
) -> Result<Vec<Details>, Error> {
    let collection = collection_key(db, collection)?;
    let mut statement = db.prepare_cached(
        "SELECT language, file_name, warnings FROM document_details
         JOIN documents ON documents.key = document WHERE collection = ?1 AND id = ?2",
    )?;
    let mut of = |id: &String| -> Result<Details, Error> {
        let found = statement.query_row((collection, id), details_of);
        Ok(found.optional()?.unwrap_or_default())
    };
    ids.iter().map(&mut of).collect()
}

/// The details of a document by its row.
pub(crate) fn of_row(db: &Connection, document: i64) -> Result<Details, Error> {
    let mut statement = db.prepare_cached(
        "SELECT language, file_name, warnings FROM document_details WHERE document = ?1",
    )?;
    let found = statement.query_row([document], details_of);
    Ok(found.optional()?.unwrap_or_default())
}

fn details_of(row: &Row<'_>) -> rusqlite::Result<Details> {
    Ok(Details {
        language: row.get(0)?,
        file_name: row.get(1)?,
        warnings: warnings_from_json(&row.get::<_, String>(2)?),
    })
}

/// What is stored was written by [`put`].
fn warnings_from_json(json: &str) -> Vec<Warning> {
    serde_json::from_str(json).unwrap_or_default()
}
