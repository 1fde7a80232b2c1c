//! What is asked to measure answers.

use std::collections::HashSet;
use std::path::Path;

use super::{Judgements, Task, records};
use crate::cli::{CliError, text};

/// Bytes of a sentence that is asked: shorter ones say nothing to look for,
/// and longer ones are no questions.
const SENTENCE_BYTES: std::ops::Range<usize> = 20..1_000;

/// A question.
pub(super) struct Question<'t> {
    pub(super) text: String,
    /// The documents that answer it; none when no document does.
    pub(super) relevant: Option<&'t Judgements>,
}

/// The judged queries of `task`, then those of the set in `other`.
pub(super) fn judged<'t>(task: &'t Task, other: &Path) -> Result<Vec<Question<'t>>, CliError> {
    let own = task.queries.iter().filter_map(|(id, text)| {
        let relevant = task.judgements.get(id)?;
        Some(Question { text: text.clone(), relevant: Some(relevant) })
    });
    let strange = records(other, "queries.jsonl")?;
    let strange = strange
        .iter()
        .map(|query| Question { text: text(query, "text").to_owned(), relevant: None });
    Ok(own.chain(strange).filter(|question| !question.text.trim().is_empty()).collect())
}

/// Distinct questions up to `count`: these, then titles and sentences of the
/// documents in `dir`.
pub(super) fn many(
    judged: &[Question<'_>],
    dir: &Path,
    count: usize,
) -> Result<Vec<String>, CliError> {
    let mut seen = HashSet::new();
    let mut all: Vec<String> = judged.iter().map(|question| question.text.clone()).collect();
    for document in records(dir, "corpus.jsonl")? {
        let body = text(&document, "text");
        let sentences = ragtime_extractive::sentences(body);
        let sentences = sentences.into_iter().filter_map(|span| body.get(span));
        let more = std::iter::once(text(&document, "title")).chain(sentences);
        all.extend(more.filter(|text| SENTENCE_BYTES.contains(&text.len())).map(str::to_owned));
    }
    all.retain(|text| seen.insert(text.clone()));
    all.truncate(count);
    Ok(all)
}
