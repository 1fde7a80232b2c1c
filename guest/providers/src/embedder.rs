//! Vectors from an OpenAI-compatible endpoint.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use ragtime_openai::client::{UpstreamError, within};
use ragtime_openai::embeddings::{Request, vectors};

use crate::log::log;
use crate::settings::Embeddings;
use crate::upstream::{Incoming, post};

/// Texts of one request: what every server takes.
const BATCH: usize = 64;
/// A vector of 8,192 numbers as JSON, for each text of a batch.
const MAX_BODY_BYTES: usize = BATCH * 8_192 * 24;
/// Queries to remember: a hybrid search asks twice.
const REMEMBERED: usize = 64;

/// Reaches the model.
pub(crate) struct Embedder {
    /// Where it is, and how long it may take.
    pub(crate) settings: Embeddings,
    queries: RefCell<VecDeque<(String, Rc<Vec<f32>>)>>,
    dimensions: Cell<usize>,
    failing: Cell<bool>,
}

impl Embedder {
    /// With these settings.
    pub(crate) fn new(settings: Embeddings) -> Self {
        Self {
            settings,
            queries: RefCell::default(),
            dimensions: Cell::default(),
            failing: Cell::default(),
        }
    }

    /// Length of a vector; 0 until the model has made one.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions.get()
    }

    /// Whether the last request failed.
    pub(crate) fn is_failing(&self) -> bool {
        self.failing.get()
    }

    /// One vector of unit length for each text.
    pub(crate) async fn embed<T: AsRef<str>>(
        &self,
        texts: &[T],
    ) -> Result<Vec<Vec<f32>>, UpstreamError> {
        let mut all = Vec::with_capacity(texts.len());
        for batch in texts.chunks(BATCH) {
            let batch: Vec<_> = batch.iter().map(AsRef::as_ref).collect();
            let answer = within::<Incoming, _>(self.settings.timeout, self.ask(&batch)).await;
            self.failing.set(answer.is_err());
            all.extend(answer?);
        }
        if let Some(vector) = all.first() {
            self.dimensions.set(vector.len());
        }
        Ok(all)
    }

    async fn ask(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, UpstreamError> {
        let endpoint = &self.settings.endpoint;
        let request = Request { model: &endpoint.model, input: texts, dimensions: None };
        let body = post(endpoint, "/embeddings", &request).await?.whole(MAX_BODY_BYTES).await?;
        Ok(vectors(&body, texts.len())?)
    }

    /// The vector of a query; none when the model does not answer, which is
    /// logged.
    pub(crate) async fn query(&self, text: &str) -> Option<Rc<Vec<f32>>> {
        let known =
            |(known, vector): &(String, Rc<Vec<f32>>)| (known == text).then(|| Rc::clone(vector));
        if let Some(vector) = self.queries.borrow().iter().find_map(known) {
            return Some(vector);
        }
        let vector = match self.embed(&[text]).await {
            Ok(mut vectors) => Rc::new(vectors.pop()?),
            Err(error) => {
                warn(&error.to_string());
                return None;
            }
        };
        let mut queries = self.queries.borrow_mut();
        queries.truncate(REMEMBERED - 1);
        queries.push_front((text.to_owned(), Rc::clone(&vector)));
        Some(vector)
    }
}

/// Notes that the model failed; documents are found by words until it answers.
pub(crate) fn warn(error: &str) {
    log("warn", "the embedding model did not answer", error);
}
