//! A model's files from a hub, at a commit of the model's repository.
//!
//! A branch can be moved to other files; a commit cannot. What was fetched is
//! written down in a [`Manifest`] with the SHA-256 of every file, and compared
//! each time that the model is opened.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use ragtime_policy::digest::hex;
use reqwest::StatusCode;
use reqwest::blocking::{Client, Response};
use sha2::{Digest, Sha256};

use crate::config::{self, Config, Purpose};
use crate::embedder::TOKENIZER;
use crate::folder::{Folder, MAX_JSON_BYTES, MAX_TOKENIZER_BYTES, Manifest};
use crate::{LoadError, checkpoint, modules};

/// The Hugging Face hub.
pub const HUGGING_FACE: &str = "https://huggingface.co";

/// Hexadecimal digits of a commit.
const COMMIT_DIGITS: usize = 40;
/// A hub that does not answer for this long is taken to be out of reach.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes between two reports.
const BLOCK: usize = 1 << 18;
/// Two processes that fetch into one folder wait for each other at this file.
const LOCK: &str = "lock";

/// A model of a hub.
#[derive(Debug, Clone)]
pub struct Model<'a> {
    /// The hub's address, such as [`HUGGING_FACE`].
    pub hub: &'a str,
    /// The model's id, such as `intfloat/multilingual-e5-small`.
    pub id: &'a str,
    /// A commit of the model's repository, 40 hexadecimal digits.
    pub revision: &'a str,
    /// The SHA-256 that files must have, lower-case hex, by their path inside the
    /// repository; files that are not named here are taken as the hub has them.
    pub sha256: &'a BTreeMap<String, String>,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The file that is being fetched.
    pub file: &'a str,
    /// Bytes of it so far.
    pub bytes: u64,
    /// Bytes of it in all, if the hub says.
    pub total: Option<u64>,
}

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The id is not that of a model.
    #[error("{0:?} is not the id of a model, such as owner/name")]
    Id(String),
    /// The revision is not a commit.
    #[error("the revision {0:?} is not a commit of 40 hexadecimal digits, and could be moved")]
    Revision(String),
    /// The folder holds another model.
    #[error("the folder holds {id} at {revision}: give each model a folder of its own")]
    Occupied {
        /// The id of the model in the folder.
        id: String,
        /// Its commit.
        revision: String,
    },
    /// The folder cannot be used.
    #[error("{0} cannot be used: {1}")]
    Folder(String, io::Error),
    /// The hub could not be reached, or broke off.
    #[error("the hub, for {file}: {reason}")]
    Request {
        /// The file that was asked for.
        file: String,
        /// What went wrong.
        reason: String,
    },
    /// The hub does not have a file without which there is no model.
    #[error("the hub has no {0} of this model at this commit")]
    Missing(String),
    /// A file is longer than one of its name can be.
    #[error("{file} is longer than {most} bytes")]
    TooLong {
        /// The file.
        file: String,
        /// The most bytes that it can have.
        most: u64,
    },
    /// A file is not the one expected.
    #[error("{file} has SHA-256 {found}, and {expected} was expected")]
    Altered {
        /// The file.
        file: String,
        /// The hash that was asked for.
        expected: String,
        /// The hash of what the hub sent.
        found: String,
    },
    /// The model is of a form that is not supported, or its files are not what
    /// they should be.
    #[error(transparent)]
    Form(#[from] LoadError),
}

