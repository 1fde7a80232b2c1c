//! What a backup consists of, with the hash of each file. The manifest is written
//! last: what has none is no backup.

use std::io::{self, Read};
use std::path::Path;

use ragtime_policy::digest::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BackupError;

/// The manifest of a whole backup.
pub const MANIFEST: &str = "manifest.json";
/// The same under another name while the files come or go.
pub const MARKER: &str = "incomplete.json";
/// The database in a backup.
pub const DATABASE: &str = "ragtime.sqlite";
/// The folder of components in a backup.
pub const HANDLERS: &str = "handlers";
/// The largest manifest that is read: some 100 bytes for each of ten thousand handlers.
pub const MAX_BYTES: u64 = 1024 * 1024;

/// The layout that this version writes, and the newest that it reads.
const FORMAT: u32 = 1;
/// Bytes that are hashed in one step.
const STEP_BYTES: usize = 256 * 1024;

/// What is in a backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct Manifest {
    /// The layout.
    format: u32,
    /// The version that made it.
    pub ragtime: String,
    /// When it was made (RFC 3339).
    pub created_at: String,
    /// Documents in it.
    pub documents: u64,
    /// Its files; the database is the first.
    pub files: Vec<BackupFile>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
pub struct BackupFile {
    /// Its path below the backup, with `/` between.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

impl Manifest {
    /// That of a new backup.
    pub fn new(created_at: String, documents: u64, files: Vec<BackupFile>) -> Self {
        let ragtime = env!("CARGO_PKG_VERSION").to_owned();
        Self { format: FORMAT, ragtime, created_at, documents, files }
    }

    /// Reads one, whoever wrote it: no name leads out of the backup.
    ///
    /// # Errors
    ///
    /// It is no manifest, or of a later layout.
    pub fn parse(bytes: &[u8]) -> Result<Self, BackupError> {
        let invalid = |reason: String| BackupError::Manifest(reason);
        let manifest: Self =
            serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        if manifest.format != FORMAT {
            return Err(invalid(format!("its format is {}", manifest.format)));
        }
        match manifest.files.iter().find(|file| !is_ours(&file.name)) {
            Some(file) => Err(invalid(format!("{:?} is no file of a backup", file.name))),
            None if manifest.files.first().is_none_or(|file| file.name != DATABASE) => {
                Err(invalid("it names no database".to_owned()))
            }
            None => Ok(manifest),
        }
    }

    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        // A struct of numbers and strings is always JSON.
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Size of all files.
    pub fn total_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// How many handlers there are.
    pub fn handlers(&self) -> u64 {
        self.files.len().saturating_sub(1) as u64
    }
}

impl BackupFile {
    /// What the file at `path` is, under this name. Blocking.
    pub fn of(path: &Path, name: String) -> io::Result<Self> {
        let mut hashing = Hashing::default();
        let mut file = std::fs::File::open(path)?;
        let mut step = vec![0; STEP_BYTES];
        loop {
            match file.read(&mut step)? {
                0 => return Ok(hashing.file(name)),
                read => hashing.add(step.get(..read).unwrap_or_default()),
            }
        }
    }
}

/// A file that is being read.
#[derive(Default)]
pub struct Hashing(Sha256, u64);

impl Hashing {
    /// More of it.
    pub fn add(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
        self.1 += bytes.len() as u64;
    }

    /// What it is, at its end.
    pub fn file(self, name: String) -> BackupFile {
        BackupFile { name, bytes: self.1, sha256: hex(&self.0.finalize()) }
    }
}

/// The database, or a component that its hash names.
fn is_ours(name: &str) -> bool {
    let component = name
        .strip_prefix(HANDLERS)
        .and_then(|rest| rest.strip_prefix('/'))
        .and_then(|rest| rest.strip_suffix(".wasm"));
    name == DATABASE
        || component.is_some_and(|hash| {
            !hash.is_empty() && hash.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(names: &[&str]) -> Manifest {
        let file = |name: &&str| Hashing::default().file((*name).to_owned());
        Manifest::new("2026-01-02T03:04:05Z".into(), 3, names.iter().map(file).collect())
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written() {
        let written = manifest(&[DATABASE, "handlers/00ff.wasm"]);
        assert_eq!(Manifest::parse(&written.bytes()).unwrap(), written);
    }

    #[test]
    fn no_name_leads_out_of_the_backup() {
        for name in ["../x", "/etc/passwd", "handlers/../../x.wasm", "handlers/.wasm", "notes"] {
            let error = Manifest::parse(&manifest(&[DATABASE, name]).bytes()).unwrap_err();
            assert!(error.to_string().contains("no file of a backup"), "{name}: {error}");
        }
        assert!(Manifest::parse(&manifest(&["handlers/00.wasm"]).bytes()).is_err());
        assert!(Manifest::parse(b"{}").is_err());
    }

    #[test]
    fn a_later_layout_is_not_guessed_at() {
        let later = Manifest { format: FORMAT + 1, ..manifest(&[DATABASE]) };
        assert!(Manifest::parse(&later.bytes()).unwrap_err().to_string().contains("format is 2"));
    }
}
