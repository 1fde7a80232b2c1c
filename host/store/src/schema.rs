//! The schema of the database.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};

use crate::connection::BUSY_TIMEOUT;
use crate::types::OpenError;

/// The schema this version reads and writes, as `PRAGMA user_version`.
const VERSION: i64 = 1;

/// Chunk ids only grow, so they order writes: a chunk is indexed when the
/// index has come as far as its id. A document's text is its last column, so
/// that the others are read without the pages of a long text.
const CREATE: &str = "
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE collections (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE documents (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL REFERENCES collections ON DELETE CASCADE,
    id TEXT NOT NULL,
    title TEXT,
    media_type TEXT NOT NULL,
    metadata TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    chunk_count INTEGER NOT NULL,
    last_chunk INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    text TEXT NOT NULL,
    UNIQUE (collection, id)
) STRICT;
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    document INTEGER NOT NULL REFERENCES documents ON DELETE CASCADE,
    start INTEGER NOT NULL,
    end INTEGER NOT NULL,
    headings TEXT NOT NULL,
    page INTEGER
) STRICT;
CREATE INDEX chunks_by_document ON chunks (document, id);
CREATE INDEX chunks_by_collection ON chunks (collection, id);
CREATE TABLE vectors (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE,
    vector BLOB NOT NULL
) STRICT;
CREATE TABLE removals (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    collection INTEGER NOT NULL,
    chunk INTEGER NOT NULL
) STRICT;
CREATE TABLE jobs (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    collection TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;
CREATE TABLE job_items (
    job INTEGER NOT NULL REFERENCES jobs ON DELETE CASCADE,
    position INTEGER NOT NULL,
    document TEXT,
    last_chunk INTEGER,
    failure TEXT,
    written INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, position)
) STRICT, WITHOUT ROWID;
CREATE TABLE keys (
    id TEXT PRIMARY KEY,
    digest BLOB NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    collections TEXT,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    rate_per_minute INTEGER NOT NULL,
    burst INTEGER NOT NULL,
    last_used_at INTEGER
) STRICT;
INSERT INTO collections (name, created_at) VALUES ('default', unixepoch());
";

/// Tables and indexes that came after the first version and change nothing that
/// was there. The size of a collection is read of an index alone.
const ADD: &str = "
CREATE TABLE IF NOT EXISTS deployments (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    label TEXT NOT NULL,
    bytes INTEGER NOT NULL,
    at INTEGER NOT NULL,
    took_ms INTEGER NOT NULL,
    actor TEXT,
    active INTEGER NOT NULL,
    stage TEXT,
    reason TEXT,
    report TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS unembedded (
    chunk INTEGER PRIMARY KEY REFERENCES chunks ON DELETE CASCADE
) STRICT;
CREATE INDEX IF NOT EXISTS documents_by_length ON documents (collection, octet_length(text));
";

/// One change of the schema. Databases from before changes had numbers may have it
/// already, so each leaves alone what is there.
enum Migration {
    /// Statements.
    Sql(&'static str),
    /// A column of a table: the table, its name, and its type.
    Column(&'static str, &'static str, &'static str),
}

/// Every change since the first version, the oldest first. Its number is its place, from 1
/// on, so the list is only added to at its end.
const MIGRATIONS: &[Migration] = &[
    Migration::Sql(ADD),
    Migration::Sql(crate::audit::CREATE),
    Migration::Sql(crate::rechunking::CREATE),
    Migration::Sql(crate::details::CREATE),
    Migration::Sql(crate::embedding_queue::CREATE),
    Migration::Sql(crate::models::CREATE),
    Migration::Sql(crate::idempotency_records::CREATE),
    Migration::Sql(crate::rollouts::CREATE),
    Migration::Column("chunks", "page", "INTEGER"),
    Migration::Column("job_items", "written", "INTEGER NOT NULL DEFAULT 0"),
    Migration::Column("replays", "rights", "TEXT"),
    Migration::Column("jobs", "warnings", "TEXT"),
    Migration::Column("collections", "language", "TEXT"),
    Migration::Column("collections", "prompt", "TEXT"),
    Migration::Column("document_details", "detected", "TEXT"),
    Migration::Column("keys", "spent_units", "INTEGER NOT NULL DEFAULT 0"),
    // `model` is the one that was chosen, `vectors_model` and `vectors_slot` say which
    // vectors serve, `next_model` whose vectors are being made in the other table, and
    // `stale` that the other table has rows of use to nobody.
    Migration::Column("collections", "model", "TEXT"),
    Migration::Column("collections", "vectors_model", "TEXT"),
    Migration::Column("collections", "vectors_slot", "INTEGER NOT NULL DEFAULT 0"),
    Migration::Column("collections", "next_model", "TEXT"),
    Migration::Column("collections", "stale", "INTEGER NOT NULL DEFAULT 0"),
    Migration::Sql(crate::models::ONE_FOR_ALL),
];

/// The row of `meta` with the number of the last migration that a database has.
const MIGRATED: &str = "migration";

/// The one connection that writes. A commit is on disk when it returns
/// (`synchronous = FULL` syncs the log at each commit).
pub(crate) fn open_writer(path: &Path) -> Result<Connection, OpenError> {
    let mut connection = Connection::open(path)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    if check_version(&connection)? == 0 {
        let transaction = connection.transaction()?;
        transaction.execute_batch(CREATE)?;
        transaction.pragma_update(None, "user_version", VERSION)?;
        transaction.commit()?;
    }
    migrate(&mut connection, MIGRATIONS)?;
    Ok(connection)
}

/// Does the migrations that the database does not have, all or none. Those that a newer
/// version has done stay done.
fn migrate(connection: &mut Connection, all: &[Migration]) -> rusqlite::Result<()> {
    let found = connection.query_row("SELECT value FROM meta WHERE name = ?1", [MIGRATED], |row| {
        row.get::<_, String>(0)
    });
    let done: usize = found.optional()?.and_then(|number| number.parse().ok()).unwrap_or(0);
    let missing = all.get(done..).unwrap_or_default();
    if missing.is_empty() {
        return Ok(());
    }
    let transaction = connection.transaction()?;
    for migration in missing {
        match migration {
            Migration::Sql(statements) => transaction.execute_batch(statements)?,
            Migration::Column(table, column, kind) => {
                add_column(&transaction, table, column, kind)?;
            }
        }
    }
    transaction.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = excluded.value",
        (MIGRATED, all.len().to_string()),
    )?;
    transaction.commit()
}

/// Gives a table a column where it was made without.
fn add_column(
    connection: &Connection,
    table: &str,
    column: &str,
    kind: &str,
) -> rusqlite::Result<()> {
    let there: bool = connection.query_row(
        "SELECT count(*) > 0 FROM pragma_table_info(?1) WHERE name = ?2",
        (table, column),
        |row| row.get(0),
    )?;
    if there {
        Ok(())
    } else {
        connection.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))
    }
}