/// Fetches a model's files into a folder of its own, unless they are there, and
/// writes the manifest last: a folder without one is not complete. The form is
/// looked at before the weights are asked for. Blocking; two processes at once
/// wait for each other.
pub fn fetch(
    dir: &Path,
    model: &Model<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Manifest, HubError> {
    check(model)?;
    let folder = |error| HubError::Folder(dir.display().to_string(), error);
    fs::create_dir_all(dir).map_err(folder)?;
    let lock = File::create(dir.join(LOCK)).map_err(folder)?;
    lock.lock().map_err(folder)?;
    if let Some(manifest) = present(dir, model)? {
        return Ok(manifest);
    }
    let client = Client::builder().connect_timeout(CONNECT_TIMEOUT).timeout(None).build();
    let client = client.map_err(|error| HubError::Request {
        file: config::FILE.into(),
        reason: error.to_string(),
    })?;
    let mut fetching = Fetching { dir, model, client, progress, files: BTreeMap::new() };
    fetching.all()?;
    let files = fetching.files;
    if let Some(missing) = model.sha256.keys().find(|file| !files.contains_key(*file)) {
        return Err(HubError::Missing(missing.clone()));
    }
    let manifest = Manifest { id: model.id.into(), revision: model.revision.into(), files };
    write_manifest(dir, &manifest).map_err(folder)?;
    Ok(manifest)
}

fn check(model: &Model<'_>) -> Result<(), HubError> {
    let name = |part: &str| {
        let plain = |char: char| char.is_ascii_alphanumeric() || matches!(char, '-' | '_' | '.');
        !part.is_empty() && !part.starts_with('.') && part.chars().all(plain)
    };
    let parts: Vec<&str> = model.id.split('/').collect();
    if parts.len() > 2 || !parts.into_iter().all(name) {
        return Err(HubError::Id(model.id.into()));
    }
    let digits = model.revision.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if model.revision.len() != COMMIT_DIGITS || !digits {
        return Err(HubError::Revision(model.revision.into()));
    }
    Ok(())
}

/// The manifest of a folder that holds the model whole. One whose files were
/// changed since is fetched again; one of another model is not written over.
fn present(dir: &Path, model: &Model<'_>) -> Result<Option<Manifest>, HubError> {
    let manifest: Manifest = match Folder::unchecked(dir).json(Manifest::FILE)? {
        Some(manifest) => manifest,
        None => return Ok(None),
    };
    if manifest.id != model.id || manifest.revision != model.revision {
        return Err(HubError::Occupied { id: manifest.id, revision: manifest.revision });
    }
    let asked = model.sha256.iter().all(|(file, hash)| manifest.files.get(file) == Some(hash));
    if asked && Folder::open(dir).is_ok() {
        return Ok(Some(manifest));
    }
    fs::remove_file(dir.join(Manifest::FILE))
        .map_err(|error| HubError::Folder(dir.display().to_string(), error))?;
    Ok(None)
}

fn write_manifest(dir: &Path, manifest: &Manifest) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    serde_json::to_writer_pretty(&mut file, manifest)?;
    file.as_file().sync_all()?;
    file.persist(dir.join(Manifest::FILE)).map_err(|error| error.error)?;
    Ok(())
}

struct Fetching<'a> {
    dir: &'a Path,
    model: &'a Model<'a>,
    client: Client,
    progress: &'a mut dyn FnMut(Progress<'_>),
    /// SHA-256 of what was fetched, by file.
    files: BTreeMap<String, String>,
}

