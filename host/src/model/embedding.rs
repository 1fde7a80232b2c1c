//! One model that embeds.

use std::num::NonZeroUsize;
use std::sync::{Arc, OnceLock};

use lru::LruCache;
use parking_lot::Mutex;
use ragtime_embed::{EmbedError, Embedder, Role};
use ragtime_extractive::estimated_token_starts;
use ragtime_text::{Language, ModelLanguages};
use tokio::sync::watch;

use super::endpoint::Endpoint;
use crate::upstream::UpstreamError;

/// The share of a text's tokens from which the model has not read the text. A rare
/// sign or two in a sentence stay below; a script that it does not have is above.
const MAX_UNKNOWN_SHARE: f32 = 0.2;

/// A model once it is there, and the queries that it has embedded lately.
pub struct EmbeddingModel {
    name: String,
    languages: ModelLanguages,
    backend: OnceLock<Backend>,
    state: watch::Sender<LoadState>,
    queries: Mutex<LruCache<String, Arc<[f32]>>>,
}

/// What embeds.
pub(super) enum Backend {
    /// This process.
    Local(Box<Embedder>),
    /// An endpoint.
    Endpoint(Box<Endpoint>),
}

/// How far a model is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadState {
    /// Being fetched, loaded or asked for the first time.
    Coming,
    /// It embeds.
    Ready,
    /// Not wanted.
    Off,
    /// Could not be had; the text is for operators.
    Failed(String),
}

impl LoadState {
    /// A word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Coming => "loading",
            Self::Ready => "ready",
            Self::Off => "off",
            Self::Failed(_) => "failed",
        }
    }
}

/// Why texts were not embedded.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The model is not there yet, or was not to be had.
    #[error("the embedding model is not loaded")]
    NotLoaded,
    /// It failed here.
    #[error(transparent)]
    Local(#[from] EmbedError),
    /// It failed there.
    #[error("its endpoint: {0}")]
    Endpoint(#[from] UpstreamError),
}

impl EmbeddingModel {
    /// Not there yet, with room for `cached_queries`.
    pub(super) fn new(name: String, cached_queries: usize, languages: ModelLanguages) -> Self {
        let capacity = NonZeroUsize::new(cached_queries).unwrap_or(NonZeroUsize::MIN);
        Self {
            name,
            languages,
            backend: OnceLock::new(),
            state: watch::Sender::new(LoadState::Coming),
            queries: Mutex::new(LruCache::new(capacity)),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The languages that it knows.
    pub fn languages(&self) -> &ModelLanguages {
        &self.languages
    }

    /// How far it is.
    pub fn state(&self) -> LoadState {
        self.state.borrow().clone()
    }

    /// Whether it embeds.
    pub fn is_ready(&self) -> bool {
        self.backend.get().is_some()
    }

    /// Resolves when its state is another than at this call.
    pub(super) fn change(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut state = self.state.subscribe();
        state.mark_unchanged();
        // The sender lives as long as this.
        async move { drop(state.changed().await) }
    }

    /// Resolves when it is known whether it will be there.
    pub(super) async fn decided(&self) {
        let mut state = self.state.subscribe();
        // The sender lives as long as this.
        let _ = state.wait_for(|state| *state != LoadState::Coming).await;
    }

    pub(super) fn set_state(&self, state: LoadState) {
        self.state.send_replace(state);
    }

    /// Brings it in; what comes second is given up.
    pub(super) fn set_backend(&self, backend: Backend) {
        let _ = self.backend.set(backend);
    }

    /// The model itself, where it runs in this process.
    pub fn local(&self) -> Option<&Embedder> {
        match self.backend.get()? {
            Backend::Local(model) => Some(model),
            Backend::Endpoint(_) => None,
        }
    }

    /// Length of a vector, once it is there.
    pub fn dimensions(&self) -> Option<usize> {
        match self.backend.get()? {
            Backend::Local(model) => Some(model.dimensions()),
            Backend::Endpoint(endpoint) => endpoint.dimensions(),
        }
    }

    /// Tokens of a text that count; none where an endpoint does not say.
    pub fn max_tokens(&self) -> Option<usize> {
        self.local().map(Embedder::max_tokens)
    }

    /// Its form in a few words.
    pub fn form(&self) -> Option<String> {
        match self.backend.get()? {
            Backend::Local(model) => Some(model.form()),
            Backend::Endpoint(_) => Some("endpoint".into()),
        }
    }

    /// Bytes of memory that its weights take.
    pub fn memory_bytes(&self) -> usize {
        self.local().map_or(0, Embedder::memory_bytes)
    }

    /// Whether what the model makes of a text says something: its language is one
    /// that the model knows, and so are nearly all of its tokens.
    pub fn understands(&self, text: &str, language: Option<Language>) -> bool {
        let unknown = || self.local().and_then(|model| model.unknown_share(text).ok());
        self.languages.knows(language) && unknown().is_none_or(|share| share <= MAX_UNKNOWN_SHARE)
    }

    /// The vector of a query, from memory when it was asked lately. Blocking: a short
    /// query takes some milliseconds, or as long as an endpoint may take.
    pub fn query(&self, text: &str) -> Result<Arc<[f32]>, ModelError> {
        if let Some(vector) = self.queries.lock().get(text) {
            return Ok(Arc::clone(vector));
        }
        let vector = match self.backend.get().ok_or(ModelError::NotLoaded)? {
            Backend::Local(model) => model.embed_query(text)?,
            Backend::Endpoint(endpoint) => endpoint.query(text)?,
        };
        let vector: Arc<[f32]> = vector.into();
        self.queries.lock().put(text.to_owned(), Arc::clone(&vector));
        Ok(vector)
    }

    /// One vector of unit length for each passage. Blocking.
    pub fn passages(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ModelError> {
        match self.backend.get().ok_or(ModelError::NotLoaded)? {
            Backend::Local(model) => Ok(model.embed(texts)?),
            Backend::Endpoint(endpoint) => Ok(endpoint.passages(texts)?),
        }
    }

    /// One vector of unit length for each text, as long as they are wanted. Blocking.
    pub fn embed(
        &self,
        role: Role,
        texts: &[&str],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        match self.backend.get().ok_or(ModelError::NotLoaded)? {
            Backend::Local(model) => {
                let tokens = model.tokens_as(role, texts)?;
                Ok(model.embed_tokens(&tokens, wanted)?)
            }
            Backend::Endpoint(endpoint) => Ok(endpoint.texts(role, texts)?),
        }
    }

    /// The byte at which each token of a text starts, as the model counts; by an
    /// estimate where the model does not say.
    pub fn token_starts(&self, text: &str) -> Result<Vec<u32>, ModelError> {
        match self.local() {
            Some(model) => Ok(model.token_starts(text)?),
            None => Ok(estimated_token_starts(text)),
        }
    }
}

/// The store's view of a model.
pub(super) struct StoreEmbedder(pub(super) Arc<EmbeddingModel>);

impl ragtime_store::Embed for StoreEmbedder {
    fn dimensions(&self) -> usize {
        self.0.dimensions().unwrap_or(0)
    }

    fn name(&self) -> &str {
        &self.0.name
    }

    fn counts_tokens(&self) -> bool {
        self.0.local().is_some()
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, ragtime_store::BoxError> {
        Ok(self.0.passages(texts)?)
    }
}
