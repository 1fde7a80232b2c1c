//! Folders for a copy on its way, which no run leaves behind for long.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// What their names begin with.
const PREFIX: &str = ".ragtime-partial-";
/// The file in each that the process at work holds locked.
const LOCK: &str = "lock";
/// The folder in each for what is copied.
const FILES: &str = "files";

/// A folder that is removed when it is dropped, or, after a kill, by the next
/// [`sweep`].
pub struct Scratch {
    folder: TempDir,
    _lock: File,
}

impl Scratch {
    /// A new one in `parent`. Blocking.
    pub fn new(parent: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::create(folder.path().join(LOCK))?;
        lock.lock()?;
        fs::create_dir(folder.path().join(FILES))?;
        Ok(Self { folder, _lock: lock })
    }

    /// The folder for the files.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join(FILES)
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// Removes what killed processes have left in `parent`. Blocking.
pub fn sweep(parent: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // One without a lock is just being made.
        let Some(lock) = File::open(entry.path().join(LOCK)).ok().filter(|_| ours) else {
            continue;
        };
        if lock.try_lock().is_ok() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_goes_and_what_is_at_work_stays() {
        let parent = tempfile::tempdir().unwrap();
        let at_work = Scratch::new(parent.path()).unwrap();
        let left = parent.path().join(format!("{PREFIX}left"));
        let begun = parent.path().join(format!("{PREFIX}begun"));
        let other = parent.path().join("other");
        for folder in [&left, &begun, &other] {
            fs::create_dir(folder).unwrap();
        }
        for folder in [&left, &other] {
            fs::write(folder.join(LOCK), "").unwrap();
        }
        sweep(parent.path()).unwrap();
        assert!(at_work.folder().exists() && begun.exists() && other.exists());
        assert!(!left.exists());
        let folder = at_work.folder();
        drop(at_work);
        assert!(!folder.exists());
        sweep(&parent.path().join("nowhere")).unwrap();
    }
}
