//! Compiled code on disk, by the component that it was made from.
//!
//! A file is mapped and not read: a start costs no time for what no request uses, and
//! the pages of several servers on one machine are the same.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{fs, io};

use wasmtime::Engine;
use wasmtime::component::Component;

/// How the name of such a file ends.
const SUFFIX: &str = ".cwasm";

/// A folder of compiled code. It is as private as the data folder that it is in: who
/// can write to it can run code as the server.
#[derive(Clone)]
pub struct CodeCache {
    folder: PathBuf,
    /// What the code is made for: this version of wasmtime, its settings, the machine.
    engine: String,
}

impl CodeCache {
    /// The cache in `folder`, for `engine`.
    pub fn new(engine: &Engine, folder: &Path) -> Self {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Self { folder: folder.to_owned(), engine: format!("{:016x}", hasher.finish()) }
    }

    /// The code of the component with this SHA-256; none where there is none that the
    /// engine takes. Blocking.
    pub fn load(&self, engine: &Engine, sha256: &str) -> Option<Component> {
        let path = self.path(sha256);
        if !path.exists() {
            return None;
        }
        let mapped = deserialize(engine, &path);
        if let Err(error) = &mapped {
            tracing::warn!(%error, "compiled code cannot be loaded, so it is made again");
        }
        mapped.ok()
    }

    /// Keeps the code of a component. It is whole or not there after a crash. Blocking.
    pub fn save(&self, sha256: &str, component: &Component) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let code = component.serialize().map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&code)?;
        file.as_file().sync_all()?;
        file.persist(self.path(sha256)).map_err(|error| error.error)?;
        Ok(())
    }

    /// Removes the code of all components but these, and all that is for another engine.
    /// Blocking.
    pub fn retain(&self, keep: &HashSet<String>) -> io::Result<()> {
        let kept: HashSet<_> = keep.iter().map(|sha256| self.path(sha256)).collect();
        let entries = match fs::read_dir(&self.folder) {
            // No code could be kept.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let path = entry?.path();
            let is_code = path.to_str().is_some_and(|path| path.ends_with(SUFFIX));
            if is_code && !kept.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn path(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}-{}{SUFFIX}", self.engine))
    }
}

#[allow(unsafe_code)]
fn deserialize(engine: &Engine, path: &Path) -> wasmtime::Result<Component> {
    // SAFETY: the file was written by `CodeCache::save` in a folder that only the
    // server's own user can write to, under another name, and renamed when it was whole;
    // nothing changes it after that. wasmtime refuses code for another engine.
    unsafe { Component::deserialize_file(engine, path) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// A component with nothing in it.
    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";

    #[test]
    fn code_is_found_again_until_it_is_not_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::new(&engine, folder.path());
        assert!(cache.load(&engine, "a").is_none());
        let component = Component::new(&engine, EMPTY).unwrap();
        for name in ["a", "b"] {
            cache.save(name, &component).unwrap();
            assert!(cache.load(&engine, name).is_some());
        }
        fs::write(folder.path().join("b-0.cwasm"), "of another version").unwrap();
        cache.retain(&HashSet::from(["a".to_owned()])).unwrap();
        assert!(cache.load(&engine, "a").is_some());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_no_code_is_not_loaded() {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::default();
        let cache = CodeCache::new(&engine, folder.path());
        fs::write(cache.path("a"), "no code").unwrap();
        assert!(cache.load(&engine, "a").is_none());
    }
}
