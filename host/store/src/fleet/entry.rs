//! What one write changed, as rows: an entry of the log.

use rusqlite::Connection;
use rusqlite::types::{ToSql, ToSqlOutput, Value, ValueRef};
use serde::{Deserialize, Serialize};

use crate::types::Error;

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

/// What changed in one table: rows are whole, so that applying an entry twice, or
/// after a later one, still ends at the same rows.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Table {
    pub(crate) name: String,
    /// The columns of `rows`, in their order.
    pub(crate) columns: Vec<String>,
    /// The columns of `gone`: the primary key.
    pub(crate) key: Vec<String>,
    /// Keys of rows that are not there any more.
    pub(crate) gone: Vec<Vec<Cell>>,
    /// Rows that were added or changed.
    pub(crate) rows: Vec<Vec<Cell>>,
}

/// All that one transaction changed.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) tables: Vec<Table>,
    /// The last number given in each table that numbers its rows: a number must not be
    /// given again by another host, also when its row is gone.
    pub(crate) sequences: Vec<(String, i64)>,
}

impl Entry {
    /// Whether nothing changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// As it stands in the log.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        postcard::to_allocvec(self).map_err(|error| Error::Internal(format!("an entry: {error}")))
    }

    /// The inverse.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Error> {
        postcard::from_bytes(bytes)
            .map_err(|error| Error::Internal(format!("an entry of the log: {error}")))
    }
}

impl From<ValueRef<'_>> for Cell {
    fn from(value: ValueRef<'_>) -> Self {
        match value {
            ValueRef::Null => Self::Null,
            ValueRef::Integer(value) => Self::Integer(value),
            ValueRef::Real(value) => Self::Real(value),
            // Every text in the database was a `String`.
            ValueRef::Text(text) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            ValueRef::Blob(bytes) => Self::Blob(bytes.to_vec()),
        }
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Integer(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Real(value) => ToSqlOutput::Owned(Value::Real(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Blob(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

/// A name of a table or a column in a statement. Whoever may write to the log may write to
/// the database anyhow; the quotes are for names like `end`.
pub(crate) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// The ids of the keys that an entry changes or ends.
pub(crate) fn changed_keys(entry: &Entry) -> Vec<String> {
    let tables = entry.tables.iter().filter(|table| table.name == "keys");
    let rows = tables.flat_map(|table| table.rows.iter().chain(&table.gone));
    let id = |row: &Vec<Cell>| match row.first() {
        Some(Cell::Text(id)) => Some(id.clone()),
        Some(Cell::Null | Cell::Integer(_) | Cell::Real(_) | Cell::Blob(_)) | None => None,
    };
    rows.filter_map(id).collect()
}

/// Whether an entry changes which handler serves, or a rollout.
pub(crate) fn changes_handlers(entry: &Entry) -> bool {
    const TABLES: [&str; 3] = ["deployments", "rollouts", "rollout_acknowledgements"];
    entry.tables.iter().any(|table| TABLES.contains(&table.name.as_str()))
}

/// The numbers that were given last, of the tables that every host has.
pub(crate) fn sequences(db: &Connection) -> rusqlite::Result<Vec<(String, i64)>> {
    let mut statement = db.prepare_cached(
        "SELECT name, seq FROM sqlite_sequence WHERE name <> 'removals' ORDER BY name",
    )?;
    statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
