//! The generator that quotes: no model writes a word of the answer.

use std::sync::Arc;

use parking_lot::FairMutex;
use ragtime_extractive::{Passage, Settings, Similarity, answer};
use ragtime_store::Store;
use ragtime_text::detect;

use crate::model::{EmbeddingModel, Embeddings};

/// Its name in requests and responses.
pub const NAME: &str = "extractive";

/// Picks and orders the sentences that answer a question.
pub struct Extractive {
    store: Store,
    embeddings: Arc<Embeddings>,
    /// One answer's sentences at a time, in the order they came: each takes all
    /// cores, and rayon would lay those that come on top of those begun.
    one_at_a_time: FairMutex<()>,
    settings: Settings,
}

/// A sentence of the answer and where it stands.
pub struct Sentence {
    /// What stands before it in the answer.
    pub gap: &'static str,
    /// Exactly the bytes of the span.
    pub text: String,
    /// The passage it is from, as its place in the request.
    pub source: u32,
    /// Bytes of the document's text.
    pub span: std::ops::Range<u64>,
}

/// An answer made of quotes.
pub struct Extract {
    /// In reading order.
    pub sentences: Vec<Sentence>,
    /// True when the passages hold no answer.
    pub abstained: bool,
    /// How likely the passages hold one.
    pub confidence: f32,
    /// Tokens of the question and the passages.
    pub input_tokens: u32,
    /// Tokens of the answer.
    pub output_tokens: u32,
}

impl Extractive {
    /// Reads passages from `store`, and compares by `embeddings` when it can. Below
    /// `min_confidence` it declines.
    pub fn new(store: Store, embeddings: Arc<Embeddings>, min_confidence: f32) -> Self {
        let settings = Settings { min_confidence, ..Settings::default() };
        Self { store, embeddings, one_at_a_time: FairMutex::new(()), settings }
    }

    /// Answers from the chunks, best first. Blocking.
    pub fn answer(
        &self,
        collection: &str,
        question: &str,
        chunks: &[u64],
    ) -> Result<Extract, ragtime_store::Error> {
        let passages = self.store.passages(collection, chunks)?;
        let texts: Vec<_> = passages.iter().map(as_read).collect();
        let main = texts.first().and_then(|best| detect(best.text, None));
        let language = detect(question, main).or(main);
        // An endpoint would be asked for each sentence while somebody waits.
        let serving = self.embeddings.serving(&self.store, collection)?;
        let model = serving.filter(|model| model.local().is_some()).map(Arc::as_ref);
        let understood = model.filter(|model| model.understands(question, language));
        let similarity =
            ToQuestion { model: understood, one_at_a_time: &self.one_at_a_time, question };
        let picked = answer(question, &texts, &similarity, &self.settings);
        let sentences: Vec<_> = picked
            .quotes
            .iter()
            .enumerate()
            .filter_map(|(at, quote)| {
                let passage = passages.get(quote.passage)?;
                let place = chunks.iter().position(|chunk| *chunk == passage.chunk)?;
                Some(Sentence {
                    gap: picked.gap(at),
                    text: passage.text.get(quote.start..quote.end)?.to_owned(),
                    source: u32::try_from(place).ok()?,
                    span: passage.span.start + quote.start as u64
                        ..passage.span.start + quote.end as u64,
                })
            })
            .collect();
        let read = std::iter::once(question).chain(texts.iter().map(|passage| passage.text));
        Ok(Extract {
            // A model that does not know the language reads it letter by letter: what it
            // counts there says little, and takes longer than the answer.
            input_tokens: read.map(|text| count(understood, text)).sum(),
            output_tokens: sentences.iter().map(|sentence| count(model, &sentence.text)).sum(),
            abstained: picked.abstained,
            confidence: picked.confidence,
            sentences,
        })
    }
}

/// Tokens as the embedding model counts them, or words without a model.
fn count(model: Option<&EmbeddingModel>, text: &str) -> u32 {
    let tokens = model.and_then(|model| model.token_starts(text).ok());
    let count = tokens.map_or_else(|| text.split_whitespace().count(), |tokens| tokens.len());
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn as_read(passage: &ragtime_store::Passage) -> Passage<'_> {
    Passage { text: &passage.text, title: passage.title.as_deref(), headings: &passage.headings }
}

struct ToQuestion<'a> {
    /// The model, if it knows the question's language.
    model: Option<&'a EmbeddingModel>,
    one_at_a_time: &'a FairMutex<()>,
    question: &'a str,
}

impl Similarity for ToQuestion<'_> {
    fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
        let model = self.model?;
        let question = model.query(self.question).ok()?;
        let _one = self.one_at_a_time.lock();
        let vectors = model.passages(texts).ok()?;
        let dot = |vector: &Vec<f32>| vector.iter().zip(question.iter()).map(|(a, b)| a * b).sum();
        Some(vectors.iter().map(dot).collect())
    }
}
