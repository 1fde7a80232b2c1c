//! Connections that only read, kept for the next reader.

use std::path::PathBuf;
use std::sync::Mutex;

use rusqlite::Connection;

use crate::types::Error;
use crate::{connection, lock_mutex};

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
        let kept = self.lock().pop();
        let mut connection = match kept {
            Some(connection) => connection,
            None => connection::open_reader(&self.path)?,
        };
        let result =
            connection.transaction().map_err(Error::from).and_then(|snapshot| work(&snapshot));
        let mut idle = self.lock();
        if idle.len() < MAX_IDLE {
            idle.push(connection);
        }
        result
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        lock_mutex(&self.idle)
    }
}
