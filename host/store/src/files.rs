//! Files that are copied, and files that may not be there.

use std::fs;
use std::io;
use std::path::Path;

use crate::connection;
use crate::types::OpenError;

/// Copies a database to the new file `to`, as of one moment; a server may be at work on it.
pub(crate) fn copy_database(database: &Path, to: &Path) -> Result<(), OpenError> {
    let path = to.to_str().ok_or(OpenError::Path)?;
    connection::open_reader(database)?.execute("VACUUM INTO ?1", [path])?;
    Ok(())
}

/// Removes a file, if it is there.
pub(crate) fn remove(file: &Path) -> io::Result<()> {
    unless_missing(fs::remove_file(file))
}

/// Removes a folder with all that is in it, if it is there.
pub(crate) fn remove_folder(folder: &Path) -> io::Result<()> {
    unless_missing(fs::remove_dir_all(folder))
}

fn unless_missing(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
