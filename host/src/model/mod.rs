//! The embedding model: absent at first, perhaps for good.

mod load;

pub use load::{fetch, start};

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use lru::LruCache;
use ragtime_embed::Embedder;
use ragtime_text::{Language, ModelLanguages};
use tokio::sync::Semaphore;

/// How often [`Embeddings::settled`] looks.
const SETTLED_POLL: Duration = Duration::from_millis(5);

/// The share of a text's tokens from which the model has not read the text. A rare
/// sign or two in a sentence stay below; a script that it does not have is above.
const MAX_UNKNOWN_SHARE: f32 = 0.2;

/// The model once it is there, and the queries it has embedded of late.
pub struct Embeddings {
    model: OnceLock<Embedder>,
    state: Mutex<LoadState>,
    queries: Mutex<LruCache<String, Arc<[f32]>>>,
    /// Who looks at the tokens of whole texts. More at once would be no faster,
    /// and each holds a piece of its text many times over.
    pub tokenising: Semaphore,
    languages: ModelLanguages,
}

/// How far the model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadState {
    /// Being fetched or loaded.
    Coming,
    /// Loaded.
    Ready,
    /// Not wanted.
    Off,
    /// Could not be had.
    Failed,
}

impl Embeddings {
    /// No model yet, which will know these languages, and room for `cached_queries`.
    pub fn new(cached_queries: usize, languages: ModelLanguages) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let capacity = NonZeroUsize::new(cached_queries).unwrap_or(NonZeroUsize::MIN);
        Self {
            model: OnceLock::new(),
            state: Mutex::new(LoadState::Coming),
            queries: Mutex::new(LruCache::new(capacity)),
            tokenising: Semaphore::new(cores),
            languages,
        }
    }

    /// The model, if it is there.
    pub fn model(&self) -> Option<&Embedder> {
        self.model.get()
    }

    /// The languages that the model knows.
    pub fn languages(&self) -> &ModelLanguages {
        &self.languages
    }

    /// Whether what the model makes of a text says something: its language is one
    /// that the model knows, and so are nearly all of its tokens.
    pub fn understands(&self, text: &str, language: Option<Language>) -> bool {
        let unknown = || self.model().and_then(|model| model.unknown_share(text).ok());
        self.languages.knows(language) && unknown().is_none_or(|share| share <= MAX_UNKNOWN_SHARE)
    }

    /// How far the model is.
    pub fn state(&self) -> LoadState {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone()
    }

    fn set_state(&self, state: LoadState) {
        *self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = state;
    }

    /// Resolves when it is known whether there will be a model.
    pub async fn settled(&self) {
        while self.state() == LoadState::Coming {
            tokio::time::sleep(SETTLED_POLL).await;
        }
    }

    /// The vector of a query, from memory when it was asked of late. `None`
    /// without a model. Blocking: a short query takes some milliseconds.
    pub fn query(&self, text: &str) -> Option<Result<Arc<[f32]>, ragtime_embed::EmbedError>> {
        let model = self.model()?;
        if let Some(vector) = self.queries().get(text) {
            return Some(Ok(Arc::clone(vector)));
        }
        let vector: Arc<[f32]> = match model.embed(&[text]) {
            Ok(vectors) => vectors.into_iter().next().unwrap_or_default().into(),
            Err(error) => return Some(Err(error)),
        };
        self.queries().put(text.to_owned(), Arc::clone(&vector));
        Some(Ok(vector))
    }

    fn queries(&self) -> std::sync::MutexGuard<'_, LruCache<String, Arc<[f32]>>> {
        self.queries.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// The store's view of the model.
pub struct StoreEmbedder(pub Arc<Embeddings>);

/// The store asked for vectors before the model was there.
#[derive(Debug, thiserror::Error)]
#[error("the embedding model is not loaded")]
struct NotLoaded;

impl ragtime_store::Embed for StoreEmbedder {
    fn dimensions(&self) -> usize {
        Embedder::DIMENSIONS
    }

    fn name(&self) -> &str {
        Embedder::NAME
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ragtime_store::BoxError> {
        Ok(self.0.model().ok_or(NotLoaded)?.embed(texts)?)
    }
}
