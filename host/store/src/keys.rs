//! Keys in the database: digests, never secrets.

use std::collections::BTreeSet;

use ragtime_policy::key::{KeyId, SecretDigest};
use ragtime_policy::key_record::KeyRecord;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use crate::types::{Error, StoredKey};

/// The keys, in a write of their own: what is read here is what the change is
/// made to, since writes come one after the other.
pub struct KeyTable<'a>(pub(crate) &'a Connection);

impl KeyTable<'_> {
    /// Every key, oldest first.
    ///
    /// # Errors
    ///
    /// When the database fails or holds what is no key.
    pub fn all(&self) -> Result<Vec<StoredKey>, Error> {
        all(self.0)
    }

    /// Adds a key. One of the same id is an error, so that no key is replaced.
    ///
    /// # Errors
    ///
    /// When the database fails or has the id.
    pub fn insert(&self, key: &KeyRecord) -> Result<(), Error> {
        self.0.execute(
            "INSERT INTO keys (id, digest, name, scopes, collections, created_at, expires_at,
                 rate_per_minute, burst) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            rusqlite::params![
                key.id.as_str(),
                key.digest.as_bytes(),
                key.name,
                key.scopes.to_string(),
                collections(key),
                key.created_at,
                key.expires_at,
                key.rate_per_minute,
                key.burst,
            ],
        )?;
        Ok(())
    }

    /// Changes a key that is there; false when it is not, and then nothing is
    /// written: a key that was revoked does not come back.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn update(&self, key: &KeyRecord) -> Result<bool, Error> {
        let changed = self.0.execute(
            "UPDATE keys SET name = ?2, scopes = ?3, collections = ?4, expires_at = ?5,
                 rate_per_minute = ?6, burst = ?7 WHERE id = ?1",
            rusqlite::params![
                key.id.as_str(),
                key.name,
                key.scopes.to_string(),
                collections(key),
                key.expires_at,
                key.rate_per_minute,
                key.burst,
            ],
        )?;
        Ok(changed == 1)
    }

    /// Removes a key; false when it is not there.
    ///
    /// # Errors
    ///
    /// When the database fails.
    pub fn revoke(&self, id: &KeyId) -> Result<bool, Error> {
        Ok(self.0.execute("DELETE FROM keys WHERE id = ?1", [id.as_str()])? == 1)
    }
}

fn collections(key: &KeyRecord) -> Option<String> {
    key.collections.as_ref().map(|names| serde_json::json!(names).to_string())
}

pub(crate) fn touch(connection: &Connection, id: &KeyId, now: u64) -> Result<(), Error> {
    connection.execute("UPDATE keys SET last_used_at = ?2 WHERE id = ?1", (id.as_str(), now))?;
    Ok(())
}

/// Adds to what a key has spent, which other hosts may have done too; what it is then. 0
/// for a key that is gone.
pub(crate) fn note_spent(connection: &Connection, id: &KeyId, units: u64) -> Result<u64, Error> {
    let mut add = connection.prepare_cached(
        "UPDATE keys SET spent_units = spent_units + ?2 WHERE id = ?1 RETURNING spent_units",
    )?;
    let all = add.query_row((id.as_str(), units), |row| row.get(0)).optional()?;
    Ok(all.unwrap_or(0))
}

pub(crate) fn all(connection: &Connection) -> Result<Vec<StoredKey>, Error> {
    read(connection, "ORDER BY created_at, id", [])
}

/// Those of these ids that there are.
pub(crate) fn with(connection: &Connection, ids: &[String]) -> Result<Vec<StoredKey>, Error> {
    let mut found = Vec::new();
    for id in ids {
        found.extend(read(connection, "WHERE id = ?1", [id])?);
    }
    Ok(found)
}

fn read(
    connection: &Connection,
    which: &str,
    params: impl Params,
) -> Result<Vec<StoredKey>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT id, digest, name, scopes, collections, created_at, expires_at, rate_per_minute, burst,
             last_used_at, spent_units FROM keys {which}"
    ))?;
    let mut rows = statement.query(params)?;
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
    Ok(StoredKey { record, last_used_at: row.get(9)?, spent_units: row.get(10)? })
}