/// The schema of a database, if this version knows it; 0 for an empty one.
pub(crate) fn check_version(connection: &Connection) -> Result<i64, OpenError> {
    match connection.pragma_query_value(None, "user_version", |row| row.get(0))? {
        found if found > VERSION => Err(OpenError::Newer { found, known: VERSION }),
        found => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Every column as the database has it, and the number of the last migration.
    fn state(db: &Connection) -> Vec<(String, String, String)> {
        let mut statement = db
            .prepare(
                "SELECT tables.name, columns.name, columns.type || ' ' || columns.\"notnull\"
                 FROM sqlite_schema AS tables, pragma_table_info(tables.name) AS columns
                 UNION ALL SELECT name, '', '' FROM sqlite_schema
                 UNION ALL SELECT name, value, '' FROM meta ORDER BY 1, 2, 3",
            )
            .unwrap();
        let rows = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)));
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn a_database_that_any_version_left_is_brought_to_the_newest_schema() {
        let folder = tempfile::tempdir().unwrap();
        let newest = state(&open_writer(&folder.path().join("newest")).unwrap());
        for number in 0..=MIGRATIONS.len() {
            let file = folder.path().join(number.to_string());
            let mut old = Connection::open(&file).unwrap();
            old.execute_batch(CREATE).unwrap();
            old.pragma_update(None, "user_version", VERSION).unwrap();
            migrate(&mut old, &MIGRATIONS[..number]).unwrap();
            drop(old);
            assert_eq!(state(&open_writer(&file).unwrap()), newest, "{number}");
        }
    }

    #[test]
    fn a_database_from_before_migrations_had_numbers_keeps_what_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("old");
        let db = open_writer(&file).unwrap();
        let newest = state(&db);
        let unnumber = format!(
            "DELETE FROM meta WHERE name = '{MIGRATED}';
             UPDATE collections SET prompt = 'kept';
             INSERT INTO meta VALUES ('embedding_model', 'one');"
        );
        db.execute_batch(&unnumber).unwrap();
        drop(db);
        let db = open_writer(&file).unwrap();
        assert_eq!(state(&db), newest);
        let row = "SELECT prompt, vectors_model FROM collections";
        let found = db.query_row(row, (), |row| Ok((row.get(0)?, row.get(1)?)));
        assert_eq!(found.unwrap(), ("kept".to_owned(), "one".to_owned()));
    }

    #[test]
    fn what_a_newer_version_has_done_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("newer");
        let db = open_writer(&file).unwrap();
        db.execute("UPDATE meta SET value = '1000' WHERE name = ?1", [MIGRATED]).unwrap();
        let newer = state(&db);
        drop(db);
        assert_eq!(state(&open_writer(&file).unwrap()), newer);
    }
}
