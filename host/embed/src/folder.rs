//! The files of a model's folder, held against its manifest if it has one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Component, Path, PathBuf};

use ragtime_policy::digest::sha256_of;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::LoadError;

/// Configuration files are some hundred bytes; an index of weights names every
/// tensor.
pub(crate) const MAX_JSON_BYTES: u64 = 16 << 20;
/// The largest tokenizers in use, of a million tokens, are some 40 MB.
pub(crate) const MAX_TOKENIZER_BYTES: u64 = 128 << 20;

/// Where a folder's files came from, and what they are: `ragtime-model.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The model's id on the hub, such as `intfloat/multilingual-e5-small`.
    pub id: String,
    /// The commit of the model's repository, 40 hexadecimal digits.
    pub revision: String,
    /// SHA-256 of each file, lower-case hex, by its path inside the folder.
    pub files: BTreeMap<String, String>,
}

impl Manifest {
    /// The file that holds it.
    pub const FILE: &str = "ragtime-model.json";

    /// The manifest of a folder, if it has one, after every file that it names was read
    /// and compared. Blocking.
    ///
    /// # Errors
    ///
    /// A file is missing, cannot be read, or is another than was fetched.
    pub fn verified(folder: &Path) -> Result<Option<Self>, LoadError> {
        Ok(Folder::open(folder)?.into_manifest())
    }
}

/// A folder with a model's files.
pub(crate) struct Folder {
    path: PathBuf,
    manifest: Option<Manifest>,
}

impl Folder {
    /// Opens a folder. If it has a manifest, every file that the manifest names
    /// is read and compared.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let mut folder = Self::unchecked(path);
        let manifest: Option<Manifest> = folder.json(Manifest::FILE)?;
        if let Some(manifest) = &manifest {
            for (name, expected) in &manifest.files {
                folder.compare(name, expected)?;
            }
        }
        folder.manifest = manifest;
        Ok(folder)
    }

    /// A folder whose manifest is left out of account.
    pub(crate) fn unchecked(path: &Path) -> Self {
        Self { path: path.to_owned(), manifest: None }
    }

    /// The manifest, if the folder has one.
    pub(crate) fn into_manifest(self) -> Option<Manifest> {
        self.manifest
    }

    fn compare(&self, name: &str, expected: &str) -> Result<(), LoadError> {
        let path = self.path.join(inside(Manifest::FILE, name)?);
        let found = File::open(&path)
            .and_then(sha256_of)
            .map_err(|error| LoadError::Unreadable { path: path.display().to_string(), error })?;
        if found == expected {
            return Ok(());
        }
        Err(LoadError::Altered { file: name.into(), expected: expected.into(), found })
    }

    /// The path of a file that is there.
    pub(crate) fn file(&self, name: &str) -> Result<Option<PathBuf>, LoadError> {
        let path = self.path.join(name);
        if !path.is_file() {
            return Ok(None);
        }
        match &self.manifest {
            Some(manifest) if !manifest.files.contains_key(name) => {
                Err(LoadError::Unlisted(name.into()))
            }
            Some(_) | None => Ok(Some(path)),
        }
    }

    /// The bytes of a file, if it is there.
    pub(crate) fn bytes(&self, name: &str, most: u64) -> Result<Option<Vec<u8>>, LoadError> {
        match self.file(name)? {
            Some(path) => Ok(Some(read(&path, most)?)),
            None => Ok(None),
        }
    }

    /// The bytes of a file without which there is no model.
    pub(crate) fn required(&self, name: &str, most: u64) -> Result<Vec<u8>, LoadError> {
        match self.file(name)? {
            Some(path) => read(&path, most),
            None => Err(LoadError::Unreadable {
                path: self.path.join(name).display().to_string(),
                error: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }

    /// The value that a JSON file holds, if the file is there.
    pub(crate) fn json<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, LoadError> {
        let Some(bytes) = self.bytes(name, MAX_JSON_BYTES)? else {
            return Ok(None);
        };
        let malformed = |error: serde_json::Error| LoadError::Malformed {
            file: name.into(),
            reason: error.to_string(),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(malformed)
    }
}

/// The bytes of a file of at most `most` bytes.
pub(crate) fn read(path: &Path, most: u64) -> Result<Vec<u8>, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.display().to_string(), error };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(unreadable)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > most {
        return Err(LoadError::Malformed {
            file: path.display().to_string(),
            reason: format!("it is longer than {most} bytes"),
        });
    }
    Ok(bytes)
}

/// A path that another file names, if it stays inside the folder.
pub(crate) fn inside<'a>(file: &str, name: &'a str) -> Result<&'a Path, LoadError> {
    let path = Path::new(name);
    let plain = path.components().all(|part| matches!(part, Component::Normal(_)));
    if plain && !name.is_empty() && !name.contains('\\') {
        return Ok(path);
    }
    Err(LoadError::Malformed {
        file: file.into(),
        reason: format!("{name:?} is not a path inside the folder"),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::{Value, json};

    use super::*;

    fn folder(files: Value) -> (tempfile::TempDir, Result<Folder, LoadError>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.json"), "{}").unwrap();
        let manifest = json!({"id": "a/b", "revision": "0".repeat(40), "files": files});
        fs::write(dir.path().join(Manifest::FILE), manifest.to_string()).unwrap();
        let opened = Folder::open(dir.path());
        (dir, opened)
    }

    #[test]
    fn files_are_those_of_the_manifest() {
        let right = "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let (dir, opened) = folder(json!({"config.json": right}));
        let folder = opened.unwrap();
        assert_eq!(folder.required("config.json", 10).unwrap(), b"{}");
        assert!(folder.required("config.json", 1).is_err());
        fs::write(dir.path().join("modules.json"), "[]").unwrap();
        assert!(matches!(folder.json::<Value>("modules.json"), Err(LoadError::Unlisted(_))));
    }

    #[test]
    fn another_file_and_a_path_outside_are_refused() {
        let (_dir, opened) = folder(json!({"config.json": "0".repeat(64)}));
        assert!(matches!(opened, Err(LoadError::Altered { .. })));
        let (_dir, opened) = folder(json!({"../config.json": "0".repeat(64)}));
        assert!(matches!(opened, Err(LoadError::Malformed { .. })));
    }
}
