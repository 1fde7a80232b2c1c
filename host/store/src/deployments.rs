//! Which handlers served, and which were refused.

use rusqlite::{Connection, OptionalExtension, Row};

use crate::types::{Deployment, Error, Page};

const COLUMNS: &str =
    "id, kind, sha256, label, bytes, at, took_ms, actor, active, stage, reason, report";

/// Writes a deployment down.
pub(crate) fn record(connection: &Connection, one: &Deployment) -> Result<(), Error> {
    connection.execute(
        &format!(
            "INSERT INTO deployments ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
        ),
        rusqlite::params![
            one.id,
            one.kind,
            one.sha256,
            one.label,
            one.bytes,
            one.at,
            one.took_ms,
            one.actor,
            one.active,
            one.stage,
            one.reason,
            one.report,
        ],
    )?;
    Ok(())
}

/// The highest id of all, also of those that were refused; 0 when there is none.
pub(crate) fn newest(connection: &Connection) -> Result<u64, Error> {
    let sql = "SELECT coalesce(max(id), 0) FROM deployments";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// Newest first, from below `before`, and where the next page begins.
pub(crate) fn page(
    connection: &Connection,
    before: Option<u64>,
    limit: usize,
) -> Result<Page<Deployment, u64>, Error> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS} FROM deployments WHERE ?1 IS NULL OR id < ?1 ORDER BY id DESC LIMIT ?2"
    ))?;
    let rows = statement.query_map((before, limit + 1), of_row)?;
    let mut found: Vec<Deployment> = rows.collect::<Result<_, _>>()?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|last| last.id);
    Ok((found, next))
}

/// Those that served, oldest first.
pub(crate) fn activations(connection: &Connection) -> Result<Vec<Deployment>, Error> {
    let mut statement = connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM deployments WHERE active ORDER BY id"))?;
    let rows = statement.query_map([], of_row)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// One of them.
pub(crate) fn get(connection: &Connection, id: u64) -> Result<Option<Deployment>, Error> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM deployments WHERE id = ?1"))?;
    Ok(statement.query_row([id], of_row).optional()?)
}

fn of_row(row: &Row<'_>) -> rusqlite::Result<Deployment> {
    Ok(Deployment {
        id: row.get(0)?,
        kind: row.get(1)?,
        sha256: row.get(2)?,
        label: row.get(3)?,
        bytes: row.get(4)?,
        at: row.get(5)?,
        took_ms: row.get(6)?,
        actor: row.get(7)?,
        active: row.get(8)?,
        stage: row.get(9)?,
        reason: row.get(10)?,
        report: row.get(11)?,
    })
}
