//! The models that embed: each absent at first, perhaps for good.

mod embedding;
mod endpoint;
mod load;
mod reranking;

pub use embedding::{EmbeddingModel, LoadState, ModelError};
pub use load::{LoadError, StartError, fetch, fetched, start};
pub use reranking::{RerankError, Rerankers, open_reranker};

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;

use ragtime_embed::Embedder;
use ragtime_store::Store;
use ragtime_text::ModelLanguages;
use tokio::sync::Semaphore;

use crate::config::{InvalidModel, ModelSource, Settings};

/// The embedding model of this name, loaded or asked for the first time. Blocking.
///
/// # Errors
///
/// Why there is none.
pub fn open(settings: &Settings, name: &str) -> Result<EmbeddingModel, LoadError> {
    let backend = load::backend(settings, name, &tokio::runtime::Handle::current())?;
    let model = EmbeddingModel::new(name.to_owned(), 1, ModelLanguages::default());
    model.set_backend(backend);
    Ok(model)
}

/// All of them, by name.
pub struct Embeddings {
    models: BTreeMap<String, Arc<EmbeddingModel>>,
    default: Option<String>,
    /// Who looks at the tokens of whole texts. More at once would be no faster,
    /// and each holds a piece of its text many times over.
    pub tokenising: Semaphore,
}

impl Embeddings {
    /// Those that the settings name, none of which is there yet.
    ///
    /// # Errors
    ///
    /// What of the settings cannot be.
    pub fn new(settings: &Settings) -> Result<Self, InvalidModel> {
        let built_in = (settings.model.source != ModelSource::None).then_some(Embedder::NAME);
        settings.models.check(built_in)?;
        let cached = settings.model.cached_queries;
        let mut models = BTreeMap::new();
        let mut add = |name: &str, codes: &str| {
            let languages = ModelLanguages::parse(codes)
                .map_err(|code| InvalidModel::Languages(name.to_owned(), code))?;
            let model = EmbeddingModel::new(name.to_owned(), cached, languages);
            models.insert(name.to_owned(), Arc::new(model));
            Ok(())
        };
        if let Some(name) = built_in {
            add(name, &settings.model.languages)?;
        }
        for (name, model) in &settings.models.embedding {
            add(name, &model.languages)?;
        }
        let only = || models.keys().next().filter(|_| models.len() == 1).map(String::as_str);
        let default = settings.models.default_embedding.as_deref().or(built_in).or_else(only);
        let default = default.map(str::to_owned);
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Ok(Self { models, default, tokenising: Semaphore::new(cores) })
    }

    /// Their names.
    pub fn names(&self) -> BTreeSet<String> {
        self.models.keys().cloned().collect()
    }

    /// The name of the one of collections that choose none.
    pub fn default_name(&self) -> Option<&str> {
        self.default.as_deref()
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<EmbeddingModel>> {
        self.models.values()
    }

    /// One of them.
    pub fn get(&self, name: &str) -> Option<&Arc<EmbeddingModel>> {
        self.models.get(name)
    }

    /// The one of collections that choose none.
    pub fn default_model(&self) -> Option<&Arc<EmbeddingModel>> {
        self.get(self.default.as_deref()?)
    }

    /// The one whose vectors serve a collection, once it is ready. Blocking.
    pub fn serving(
        &self,
        store: &Store,
        collection: &str,
    ) -> Result<Option<&Arc<EmbeddingModel>>, ragtime_store::Error> {
        let name = store.serving_model(collection)?;
        Ok(name.and_then(|name| self.get(&name)).filter(|model| model.is_ready()))
    }

    /// How far the default model is.
    pub fn state(&self) -> LoadState {
        self.default_model().map_or(LoadState::Off, |model| model.state())
    }

    /// Resolves when it is known of each model whether it will be there.
    pub async fn decided(&self) {
        for model in self.all() {
            model.decided().await;
        }
    }

    /// Resolves when the state of a model is another than it is at this call.
    pub fn change(&self) -> impl Future<Output = ()> + Send + use<> {
        let changes: Vec<_> = self.all().map(|model| Box::pin(model.change())).collect();
        async move {
            match changes.is_empty() {
                true => std::future::pending().await,
                false => drop(futures::future::select_all(changes).await),
            }
        }
    }
}
