//! What can be seen of a folder from outside, without taking or changing anything.

use std::fs::{File, TryLockError};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use crate::types::OpenError;
use crate::{DATABASE, LOCK, schema};

/// Whether a process has the store in `dir` open. Blocking.
pub fn in_use(dir: &Path) -> bool {
    // Shared, so that two who look do not meet each other.
    File::open(dir.join(LOCK))
        .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

/// When the newest of documents, acts and deployments was written, in seconds since the
/// Unix epoch; none without a database, or without any of these. For a store that no
/// process has open: what only a log of SQLite holds is left out. Blocking.
///
/// # Errors
///
/// The database cannot be read, or is of a later version.
pub fn newest(dir: &Path) -> Result<Option<u64>, OpenError> {
    let database = dir.join(DATABASE);
    if !database.exists() {
        return Ok(None);
    }
    // Taken for a file that nobody changes, or SQLite would make files beside it, of
    // which the server's user may not be the owner.
    let path = database.to_str().ok_or(OpenError::Path)?;
    let path = path.replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    let db = Connection::open_with_flags(format!("file:{path}?immutable=1"), flags)?;
    schema::check_version(&db)?;
    let newest = "SELECT max(at) FROM (SELECT max(updated_at) AS at FROM documents
                  UNION ALL SELECT max(at) FROM audit UNION ALL SELECT max(at) FROM deployments)";
    Ok(db.query_row(newest, [], |row| row.get(0))?)
}
