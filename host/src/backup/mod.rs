//! Backups: a copy of documents, keys, history and handlers as of one moment.
//!
//! A backup is a database, the components it names, and a manifest with the hash of
//! each file. The manifest is written last and goes first, so a backup is whole or it
//! is none; while files come or go the same stands in a marker, by which the next run
//! clears away what a run that was killed has left.

mod bucket;
mod manifest;
mod place;
mod rehearsal;
mod schedule;
mod scratch;

use std::io;
use std::path::{Path, PathBuf};

use ragtime_store::OpenError;

use crate::blocking::{Panicked, blocking};
use crate::config;
use crate::swap::archive::archive_folder;
pub use manifest::Manifest;
use manifest::{BackupFile, DATABASE, HANDLERS, MANIFEST, MARKER};
pub use place::Place;
pub use rehearsal::{Rehearsal, rehearse};
pub use schedule::{Backups, Trouble, keep_backups};
use scratch::Scratch;

/// Why a backup was not made or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The destination cannot be understood.
    #[error("{0}")]
    Place(&'static str),
    /// A file cannot be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// Why.
        error: io::Error,
    },
    /// A step panicked.
    #[error(transparent)]
    Panicked(#[from] Panicked),
    /// The operating system refused something else.
    #[error(transparent)]
    Io(io::Error),
    /// The database cannot be copied, or the copy is damaged.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The bucket refuses, or is out of reach.
    #[error("the bucket: {}", reason(.0))]
    Bucket(#[from] object_store::Error),
    /// There is a backup in this place already.
    #[error("there is a backup in {0} already, or a part of one")]
    Exists(String),
    /// There is no backup in this place.
    #[error("there is no whole backup in {place}{}", hinted(.newest))]
    None {
        /// The place.
        place: String,
        /// The newest one below it.
        newest: Option<String>,
    },
    /// The manifest cannot be used.
    #[error("the manifest cannot be used: {0}")]
    Manifest(String),
    /// A file that the manifest names is not there.
    #[error("{0} is missing")]
    Missing(String),
    /// A file is not what was written.
    #[error("{0} is not what was written: its size or its hash differs")]
    Differs(String),
    /// The copy would take the room of writes.
    #[error(
        "the disk of {place} has {free} bytes free: a copy of {copy} bytes would leave less than \
         backup.min_free_bytes"
    )]
    Room {
        /// The folder of the copy.
        place: String,
        /// What is free there.
        free: u64,
        /// What the copy takes.
        copy: u64,
    },
}

/// What is at the bottom of an error of the bucket; its surface repeats what is below.
fn reason(error: &object_store::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(deeper) = reason.source() {
        reason = deeper;
    }
    reason.to_string()
}

fn hinted(name: &Option<String>) -> String {
    name.as_ref().map(|name| format!("; the newest below it is {name}")).unwrap_or_default()
}

/// An error with the file that it is about.
fn at(path: &Path, error: io::Error) -> BackupError {
    BackupError::File { path: path.display().to_string(), error }
}

/// Whether backups can be made by these settings, as far as the settings alone show.
///
/// # Errors
///
/// The destination is none, or the name cannot be that of a folder.
pub fn check(settings: &config::Backup) -> Result<(), BackupError> {
    let Some(destination) = &settings.destination else { return Ok(()) };
    let name = &settings.name;
    let is_safe = |char: char| char.is_ascii_alphanumeric() || "-_.".contains(char);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_safe) {
        return Err(BackupError::Place(
            "backup.name has to be letters, digits, `-`, `_` and `.`, and does not begin with `.`",
        ));
    }
    Place::parse(destination, settings).map(drop)
}

/// Makes a backup of `data` in `place`. It is whole and checked when it returns, and
/// a server may be at work meanwhile.
///
/// # Errors
///
/// There is one already, or it cannot be made; then what was begun is cleared away.
pub async fn make(
    data: &Path,
    place: &Place,
    settings: &config::Backup,
) -> Result<Manifest, BackupError> {
    keep_off(place, &[MANIFEST, DATABASE]).await?;
    let workplace = place.workplace(data).to_owned();
    let (data, room) = (data.to_owned(), settings.min_free_bytes);
    let (scratch, manifest) = blocking(move || copy(&data, &workplace, room)).await??;
    let names: Vec<&str> = manifest.files.iter().map(|file| &*file.name).collect();
    keep_off(place, &names).await?;
    let written = write(place, &scratch, &manifest, settings.read_back).await;
    if written.is_err() {
        // What stays all the same is cleared away by its marker.
        let _ = remove_files(place, &manifest).await;
    }
    written.map(|()| manifest)
}

/// Refuses to write over what is there.
async fn keep_off(place: &Place, names: &[&str]) -> Result<(), BackupError> {
    for name in names {
        if place.has(name).await? {
            return Err(BackupError::Exists(place.to_string()));
        }
    }
    Ok(())
}

/// The copy of everything in a folder of its own. Blocking.
fn copy(data: &Path, workplace: &Path, room: u64) -> Result<(Scratch, Manifest), BackupError> {
    leave_room(data, workplace, room)?;
    std::fs::create_dir_all(workplace).map_err(|error| at(workplace, error))?;
    let scratch = Scratch::new(workplace).map_err(|error| at(workplace, error))?;
    let documents = ragtime_store::backup(data, &scratch.file(DATABASE))?;
    // After the database, so that no handler that it names is missing.
    let handlers = copy_handlers(&archive_folder(data), &scratch.file(HANDLERS))?;
    let names = std::iter::once(DATABASE.to_owned())
        .chain(handlers.into_iter().map(|name| format!("{HANDLERS}/{name}")));
    let file = |name: String| {
        let path = scratch.file(&name);
        BackupFile::of(&path, name).map_err(|error| at(&path, error))
    };
    let files = names.map(file).collect::<Result<Vec<_>, _>>()?;
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap_or_default();
    Ok((scratch, Manifest::new(now.to_string(), documents, files)))
}

