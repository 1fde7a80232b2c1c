//! Keys in the database: digests, never secrets.

use std::collections::BTreeSet;

use ragtime_policy::key::{KeyId, SecretDigest};
use ragtime_policy::key_record::KeyRecord;
use rusqlite::{Connection, Row};

use crate::types::{Error, StoredKey};

/// Stores a key, replacing the one of the same id.
pub(crate) fn put(connection: &Connection, key: &KeyRecord) -> Result<(), Error> {
    let collections = key.collections.as_ref().map(|names| serde_json::json!(names).to_string());
    connection.execute(
        "INSERT INTO keys (id, digest, name, scopes, collections, created_at, expires_at, rate_per_minute, burst)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, scopes = excluded.scopes,
             collections = excluded.collections, expires_at = excluded.expires_at,
             rate_per_minute = excluded.rate_per_minute, burst = excluded.burst",
        rusqlite::params![
            key.id.as_str(),
            key.digest.as_bytes(),
            key.name,
            key.scopes.to_string(),
            collections,
            key.created_at,
            key.expires_at,
            key.rate_per_minute,
            key.burst,
        ],
    )?;
    Ok(())
}

pub(crate) fn revoke(connection: &Connection, id: &KeyId) -> Result<(), Error> {
    connection.execute("DELETE FROM keys WHERE id = ?1", [id.as_str()])?;
    Ok(())
}

pub(crate) fn touch(connection: &Connection, id: &KeyId, now: u64) -> Result<(), Error> {
    connection.execute("UPDATE keys SET last_used_at = ?2 WHERE id = ?1", (id.as_str(), now))?;
    Ok(())
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<StoredKey>, Error> {
    let mut statement = connection.prepare(
        "SELECT id, digest, name, scopes, collections, created_at, expires_at, rate_per_minute, burst,
             last_used_at FROM keys ORDER BY created_at, id",
    )?;
    let mut rows = statement.query([])?;
    let mut keys = Vec::new();
    while let Some(row) = rows.next()? {
        keys.push(key_of(row)?);
    }
    Ok(keys)
}

/// A row that cannot be read fails the whole: to leave a key out could lift a
/// limit as well as a right.
fn key_of(row: &Row<'_>) -> Result<StoredKey, Error> {
    let damaged = || Error::Internal("a stored key cannot be read".into());
    let collections: Option<String> = row.get(4)?;
    let collections = match collections {
        Some(json) => Some(serde_json::from_str::<BTreeSet<String>>(&json).map_err(|_| damaged())?),
        None => None,
    };
    let record = KeyRecord {
        id: KeyId::parse(&row.get::<_, String>(0)?).map_err(|_| damaged())?,
        digest: SecretDigest::from_bytes(row.get(1)?),
        name: row.get(2)?,
        scopes: row.get::<_, String>(3)?.parse().map_err(|_| damaged())?,
        collections,
        created_at: row.get(5)?,
        expires_at: row.get(6)?,
        rate_per_minute: row.get(7)?,
        burst: row.get(8)?,
    };
    Ok(StoredKey { record, last_used_at: row.get(9)? })
}
