//! The models that rerank.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use parking_lot::RwLock;
use ragtime_embed::{EmbedError, Options, Pair, Reranker};
use ragtime_openai::reranking::{Request, relevance};
use tokio::runtime::Handle;

use super::load::{LoadError, folder_of};
use super::{LoadState, StartError};
use crate::config::{Files, Models, RerankShape, Reranking, Runs};
use crate::upstream::{Upstream, UpstreamError, limits, within};

/// Passages scored between two looks at the clock: some tens of milliseconds.
const AT_ONCE: usize = 8;
/// The longest body taken for each passage: a score, and perhaps its text again.
const MAX_BYTES_PER_PASSAGE: usize = 64 * 1_024;

/// All of them, by name.
#[derive(Default)]
pub struct Rerankers {
    models: BTreeMap<String, Arc<RerankingModel>>,
    default: Option<String>,
}

/// One of them, once it is there.
pub struct RerankingModel {
    name: String,
    timeout: Duration,
    backend: OnceLock<Backend>,
    state: RwLock<LoadState>,
}

enum Backend {
    Local(Box<Reranker>),
    Endpoint { upstream: Upstream, model: String, shape: RerankShape, runtime: Handle },
}

/// How well passages answer.
pub struct Reranked {
    /// 0 to 1, in the order of the passages; none for one that was not scored in time.
    pub relevance: Vec<Option<f32>>,
    /// Whether the time ran out.
    pub cut: bool,
}

