//! Idempotency records: the responses that are kept for requests that are sent again
//! (draft-ietf-httpapi-idempotency-key-header-07).

use rusqlite::{Connection, OptionalExtension};

use crate::types::{Claim, Claimed, Error, IdempotencyRecord};

pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS replays (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    at INTEGER NOT NULL,
    status INTEGER NOT NULL,
    headers TEXT NOT NULL,
    body BLOB,
    PRIMARY KEY (principal, key)
) STRICT;
CREATE TABLE IF NOT EXISTS claims (
    principal TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    holder TEXT NOT NULL,
    until INTEGER NOT NULL,
    PRIMARY KEY (principal, key)
) STRICT;
CREATE INDEX IF NOT EXISTS replays_by_age ON replays (at);
";

/// Writes a record, and deletes those from before `oldest`.
pub(crate) fn keep(
    connection: &Connection,
    principal: &str,
    key: &str,
    response: &IdempotencyRecord,
    oldest: u64,
) -> Result<(), Error> {
    connection.execute("DELETE FROM replays WHERE at < ?1", [oldest])?;
    connection.execute("DELETE FROM claims WHERE principal = ?1 AND key = ?2", (principal, key))?;
    connection.execute(
        "INSERT OR REPLACE INTO replays (principal, key, fingerprint, at, status, headers, body, rights)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        (
            principal,
            key,
            response.fingerprint,
            response.at,
            response.status,
            &response.headers,
            &response.body,
            &response.rights,
        ),
    )?;
    Ok(())
}

/// Claims a request for one host of several, unless the request has a record or another
/// host has claimed it. A claim expires, for the case that its host died.
pub(crate) fn claim(
    connection: &Connection,
    claim: &Claim,
    (now, oldest): (u64, u64),
) -> Result<Claimed, Error> {
    if let Some(kept) = find(connection, &claim.principal, &claim.key, oldest)? {
        return Ok(Claimed::Recorded(kept));
    }
    connection.execute("DELETE FROM claims WHERE until <= ?1", [now])?;
    let held: Option<[u8; 32]> = connection
        .prepare_cached("SELECT fingerprint FROM claims WHERE principal = ?1 AND key = ?2")?
        .query_row((&claim.principal, &claim.key), |row| row.get(0))
        .optional()?;
    if let Some(fingerprint) = held {
        return Ok(Claimed::Held(fingerprint));
    }
    connection.execute(
        "INSERT INTO claims (principal, key, fingerprint, holder, until)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        (&claim.principal, &claim.key, claim.fingerprint, &claim.holder, claim.until),
    )?;
    Ok(Claimed::First)
}

/// Deletes a claim, if its holder is still this one.
pub(crate) fn release(connection: &Connection, claim: &Claim) -> Result<(), Error> {
    connection.execute(
        "DELETE FROM claims WHERE principal = ?1 AND key = ?2 AND holder = ?3",
        (&claim.principal, &claim.key, &claim.holder),
    )?;
    Ok(())
}

/// The record of a request, unless it is from before `oldest`.
pub(crate) fn find(
    connection: &Connection,
    principal: &str,
    key: &str,
    oldest: u64,
) -> Result<Option<IdempotencyRecord>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, at, status, headers, body, rights FROM replays
         WHERE principal = ?1 AND key = ?2 AND at >= ?3",
    )?;
    let found = statement.query_row((principal, key, oldest), |row| {
        Ok(IdempotencyRecord {
            fingerprint: row.get(0)?,
            at: row.get(1)?,
            status: row.get(2)?,
            headers: row.get(3)?,
            body: row.get(4)?,
            rights: row.get(5)?,
        })
    });
    Ok(found.optional()?)
}