impl Fetching<'_> {
    fn all(&mut self) -> Result<(), HubError> {
        self.required(config::FILE, config::MAX_BYTES)?;
        let folder = Folder::unchecked(self.dir);
        let config = Config::parse(&folder.required(config::FILE, config::MAX_BYTES)?)?;
        for file in modules::FILES {
            self.optional(file, MAX_JSON_BYTES)?;
        }
        match config.purpose {
            Purpose::Embedding => {
                if let Some(pooling) = modules::pooling_folder(&folder)? {
                    self.required(&format!("{pooling}/config.json"), MAX_JSON_BYTES)?;
                }
            }
            // Nothing is pooled.
            Purpose::Classification => (),
        }
        self.required(TOKENIZER, MAX_TOKENIZER_BYTES)?;
        self.weights(&folder, config.most_weight_bytes())
    }

    /// The weights in one file, or in those that an index names.
    fn weights(&mut self, folder: &Folder, most: u64) -> Result<(), HubError> {
        if self.optional(checkpoint::WHOLE, most)? {
            return Ok(());
        }
        if !self.optional(checkpoint::INDEX, MAX_JSON_BYTES)? {
            return Err(HubError::Missing(checkpoint::WHOLE.into()));
        }
        let index = folder.required(checkpoint::INDEX, MAX_JSON_BYTES)?;
        let mut left = most;
        for shard in checkpoint::shards(&index)? {
            self.required(&shard, left)?;
            let length = fs::metadata(self.dir.join(&shard)).map_err(|error| self.folder(error))?;
            left = left.saturating_sub(length.len());
        }
        Ok(())
    }

    fn folder(&self, error: io::Error) -> HubError {
        HubError::Folder(self.dir.display().to_string(), error)
    }

    fn required(&mut self, file: &str, most: u64) -> Result<(), HubError> {
        if self.optional(file, most)? { Ok(()) } else { Err(HubError::Missing(file.into())) }
    }

    /// Fetches a file, and says whether the hub has it. One of an earlier fetch
    /// that the hub does not have is no part of the model.
    fn optional(&mut self, file: &str, most: u64) -> Result<bool, HubError> {
        let model = self.model;
        let hub = model.hub.trim_end_matches('/');
        let url = format!("{hub}/{}/resolve/{}/{file}", model.id, model.revision);
        let request = |error: reqwest::Error| HubError::Request {
            file: file.into(),
            reason: error.without_url().to_string(),
        };
        let response = self.client.get(url).send().map_err(request)?;
        if response.status() == StatusCode::NOT_FOUND {
            match fs::remove_file(self.dir.join(file)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(self.folder(error));
                }
                Ok(()) | Err(_) => return Ok(false),
            }
        }
        let response = response.error_for_status().map_err(request)?;
        let hash = self.keep(response, file, most)?;
        self.files.insert(file.into(), hash);
        Ok(true)
    }

    /// Writes what is read under another name, and gives it its own only once it
    /// is whole and its hash is right.
    fn keep(&mut self, response: Response, file: &str, most: u64) -> Result<String, HubError> {
        let too_long = || HubError::TooLong { file: file.into(), most };
        let total = response.content_length();
        if total.is_some_and(|total| total > most) {
            return Err(too_long());
        }
        let path = self.dir.join(file);
        let parent = path.parent().unwrap_or(self.dir);
        fs::create_dir_all(parent).map_err(|error| self.folder(error))?;
        let mut kept =
            tempfile::NamedTempFile::new_in(parent).map_err(|error| self.folder(error))?;
        let (hash, bytes) =
            self.copy(response.take(most.saturating_add(1)), &mut kept, file, total)?;
        if bytes > most {
            return Err(too_long());
        }
        match self.model.sha256.get(file) {
            Some(expected) if *expected != hash => {
                let expected = expected.clone();
                return Err(HubError::Altered { file: file.into(), expected, found: hash });
            }
            Some(_) | None => (),
        }
        kept.as_file().sync_all().map_err(|error| self.folder(error))?;
        kept.persist(path).map_err(|error| self.folder(error.error))?;
        Ok(hash)
    }

    /// Copies all that is read, and gives its SHA-256 and its length.
    fn copy(
        &mut self,
        mut from: impl Read,
        to: &mut impl Write,
        file: &str,
        total: Option<u64>,
    ) -> Result<(String, u64), HubError> {
        let broken =
            |error: io::Error| HubError::Request { file: file.into(), reason: error.to_string() };
        let (mut hash, mut bytes, mut block) = (Sha256::new(), 0, vec![0; BLOCK]);
        loop {
            let read = match from.read(&mut block) {
                Ok(0) => return Ok((hex(&hash.finalize()), bytes)),
                Ok(read) => block.get(..read).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(broken(error)),
            };
            to.write_all(read).map_err(|error| self.folder(error))?;
            hash.update(read);
            bytes += read.len() as u64;
            (self.progress)(Progress { file, bytes, total });
        }
    }
}