/// Why passages were not scored.
#[derive(Debug, thiserror::Error)]
pub enum RerankError {
    /// The model is not there yet, or was not to be had.
    #[error("the reranking model is not loaded")]
    NotLoaded,
    /// It failed here.
    #[error(transparent)]
    Local(#[from] EmbedError),
    /// It failed there.
    #[error("its endpoint: {0}")]
    Endpoint(#[from] UpstreamError),
}

impl Rerankers {
    /// Those that the settings name. Returns at once; a thread loads each.
    ///
    /// # Errors
    ///
    /// Settings that cannot be, or no thread.
    pub fn start(settings: &Models) -> Result<Self, StartError> {
        let mut models = BTreeMap::new();
        for (name, reranking) in &settings.reranking {
            let model = Arc::new(RerankingModel {
                name: name.clone(),
                timeout: Duration::from_millis(reranking.timeout_ms),
                backend: OnceLock::new(),
                state: RwLock::new(LoadState::Coming),
            });
            model.bring_in(reranking)?;
            models.insert(name.clone(), model);
        }
        let only = || models.keys().next().filter(|_| models.len() == 1).cloned();
        let default = settings.default_reranking.clone().or_else(only);
        Ok(Self { models, default })
    }

    /// Their names, the default first.
    pub fn names(&self) -> Vec<String> {
        let others = self.models.keys().filter(|name| Some(*name) != self.default.as_ref());
        self.default.iter().chain(others).cloned().collect()
    }

    /// One of them, or the default.
    pub fn get(&self, name: Option<&str>) -> Option<&Arc<RerankingModel>> {
        self.models.get(name.or(self.default.as_deref())?)
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = &Arc<RerankingModel>> {
        self.models.values()
    }
}

/// A reranker of files, which are fetched if need be. Blocking.
///
/// # Errors
///
/// Why there is none.
pub fn open_reranker(settings: &Reranking, files: &Files) -> Result<Reranker, LoadError> {
    let options = Options {
        precision: settings.precision.into(),
        max_tokens: settings.max_tokens,
        ..Options::default()
    };
    Ok(Reranker::open(folder_of(files)?, options)?)
}

impl RerankingModel {
    fn bring_in(self: &Arc<Self>, settings: &Reranking) -> Result<(), StartError> {
        match settings.runs(&self.name)? {
            Runs::Endpoint(url) => {
                let limits = limits(settings.breaker_failures, settings.breaker_cooldown_ms);
                let key = settings.api_key.clone();
                let backend = Backend::Endpoint {
                    upstream: Upstream::new(url, key, settings.connect_timeout_ms, limits)?,
                    model: settings.model.clone().unwrap_or_else(|| self.name.clone()),
                    shape: settings.shape,
                    runtime: Handle::current(),
                };
                self.arrived(Ok(backend));
            }
            Runs::Here(files) => {
                let (this, settings) = (Arc::clone(self), settings.clone());
                let load = move || Ok(Backend::Local(Box::new(open_reranker(&settings, &files)?)));
                std::thread::Builder::new()
                    .name("ragtime-model".into())
                    .spawn(move || this.arrived(load()))?;
            }
        }
        Ok(())
    }

    fn arrived(&self, backend: Result<Backend, LoadError>) {
        let model = &self.name;
        let state = match backend {
            Ok(backend) => {
                let _ = self.backend.set(backend);
                let (form, bytes) = (self.form(), self.memory_bytes());
                tracing::info!(model, form, bytes, "the reranking model is loaded");
                LoadState::Ready
            }
            Err(error) => {
                tracing::warn!(%error, model, "no reranking model");
                LoadState::Failed(error.to_string())
            }
        };
        *self.state.write() = state;
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is.
    pub fn state(&self) -> LoadState {
        self.state.read().clone()
    }

    /// Its form in a few words.
    pub fn form(&self) -> Option<String> {
        match self.backend.get()? {
            Backend::Local(model) => Some(model.form()),
            Backend::Endpoint { .. } => Some("endpoint".into()),
        }
    }

    /// Bytes of memory that its weights take.
    pub fn memory_bytes(&self) -> usize {
        match self.backend.get() {
            Some(Backend::Local(model)) => model.memory_bytes(),
            Some(Backend::Endpoint { .. }) | None => 0,
        }
    }

    /// Tokens that scoring these would read; an estimate where an endpoint reads them.
    pub fn tokens(&self, query: &str, passages: &[&str]) -> Result<usize, RerankError> {
        match self.backend.get().ok_or(RerankError::NotLoaded)? {
            Backend::Local(model) => Ok(model.tokens(query, passages)?.iter().map(Pair::len).sum()),
            Backend::Endpoint { .. } => {
                let words = |text: &str| text.split_whitespace().count();
                Ok(passages.iter().map(|text| words(text) + words(query)).sum())
            }
        }
    }

    /// Scores passages, those that come first first, for as long as the operator gives
    /// it and somebody wants it. Blocking.
    pub fn rerank(
        &self,
        query: &str,
        passages: &[&str],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Reranked, RerankError> {
        match self.backend.get().ok_or(RerankError::NotLoaded)? {
            Backend::Local(model) => self.locally(model, query, passages, wanted),
            Backend::Endpoint { upstream, model, shape, runtime } => {
                let request = match shape {
                    RerankShape::Cohere => {
                        Request::Cohere { model, query, documents: passages, top_n: passages.len() }
                    }
                    RerankShape::Tei => Request::Tei { query, texts: passages, truncate: true },
                };
                let most = MAX_BYTES_PER_PASSAGE * passages.len().max(1);
                let asked = async {
                    let body = upstream.post(&request, most).await?;
                    Ok(relevance(&body, passages.len())?)
                };
                match runtime.block_on(upstream.guarded(within(self.timeout, asked))) {
                    Ok(relevance) => {
                        let cut = relevance.iter().any(Option::is_none);
                        Ok(Reranked { relevance, cut })
                    }
                    Err(UpstreamError::Slow(_)) => {
                        Ok(Reranked { relevance: vec![None; passages.len()], cut: true })
                    }
                    Err(error) => Err(error.into()),
                }
            }
        }
    }

    fn locally(
        &self,
        model: &Reranker,
        query: &str,
        passages: &[&str],
        wanted: &(dyn Fn() -> bool + Sync),
    ) -> Result<Reranked, RerankError> {
        let deadline = Instant::now() + self.timeout;
        let in_time = || Instant::now() < deadline && wanted();
        let mut relevance = Vec::with_capacity(passages.len());
        for some in passages.chunks(AT_ONCE) {
            match model.score(query, some, &in_time) {
                Ok(scores) => relevance.extend(scores.iter().map(|score| Some(score.relevance))),
                Err(EmbedError::CalledOff) => break,
                Err(error) => return Err(error.into()),
            }
        }
        let cut = relevance.len() < passages.len();
        relevance.resize(passages.len(), None);
        Ok(Reranked { relevance, cut })
    }
}
