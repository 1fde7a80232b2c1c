//! Where backups are: a folder, or a prefix of a bucket.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::bucket::Bucket;
use super::manifest::{BackupFile, MANIFEST, MARKER, MAX_BYTES, Manifest};
use super::{BackupError, at};
use crate::blocking::blocking;
use crate::config;

/// What the URL of a bucket begins with.
const S3: &str = "s3://";

/// A place of one backup, or of several below it.
#[derive(Debug, Clone)]
pub enum Place {
    /// A folder of this machine, or one that is mounted.
    Folder(PathBuf),
    /// A prefix of a bucket.
    Bucket(Bucket),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => write!(f, "{}", folder.display()),
            Self::Bucket(bucket) => write!(f, "{bucket}"),
        }
    }
}

impl Place {
    /// `s3://BUCKET/PREFIX`, else a folder.
    ///
    /// # Errors
    ///
    /// A bucket has no name, or its settings cannot be used.
    pub fn parse(text: &str, settings: &config::Backup) -> Result<Self, BackupError> {
        match text.strip_prefix(S3) {
            Some(rest) => Bucket::open(rest, settings).map(Self::Bucket),
            None => Ok(Self::Folder(std::path::absolute(text).map_err(BackupError::Io)?)),
        }
    }

    /// The place of this name below.
    pub fn child(&self, name: &str) -> Self {
        match self {
            Self::Folder(folder) => Self::Folder(folder.join(name)),
            Self::Bucket(bucket) => Self::Bucket(bucket.child(name)),
        }
    }

    /// Names of the places directly below, in no order.
    pub async fn children(&self) -> Result<Vec<String>, BackupError> {
        match self {
            Self::Folder(folder) => folders_in(folder).map_err(|error| at(folder, error)),
            Self::Bucket(bucket) => bucket.children().await,
        }
    }

    /// The folder to make the copy in: beside the backups where it then only has to be
    /// renamed, else below `data`.
    pub fn workplace<'a>(&'a self, data: &'a Path) -> &'a Path {
        match self {
            Self::Folder(folder) => folder,
            Self::Bucket(_) => data,
        }
    }

    /// The manifest of the backup here; none if there is no whole one.
    pub async fn manifest(&self) -> Result<Option<Manifest>, BackupError> {
        self.read(MANIFEST).await?.map(|bytes| Manifest::parse(&bytes)).transpose()
    }

    /// What is left of a backup that was cut short, by its marker.
    pub async fn remains(&self) -> Result<Option<Manifest>, BackupError> {
        self.read(MARKER).await?.map(|bytes| Manifest::parse(&bytes)).transpose()
    }

    /// A small file; none if there is none.
    async fn read(&self, name: &str) -> Result<Option<Vec<u8>>, BackupError> {
        match self {
            Self::Folder(folder) => read_file(&folder.join(name)),
            Self::Bucket(bucket) => bucket.read(name, MAX_BYTES).await,
        }
    }

    /// Whether there is a file of this name.
    pub async fn has(&self, name: &str) -> Result<bool, BackupError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                path.try_exists().map_err(|error| at(&path, error))
            }
            Self::Bucket(bucket) => bucket.has(name).await,
        }
    }

    /// Writes a small file, whole or not at all.
    pub async fn write(&self, name: &str, bytes: Vec<u8>) -> Result<(), BackupError> {
        match self {
            Self::Folder(folder) => {
                write_file(folder, name, &bytes).map_err(|error| at(&folder.join(name), error))
            }
            Self::Bucket(bucket) => bucket.write(name, bytes).await,
        }
    }

    /// Takes the file at `from` for the backup. In a folder it is moved, which leaves
    /// nothing at `from`.
    pub async fn take(&self, name: &str, from: &Path) -> Result<(), BackupError> {
        match self {
            Self::Folder(folder) => {
                let to = folder.join(name);
                move_file(from, &to).map_err(|error| at(&to, error))
            }
            Self::Bucket(bucket) => bucket.upload(name, from).await,
        }
    }

    /// What the file of this name is, read again from its first to its last byte, and
    /// written to `copy` if that is given.
    pub async fn examine(
        &self,
        name: &str,
        copy: Option<&Path>,
    ) -> Result<BackupFile, BackupError> {
        match self {
            Self::Folder(folder) => {
                let (from, to) = (folder.join(name), copy.map(Path::to_owned));
                let name = name.to_owned();
                let work = move || {
                    if let Some(to) = to {
                        fs::copy(&from, &to).map_err(|error| at(&to, error))?;
                        return BackupFile::of(&to, name).map_err(|error| at(&to, error));
                    }
                    BackupFile::of(&from, name).map_err(|error| at(&from, error))
                };
                blocking(work).await?
            }
            Self::Bucket(bucket) => bucket.examine(name, copy).await,
        }
    }

    /// Deletes a file; one that is not there is deleted.
    pub async fn delete(&self, name: &str) -> Result<(), BackupError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(name);
                match fs::remove_file(&path) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(&path, error)),
                    _ => Ok(()),
                }
            }
            Self::Bucket(bucket) => bucket.delete(name).await,
        }
    }

    /// Removes what folders are left of a backup without files. One in which somebody
    /// else put something stays.
    pub fn remove_folders(&self, below: &str) {
        if let Self::Folder(folder) = self {
            let _ = fs::remove_dir(folder.join(below));
            let _ = fs::remove_dir(folder);
        }
    }
}

fn folders_in(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string());
        }
    }
    Ok(names)
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, BackupError> {
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(path, error)),
        Ok(known) if known.len() > MAX_BYTES => {
            Err(BackupError::Manifest(format!("it has {} bytes", known.len())))
        }
        Ok(_) => fs::read(path).map(Some).map_err(|error| at(path, error)),
    }
}

fn write_file(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, bytes)?;
    file.as_file().sync_all()?;
    file.persist(folder.join(name)).map_err(|error| error.error)?;
    fs::File::open(folder)?.sync_all()
}

/// Moves a file that is on disk, and never over another.
fn move_file(from: &Path, to: &Path) -> io::Result<()> {
    if to.exists() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let folder = to.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    fs::rename(from, to)?;
    fs::File::open(folder)?.sync_all()
}
