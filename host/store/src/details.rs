//! What is known of a document beside its text: language, file name, warnings.
//!
//! A document is in the language that it was stored with, else in that of its
//! collection, else in the one that is detected in its text. Each is kept by itself, so that a
//! collection's may change.
//!
//! Few documents have warnings and many have none of it, so it stands in a table
//! of its own rather than behind the text, which is the last column of a
//! document's row.

use ragtime_text::Language;
use rusqlite::{Connection, OptionalExtension, Row};

use crate::documents::collection_key;
use crate::types::{Details, Error, Prompt, Warning};

pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS document_details (
    document INTEGER PRIMARY KEY REFERENCES documents ON DELETE CASCADE,
    language TEXT,
    file_name TEXT,
    warnings TEXT NOT NULL
) STRICT;
";

/// The language of a document, of the two tables that are joined for it.
pub(crate) const LANGUAGE: &str =
    "coalesce(document_details.language, collections.language, document_details.detected)";

/// Stores the details of a document that was just written, and the language that its
/// text shows.
pub(crate) fn put(
    db: &Connection,
    document: i64,
    details: &Details,
    detected: Option<Language>,
) -> Result<(), Error> {
    if details.is_empty() && detected.is_none() {
        return Ok(());
    }
    let warnings = serde_json::json!(details.warnings).to_string();
    db.prepare_cached(
        "INSERT INTO document_details (document, language, file_name, warnings, detected)
         VALUES (?1, ?2, ?3, ?4, ?5)",
    )?
    .execute((
        document,
        &details.language,
        &details.file_name,
        warnings,
        detected.as_ref().map(Language::code),
    ))?;
    Ok(())
}

/// The details of documents, in the order asked, with the language that each is in.
pub(crate) fn of_documents(
    db: &Connection,
    collection: &str,
    ids: &[String],
) -> Result<Vec<Details>, Error> {
    let collection = collection_key(db, collection)?;
    let mut statement = db.prepare_cached(&format!(
        "SELECT {LANGUAGE}, file_name, coalesce(warnings, '[]') FROM documents
         JOIN collections ON collections.key = collection
         LEFT JOIN document_details ON document = documents.key
         WHERE collection = ?1 AND id = ?2"
    ))?;
    let mut of = |id: &String| -> Result<Details, Error> {
        let found = statement.query_row((collection, id), details_of);
        Ok(found.optional()?.unwrap_or_default())
    };
    ids.iter().map(&mut of).collect()
}

/// The details that a document was stored with, by its row.
pub(crate) fn of_row(db: &Connection, document: i64) -> Result<Details, Error> {
    let mut statement = db.prepare_cached(
        "SELECT language, file_name, warnings FROM document_details WHERE document = ?1",
    )?;
    let found = statement.query_row([document], details_of);
    Ok(found.optional()?.unwrap_or_default())
}

/// The language that a document is in.
pub(crate) fn language_of(db: &Connection, document: i64) -> Result<Option<Language>, Error> {
    let mut statement = db.prepare_cached(&format!(
        "SELECT {LANGUAGE} FROM documents JOIN collections ON collections.key = collection
         LEFT JOIN document_details ON document = documents.key WHERE documents.key = ?1"
    ))?;
    let found: Option<Option<String>> =
        statement.query_row([document], |row| row.get(0)).optional()?;
    Ok(found.flatten().as_deref().and_then(Language::parse))
}

/// The language of a collection's documents that were stored without one, where it
/// is set.
pub(crate) fn collection_language(
    db: &Connection,
    collection: i64,
) -> Result<Option<Language>, Error> {
    let mut statement = db.prepare_cached("SELECT language FROM collections WHERE key = ?1")?;
    let found: Option<Option<String>> =
        statement.query_row([collection], |row| row.get(0)).optional()?;
    Ok(found.flatten().as_deref().and_then(Language::parse))
}

/// Sets it.
pub(crate) fn set_collection_language(
    db: &Connection,
    collection: i64,
    language: Option<Language>,
) -> Result<(), Error> {
    db.execute(
        "UPDATE collections SET language = ?2 WHERE key = ?1",
        (collection, language.as_ref().map(Language::code)),
    )?;
    Ok(())
}

/// What was set for a collection: the language of its documents, as
/// [`collection_language`], and how language models are asked about it.
pub(crate) fn collection_settings(
    db: &Connection,
    collection: i64,
) -> Result<(Option<Language>, Prompt), Error> {
    let mut statement =
        db.prepare_cached("SELECT language, prompt FROM collections WHERE key = ?1")?;
    let found: Option<(Option<String>, Option<String>)> =
        statement.query_row([collection], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let (language, prompt) = found.unwrap_or_default();
    // What is stored was written by `set_collection_prompt`.
    let prompt = prompt.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
    Ok((language.as_deref().and_then(Language::parse), prompt))
}

/// Sets how language models are asked about a collection.
pub(crate) fn set_collection_prompt(
    db: &Connection,
    collection: i64,
    prompt: &Prompt,
) -> Result<(), Error> {
    prompt.check().map_err(Error::Invalid)?;
    let json = (!prompt.is_empty()).then(|| serde_json::json!(prompt).to_string());
    db.execute("UPDATE collections SET prompt = ?2 WHERE key = ?1", (collection, json))?;
    Ok(())
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
