//! Components on disk, by what is in them, for rollbacks and restarts.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ragtime_policy::digest::sha256;

/// A folder of components, each named by its SHA-256.
pub struct Archive {
    folder: PathBuf,
}

impl Archive {
    /// The archive in `folder`, made if need be.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Keeps a component. On disk when it returns, and whole or not there
    /// after a crash. Blocking.
    pub fn save(&self, sha256: &str, component: &[u8]) -> io::Result<()> {
        let path = self.path(sha256);
        if path.exists() {
            return Ok(());
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(component)?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        fs::File::open(&self.folder)?.sync_all()
    }

    /// A component; none when it is not kept, or is not what it was. Blocking.
    pub fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Ok(component) => Ok((sha256(&component) == name).then_some(component)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Every component that is whole, with its SHA-256. Blocking.
    pub fn all(&self) -> io::Result<Vec<(String, Vec<u8>)>> {
        let mut all = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let name = entry?.file_name();
            let Some(name) = name.to_str().and_then(|name| name.strip_suffix(".wasm")) else {
                continue;
            };
            all.extend(self.read(name)?.map(|component| (name.to_owned(), component)));
        }
        Ok(all)
    }

    /// Removes every component but these. Blocking.
    pub fn retain(&self, keep: &HashSet<String>) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name();
            let kept = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
            if kept.is_some_and(|name| !keep.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.wasm"))
    }
}

/// Where components are kept below the data folder.
pub fn archive_folder(data: &Path) -> PathBuf {
    data.join("handlers")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_what_is_damaged_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let archive = Archive::new(folder.path()).unwrap();
        let names: Vec<_> = [b"one", b"two"].iter().map(|bytes| sha256(*bytes)).collect();
        archive.save(&names[0], b"one").unwrap();
        archive.save(&names[1], b"two").unwrap();
        assert_eq!(archive.read(&names[0]).unwrap().as_deref(), Some(&b"one"[..]));
        fs::write(archive.path(&names[0]), "another").unwrap();
        assert_eq!(archive.read(&names[0]).unwrap(), None);
        archive.retain(&HashSet::from([names[0].clone()])).unwrap();
        assert_eq!(archive.read(&names[1]).unwrap(), None);
        assert!(archive.path(&names[0]).exists());
    }
}
