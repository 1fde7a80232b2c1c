//! The schema of the database.

use std::path::Path;

use rusqlite::Connection;

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

/// Columns that came after the first version: table, name, and type.
const ADD_COLUMNS: [(&str, &str, &str); 8] = [
    ("chunks", "page", "INTEGER"),
    ("job_items", "written", "INTEGER NOT NULL DEFAULT 0"),
    ("replays", "rights", "TEXT"),
    ("jobs", "warnings", "TEXT"),
    ("collections", "language", "TEXT"),
    ("collections", "prompt", "TEXT"),
    ("document_details", "detected", "TEXT"),
    ("keys", "spent_units", "INTEGER NOT NULL DEFAULT 0"),
];

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
    connection.execute_batch(ADD)?;
    connection.execute_batch(crate::audit::CREATE)?;
    connection.execute_batch(crate::rechunking::CREATE)?;
    connection.execute_batch(crate::details::CREATE)?;
    connection.execute_batch(crate::embedding_queue::CREATE)?;
    connection.execute_batch(crate::models::CREATE)?;
    connection.execute_batch(crate::idempotency_records::CREATE)?;
    connection.execute_batch(crate::rollouts::CREATE)?;
    for (table, column, kind) in ADD_COLUMNS {
        add_column(&connection, table, column, kind)?;
    }
    for (column, kind) in crate::models::COLUMNS {
        add_column(&connection, "collections", column, kind)?;
    }
    crate::models::migrate(&connection)?;
    Ok(connection)
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
