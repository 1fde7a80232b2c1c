//! A copy of the database as of one moment, and the way back.

use std::fs::{self, File};
use std::path::Path;

use rusqlite::Connection;

use crate::types::OpenError;
use crate::{DATABASE, INDEXES, connection, files, lock, schema};

/// Copies the database in `dir` to the new file `to`, as of one moment; a
/// server may be at work on it. On disk and checked when it returns the number
/// of documents. Blocking.
///
/// # Errors
///
/// There is no database, or the copy cannot be written.
pub fn backup(dir: &Path, to: &Path) -> Result<u64, OpenError> {
    let database = dir.join(DATABASE);
    if !database.exists() {
        return Err(OpenError::NoDatabase);
    }
    files::copy_database(&database, to)?;
    sync(to)?;
    verify(to)
}

/// Puts the copy `from` in the place of the database in `dir`. The indexes are
/// rebuilt at the next start. Blocking.
///
/// # Errors
///
/// The copy is damaged, the folder is in use, or it has a database already and
/// `replace` is not set.
pub fn restore(from: &Path, dir: &Path, replace: bool) -> Result<u64, OpenError> {
    let documents = verify(from)?;
    fs::create_dir_all(dir)?;
    let _lock = lock(dir)?;
    let database = dir.join(DATABASE);
    if database.exists() && !replace {
        return Err(OpenError::Exists);
    }
    let new = dir.join(format!("{DATABASE}.new"));
    fs::copy(from, &new)?;
    sync(&new)?;
    for suffix in ["-wal", "-shm"] {
        files::remove(&dir.join(format!("{DATABASE}{suffix}")))?;
    }
    fs::rename(&new, &database)?;
    File::open(dir)?.sync_all()?;
    files::remove_folder(&dir.join(INDEXES))?;
    Ok(documents)
}

/// Whether `file` is a whole database of a version that is known; how many
/// documents it has.
fn verify(file: &Path) -> Result<u64, OpenError> {
    let db: Connection = connection::open_reader(file)?;
    let damaged = |error: rusqlite::Error| OpenError::Damaged(error.to_string());
    let said: String =
        db.pragma_query_value(None, "quick_check", |row| row.get(0)).map_err(damaged)?;
    if said != "ok" {
        return Err(OpenError::Damaged(said));
    }
    schema::check_version(&db)?;
    db.query_row("SELECT count(*) FROM documents", [], |row| row.get(0)).map_err(damaged)
}

fn sync(file: &Path) -> std::io::Result<()> {
    File::open(file)?.sync_all()?;
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}
