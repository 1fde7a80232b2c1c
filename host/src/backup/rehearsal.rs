//! A backup brought back into a folder that is thrown away: what its files do not
//! show is seen by using it.

use std::path::Path;
use std::time::Duration;

use ragtime_store::Report;
use serde_json::{Value, json};

use super::manifest::Manifest;
use super::place::Place;
use super::{BackupError, copy_handlers, fetch};
use crate::blocking::blocking;
use crate::config::{ModelSource, Settings};
use crate::runtime::engine::cache_folder;
use crate::serve::{self, Scratch, ServeError};
use crate::swap::archive::archive_folder;

/// How often to look whether the indexes have been made.
const BREATH: Duration = Duration::from_millis(20);
/// Words of a passage that it is searched by: enough to distinguish it from others.
const WORDS: usize = 12;
/// Collections that are looked through for a passage to search for.
const MAX_COLLECTIONS: usize = 1_000;

/// What a rehearsal showed.
pub struct Rehearsal {
    /// What the backup consists of; none for one of a version without manifests.
    pub manifest: Option<Manifest>,
    /// What is in the database, and what of it is damaged.
    pub report: Report,
    /// What a server did with it; none when the database is damaged.
    pub served: Option<Served>,
}

/// What a server did with the backup.
pub struct Served {
    /// The SHA-256 of the handler that served.
    pub handler: String,
    /// The search; none when there is no passage to search for.
    pub search: Option<Searched>,
}

/// A search for the words of a passage.
pub struct Searched {
    /// The collection.
    pub collection: String,
    /// The document whose words they are.
    pub document: String,
    /// Whether it was among the results.
    pub found: bool,
}

/// Why there is no telling.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The backup is missing or damaged.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The server does not start with it.
    #[error("no server starts with this backup: {0}")]
    Serve(#[from] ServeError),
    /// The server does not answer.
    #[error("the server does not answer: {0}")]
    Search(String),
}

/// Restores the backup in `place` into a temporary folder, reads every text, chunk and
/// vector, starts a server on it and has it find a passage. Nothing is left behind.
///
/// # Errors
///
/// The backup cannot be read, or no server starts with it.
pub async fn rehearse(place: &Place, settings: Settings) -> Result<Rehearsal, RehearsalError> {
    let folder = tempfile::tempdir().map_err(BackupError::Io)?;
    let data = folder.path().join("data");
    let manifest = bring_back(place, folder.path(), &data).await?;
    let looked_at = data.clone();
    let report = blocking(move || ragtime_store::check(&looked_at, false))
        .await
        .map_err(BackupError::from)?;
    let report = report.map_err(BackupError::from)?;
    lend_code(&settings.data.dir, &data);
    let served = match report.lost.is_empty() {
        true => Some(serve(alone(settings), &data).await?),
        false => None,
    };
    Ok(Rehearsal { manifest, report, served })
}

async fn bring_back(
    place: &Place,
    workplace: &Path,
    data: &Path,
) -> Result<Option<Manifest>, BackupError> {
    let fetched = fetch(place, workplace).await?;
    let (database, handlers) = (fetched.database(), fetched.handlers());
    let data = data.to_owned();
    blocking(move || {
        ragtime_store::restore(&database, &data, false)?;
        copy_handlers(&handlers, &archive_folder(&data)).map(drop)
    })
    .await??;
    Ok(fetched.manifest)
}

/// Lends what a server has compiled in `from`, which spares some seconds of doing it again.
/// Where that does not work, the handler is compiled.
fn lend_code(from: &Path, to: &Path) {
    let (from, to) = (cache_folder(from), cache_folder(to));
    let files = walkdir::WalkDir::new(&from).into_iter().filter_map(Result::ok);
    for file in files.filter(|entry| entry.file_type().is_file()) {
        let Some(copy) = file.path().strip_prefix(&from).ok().map(|below| to.join(below)) else {
            continue;
        };
        if let Some(folder) = copy.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        let _ = std::fs::copy(file.path(), copy);
    }
}

/// A rehearsal calls nobody: it sends no trace and fetches no model.
fn alone(mut settings: Settings) -> Settings {
    settings.telemetry = crate::config::Telemetry::default();
    if settings.model.source != ModelSource::None {
        settings.model.source = ModelSource::Local;
    }
    settings
}

async fn serve(settings: Settings, data: &Path) -> Result<Served, RehearsalError> {
    let scratch = serve::on_copy(settings, data).await?;
    let searched = search(&scratch).await;
    let handler = active_handler(&scratch).await;
    scratch.stop().await;
    Ok(Served { handler: handler?, search: searched? })
}

/// The one that served last before the backup, as every start takes it.
async fn active_handler(scratch: &Scratch) -> Result<String, RehearsalError> {
    let store = scratch.services.store.clone();
    let activations = blocking(move || store.activations()).await;
    let lost = |error: String| RehearsalError::Search(error);
    let activations = activations
        .map_err(|error| lost(error.to_string()))?
        .map_err(|error| lost(error.to_string()))?;
    let newest = activations.into_iter().max_by_key(|deployment| deployment.id);
    Ok(newest.map(|deployment| deployment.sha256).unwrap_or_default())
}

async fn search(scratch: &Scratch) -> Result<Option<Searched>, RehearsalError> {
    let store = scratch.services.store.clone();
    let lost = |error: &dyn std::fmt::Display| RehearsalError::Search(error.to_string());
    let picked = blocking(move || pick(&store)).await;
    let picked = picked.map_err(|error| lost(&error))?.map_err(|error| lost(&error))?;
    let Some((collection, document, query)) = picked else { return Ok(None) };
    while scratch.services.store.status().index_lag > 0 {
        tokio::time::sleep(BREATH).await;
    }
    // No proxy and no certificates: the server is on this machine.
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]).build();
    let request = client
        .map_err(|error| lost(&error))?
        .post(format!("{}/v1/collections/{collection}/search", scratch.url))
        .bearer_auth(&scratch.key)
        .json(&json!({"query": query, "top_k": 100, "mode": "lexical"}));
    let answer = request.send().await.and_then(reqwest::Response::error_for_status);
    let answer: Value = match answer {
        Ok(answer) => answer.json().await.map_err(|error| lost(&error))?,
        Err(error) => return Err(lost(&error)),
    };
    let results = answer.get("results").and_then(Value::as_array);
    let mut ids = results.into_iter().flatten().filter_map(|result| result.get("document_id"));
    let found = ids.any(|id| id == &document);
    Ok(Some(Searched { collection, document, found }))
}

/// A passage with words: its collection, its document, and the words to search it by.
fn pick(
    store: &ragtime_store::Store,
) -> Result<Option<(String, String, String)>, ragtime_store::Error> {
    let filled = store.collections()?.into_iter().filter(|one| one.chunks > 0);
    for collection in filled.take(MAX_COLLECTIONS) {
        let (documents, _) = store.documents(&collection.name, None, 100)?;
        for document in documents {
            let (chunks, _) = store.chunks(&collection.name, &document.id, None, 1)?;
            let words = chunks.first().map(|chunk| words(&chunk.text)).unwrap_or_default();
            if !words.is_empty() {
                return Ok(Some((collection.name, document.id, words)));
            }
        }
    }
    Ok(None)
}

/// The first words of a text, without what a query takes for an operator.
fn words(text: &str) -> String {
    let words = text.split(|char: char| !char.is_alphanumeric()).filter(|word| !word.is_empty());
    words.take(WORDS).collect::<Vec<_>>().join(" ")
}
