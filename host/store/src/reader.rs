//! Connections that only read, kept for the next reader.

use std::path::PathBuf;

use parking_lot::Mutex;
use rusqlite::Connection;

use crate::connection;
use crate::types::Error;

/// Idle connections to keep. One costs about 2 MB of page cache.
const MAX_IDLE: usize = 8;

pub(crate) struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Readers {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, idle: Mutex::new(Vec::new()) }
    }

    /// Runs `work` on a snapshot of the database.
    pub(crate) fn read<R>(
        &self,
        work: impl FnOnce(&Connection) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let kept = self.idle.lock().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let result =
            connection.transaction().map_err(Error::from).and_then(|snapshot| work(&snapshot));
        let mut idle = self.idle.lock();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        result
    }
}
