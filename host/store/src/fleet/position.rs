//! Where this host is in the log, kept in its own database: it moves in the same
//! transaction as the rows that the log brings.

use rusqlite::{Connection, OptionalExtension};

use crate::types::Error;

/// The table. A database that is no host's of a fleet does not have it.
pub(crate) const TABLE: &str = "fleet_position";

/// A place in the log of a fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The fleet, a UUID.
    pub(crate) fleet: String,
    /// The last entry that is in the database; 0 before the first.
    pub(crate) n: u64,
    /// What that entry is known by. An entry of the same number and another token is of
    /// a log that has lost entries and gone on without them.
    pub(crate) token: String,
}

impl Position {
    /// The position of a database; `None` if it belongs to no fleet.
    pub(crate) fn of(db: &Connection) -> Result<Option<Self>, Error> {
        let there: bool = db.query_row(
            "SELECT count(*) > 0 FROM sqlite_master WHERE name = ?1",
            [TABLE],
            |row| row.get(0),
        )?;
        if !there {
            return Ok(None);
        }
        let found = db.query_row(&format!("SELECT fleet, n, token FROM {TABLE}"), [], |row| {
            Ok(Self { fleet: row.get(0)?, n: row.get(1)?, token: row.get(2)? })
        });
        Ok(found.optional()?)
    }

    /// Writes it down.
    pub(crate) fn save(&self, db: &Connection) -> Result<(), Error> {
        db.prepare_cached(&format!("INSERT OR REPLACE INTO {TABLE} VALUES (1, ?1, ?2, ?3)"))?
            .execute((&self.fleet, self.n, &self.token))?;
        Ok(())
    }

    /// Makes the table.
    pub(crate) fn create(db: &Connection) -> Result<(), Error> {
        db.execute_batch(&format!(
            "CREATE TABLE IF NOT EXISTS {TABLE} (
                 one INTEGER PRIMARY KEY CHECK (one = 1),
                 fleet TEXT NOT NULL, n INTEGER NOT NULL, token TEXT NOT NULL) STRICT"
        ))?;
        Ok(())
    }
}
