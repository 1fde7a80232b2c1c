//! Collections in the database.

use ragtime_policy::bounds::Bounds;
use ragtime_policy::chunking::Chunking;
use ragtime_policy::names;
use rusqlite::{Connection, OptionalExtension};

use crate::models::Known;
use crate::types::{Collection, Error};
use crate::writer::Effects;
use crate::{models, rechunking};

/// The collection that is always there.
const DEFAULT: &str = "default";

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
        (rechunking::chunking(connection, key)?, rechunking::count(connection, key, known)?);
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
        rechunking::set_chunking(connection, collection_key(connection, name)?, chunking)?;
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
