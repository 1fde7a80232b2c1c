//! An embedding model behind an OpenAI-compatible `/embeddings`.

use std::sync::OnceLock;
use std::time::Duration;

use ragtime_embed::Role;
use ragtime_openai::Unreadable;
use ragtime_openai::client::backoff;
use ragtime_openai::embeddings::{Request, vectors};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::config::Embedding;
use crate::upstream::{Upstream, UpstreamError, limits, within};

/// The longest that a `Retry-After` is waited for; what is asked to wait longer fails,
/// and is tried again later.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(30);
/// The longest body taken for each text: 8,192 numbers as long as they are written.
const MAX_BYTES_PER_TEXT: usize = 256 * 1_024;
/// A text that any model can embed, to learn the length of its vectors.
const PROBE: &str = "a";

/// Reaches the model.
pub struct Endpoint {
    upstream: Upstream,
    model: String,
    settings: Embedding,
    dimensions: OnceLock<usize>,
    slots: Semaphore,
    /// Requests run here; callers are threads of their own.
    runtime: Handle,
}

impl Endpoint {
    /// The endpoint of the model that is called `name` here.
    pub fn new(
        name: &str,
        base: &str,
        settings: &Embedding,
        runtime: &Handle,
    ) -> reqwest::Result<Self> {
        let limits = limits(settings.breaker_failures, settings.breaker_cooldown_ms);
        let url = format!("{}/embeddings", base.trim_end_matches('/'));
        let key = settings.api_key.clone();
        Ok(Self {
            upstream: Upstream::new(url, key, settings.connect_timeout_ms, limits)?,
            model: settings.model.clone().unwrap_or_else(|| name.to_owned()),
            dimensions: OnceLock::new(),
            slots: Semaphore::new(settings.concurrency.max(1)),
            runtime: runtime.clone(),
            settings: settings.clone(),
        })
    }

    /// Asks the endpoint for the first time, which gives the length of its vectors. Blocking.
    pub fn probe(&self) -> Result<usize, UpstreamError> {
        self.passages(&[PROBE])?;
        Ok(self.dimensions().unwrap_or(0))
    }

    /// Length of its vectors, once it has answered.
    pub fn dimensions(&self) -> Option<usize> {
        self.dimensions.get().copied()
    }

    /// The vector of a query, within the time that somebody waits for it. Blocking.
    pub fn query(&self, text: &str) -> Result<Vec<f32>, UpstreamError> {
        let limit = Duration::from_millis(self.settings.query_timeout_ms);
        let texts = [text];
        let vectors = self.runtime.block_on(within(limit, self.once(Role::Query, &texts)))?;
        vectors.into_iter().next().ok_or(UpstreamError::Unreadable(Unreadable("no vector")))
    }

    /// The vectors of passages, asked for again where that may help. Blocking.
    pub fn passages(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
        self.texts(Role::Passage, texts)
    }

    /// The vectors of texts of either role, as [`Self::passages`].
    pub fn texts(&self, role: Role, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
        self.runtime.block_on(async {
            let mut all = Vec::with_capacity(texts.len());
            for batch in texts.chunks(self.settings.batch.max(1)) {
                all.extend(self.patiently(role, batch).await?);
            }
            Ok(all)
        })
    }

    async fn patiently(&self, role: Role, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
        let limit = Duration::from_millis(self.settings.timeout_ms);
        let mut attempt = 0;
        loop {
            let error = match within(limit, self.once(role, texts)).await {
                Ok(vectors) => return Ok(vectors),
                Err(error) => error,
            };
            let after = error.retry_after().filter(|after| *after <= MAX_RETRY_AFTER);
            match after.filter(|_| attempt < self.settings.max_retries) {
                Some(after) => {
                    tokio::time::sleep(after.max(backoff(attempt))).await;
                    attempt += 1;
                }
                None => return Err(error),
            }
        }
    }

    /// One request, when it has a slot.
    async fn once(&self, role: Role, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
        // The semaphore is never closed.
        let _slot = self.slots.acquire().await.map_err(|_| UpstreamError::Open)?;
        self.upstream.guarded(self.ask(role, texts)).await
    }

    async fn ask(&self, role: Role, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
        let prompt = match role {
            Role::Query => self.settings.query_prompt.as_deref(),
            Role::Passage => self.settings.passage_prompt.as_deref(),
        };
        let prompted: Vec<String>;
        let input: Vec<&str> = match prompt {
            Some(prompt) => {
                prompted = texts.iter().map(|text| format!("{prompt}{text}")).collect();
                prompted.iter().map(String::as_str).collect()
            }
            None => texts.to_vec(),
        };
        let dimensions = self.settings.dimensions;
        let body = Request { model: &self.model, input: &input, dimensions };
        let body = self.upstream.post(&body, MAX_BYTES_PER_TEXT * texts.len().max(1)).await?;
        let vectors = vectors(&body, texts.len())?;
        self.check(&vectors)?;
        Ok(vectors)
    }

    /// Vectors of another length than before are not of the same model.
    fn check(&self, vectors: &[Vec<f32>]) -> Result<(), Unreadable> {
        let Some(length) = vectors.first().map(Vec::len) else { return Ok(()) };
        if self.settings.dimensions.is_some_and(|wanted| wanted as usize != length) {
            return Err(Unreadable("vectors of another length than `dimensions`"));
        }
        match *self.dimensions.get_or_init(|| length) == length {
            true => Ok(()),
            false => Err(Unreadable("vectors of another length than before")),
        }
    }
}
