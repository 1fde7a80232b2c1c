//! Who changed what: keys and handlers. Rows are added and never changed.

use rusqlite::Connection;

use crate::types::{AuditEvent, Error, Page};

pub(crate) const CREATE: &str = "
CREATE TABLE IF NOT EXISTS audit (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    detail TEXT NOT NULL,
    request_id TEXT
) STRICT;
";

/// Writes an act down.
pub(crate) fn record(connection: &Connection, entry: &AuditEvent) -> Result<(), Error> {
    connection.execute(
        "INSERT INTO audit (at, actor, action, target, detail, request_id)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        (entry.at, &entry.actor, &entry.action, &entry.target, &entry.detail, &entry.request_id),
    )?;
    Ok(())
}

/// Newest first, from below `before`, and where the next page begins.
pub(crate) fn page(
    connection: &Connection,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<AuditEvent, u64>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT n, at, actor, action, target, detail, request_id FROM audit
         WHERE ?1 IS NULL OR n < ?1 ORDER BY n DESC LIMIT ?2",
    )?;
    let rows = statement.query_map((before, limit + 1), |row| {
        Ok(AuditEvent {
            n: row.get(0)?,
            at: row.get(1)?,
            actor: row.get(2)?,
            action: row.get(3)?,
            target: row.get(4)?,
            detail: row.get(5)?,
            request_id: row.get(6)?,
        })
    })?;
    let mut found: Vec<AuditEvent> = rows.collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.n);
    Ok((found, next))
}