/// Refuses a copy that would fill the disk.
fn leave_room(data: &Path, workplace: &Path, room: u64) -> Result<(), BackupError> {
    let sizes = [DATABASE.to_owned(), format!("{DATABASE}-wal")];
    let size = |name: &String| std::fs::metadata(data.join(name)).map_or(0, |known| known.len());
    let copy = sizes.iter().map(size).sum::<u64>();
    // The folder itself may not have been made yet.
    let there = workplace.ancestors().find(|folder| folder.is_dir()).unwrap_or(workplace);
    #[cfg(unix)]
    if let Ok(disk) = rustix::fs::statvfs(there) {
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < copy.saturating_add(room) {
            return Err(BackupError::Room { place: workplace.display().to_string(), free, copy });
        }
    }
    Ok(())
}

async fn write(
    place: &Place,
    scratch: &Scratch,
    manifest: &Manifest,
    read_back: bool,
) -> Result<(), BackupError> {
    place.write(MARKER, manifest.bytes()).await?;
    for file in &manifest.files {
        place.take(&file.name, &scratch.file(&file.name)).await?;
        if read_back && place.examine(&file.name, None).await? != *file {
            return Err(BackupError::Differs(file.name.clone()));
        }
    }
    place.write(MANIFEST, manifest.bytes()).await?;
    place.delete(MARKER).await
}

/// Removes a backup. From its first step on it is none.
async fn remove(place: &Place, manifest: &Manifest) -> Result<(), BackupError> {
    place.write(MARKER, manifest.bytes()).await?;
    place.delete(MANIFEST).await?;
    remove_files(place, manifest).await
}

/// Removes what a manifest names, and nothing else.
async fn remove_files(place: &Place, manifest: &Manifest) -> Result<(), BackupError> {
    for file in &manifest.files {
        place.delete(&file.name).await?;
    }
    place.delete(MARKER).await?;
    place.remove_folders(HANDLERS);
    Ok(())
}

/// A backup on this machine, each of its files compared with the manifest.
pub struct Fetched {
    /// The folder that it is in.
    folder: PathBuf,
    /// What it consists of; none for a backup of a version without manifests.
    pub manifest: Option<Manifest>,
    /// Removes what was fetched.
    _scratch: Option<Scratch>,
}

impl Fetched {
    /// Its database.
    pub fn database(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    /// The folder of its handlers.
    pub fn handlers(&self) -> PathBuf {
        self.folder.join(HANDLERS)
    }
}

/// Fetches the backup in `place`, below `workplace` if it is not on this machine, and
/// compares each file with the manifest.
///
/// # Errors
///
/// There is none, or it is damaged.
pub async fn fetch(place: &Place, workplace: &Path) -> Result<Fetched, BackupError> {
    let Some(manifest) = place.manifest().await? else { return without_manifest(place).await };
    let scratch = match place {
        Place::Folder(_) => None,
        Place::Bucket(_) => {
            std::fs::create_dir_all(workplace).map_err(|error| at(workplace, error))?;
            Some(Scratch::new(workplace).map_err(|error| at(workplace, error))?)
        }
    };
    for file in &manifest.files {
        let copy = scratch.as_ref().map(|scratch| scratch.file(&file.name));
        if let Some(folder) = copy.as_deref().and_then(Path::parent) {
            std::fs::create_dir_all(folder).map_err(|error| at(folder, error))?;
        }
        if place.examine(&file.name, copy.as_deref()).await? != *file {
            return Err(BackupError::Differs(file.name.clone()));
        }
    }
    let folder = match (&scratch, place) {
        (Some(scratch), _) => scratch.folder(),
        (None, Place::Folder(folder)) => folder.clone(),
        (None, Place::Bucket(_)) => return Err(BackupError::Missing(MANIFEST.to_owned())),
    };
    Ok(Fetched { folder, manifest: Some(manifest), _scratch: scratch })
}

/// A backup from before there were manifests is a folder with a database, and no
/// marker says that it was cut short.
async fn without_manifest(place: &Place) -> Result<Fetched, BackupError> {
    if let Place::Folder(folder) = place
        && folder.join(DATABASE).exists()
        && place.remains().await?.is_none()
    {
        return Ok(Fetched { folder: folder.clone(), manifest: None, _scratch: None });
    }
    let newest = schedule::newest_below(place).await?;
    Err(BackupError::None { place: place.to_string(), newest })
}

/// Copies components that are not there yet; each is named by its hash. Returns their
/// names. Blocking.
pub fn copy_handlers(from: &Path, to: &Path) -> Result<Vec<String>, BackupError> {
    let entries = match std::fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|error| at(from, error))?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| at(from, error))?.path();
        let Some(name) = component_name(&path) else { continue };
        match copy_component(&path, to, &name) {
            // Retired by a swap after its name was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            copied => {
                copied.map_err(|error| at(&path, error))?;
                names.push(name);
            }
        }
    }
    names.sort();
    Ok(names)
}

fn component_name(path: &Path) -> Option<String> {
    path.extension().filter(|extension| *extension == "wasm")?;
    Some(path.file_name()?.to_str()?.to_owned())
}

fn copy_component(from: &Path, to: &Path, name: &str) -> io::Result<()> {
    let mut component = std::fs::File::open(from)?;
    std::fs::create_dir_all(to)?;
    let mut copy = tempfile::NamedTempFile::new_in(to)?;
    io::copy(&mut component, &mut copy)?;
    copy.as_file().sync_all()?;
    copy.persist(to.join(name)).map_err(|error| error.error)?;
    Ok(())
}
