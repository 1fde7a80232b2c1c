//! Searching a collection.

use std::collections::{BTreeSet, HashMap, HashSet};

use ragtime_filter::Filter;
use ragtime_text::{Language, ModelLanguages, phrase};

use super::Collection;
use crate::bm25::{self, Places};

/// What to look for in a collection.
#[derive(Debug, Default)]
pub struct Query<'a> {
    /// The words to find, unless it is by vector only.
    pub words: Option<&'a str>,
    /// The vector to be near to, of unit length.
    pub vector: Option<&'a [f32]>,
    /// The most chunks from each of the two.
    pub depth: usize,
    /// Which documents count.
    pub filter: Option<&'a Filter>,
    /// Words and phrases that a chunk has to have.
    pub required: &'a [String],
    /// Words and phrases that it must not have.
    pub excluded: &'a [String],
    /// The languages that the model knows, if not all. Beside words it has no vote on
    /// a chunk in another.
    pub known: Option<&'a ModelLanguages>,
}

/// A chunk that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its number.
    pub chunk: u64,
    /// Its document's number.
    pub document: u64,
    /// BM25.
    pub lexical: Option<f32>,
    /// Cosine.
    pub vector: Option<f32>,
}

/// Stems with their places.
type Phrase = Vec<(u32, String)>;

/// What has to be there and what must not, by language; none where nothing is asked.
type Conditions = Option<HashMap<Option<Language>, (Vec<Phrase>, Vec<Phrase>)>>;

impl Collection {
    /// The language that a query is in, as far as the texts show.
    pub fn language_of(&self, query: &str) -> Option<Language> {
        self.index.language_of(query)
    }

    /// Whether a chunk has all the words and phrases that are required and none
    /// that is excluded, compared in its own language.
    fn has_words(&self, number: u64, conditions: &Conditions) -> bool {
        let Some(conditions) = conditions else { return true };
        let Some((_, found)) = self.chunk(number) else { return false };
        let Some((required, excluded)) = conditions.get(&found.language) else { return false };
        let text = Places::of(&found.document.words(found.chunk, found.language));
        required.iter().all(|run| text.has(run)) && !excluded.iter().any(|run| text.has(run))
    }

    /// What a query requires and excludes, in each language of the texts.
    fn conditions(&self, query: &Query<'_>) -> Conditions {
        let runs = |texts: &[String], language| -> Vec<Phrase> {
            let runs = texts.iter().map(|text| phrase(text, language));
            runs.filter(|run| !run.is_empty()).collect()
        };
        let none = query.required.is_empty() && query.excluded.is_empty();
        (!none).then(|| {
            let each = self.index.languages().map(|language| {
                (language, (runs(query.required, language), runs(query.excluded, language)))
            });
            each.collect()
        })
    }

    /// The best chunks by words and by vector among documents that the filter
    /// allows, each once, in no order. Where one way found a chunk that the
    /// other missed, its score there is given all the same.
    pub fn search(&self, query: &Query<'_>) -> Vec<Candidate> {
        let allowed: Option<HashSet<u64>> = query.filter.map(|filter| {
            let matching = self.documents.values().filter(|numbered| {
                let metadata = serde_json::from_str(&numbered.document.metadata);
                let language = numbered.language.as_ref().map(Language::code);
                filter.matches(&metadata.unwrap_or(serde_json::Value::Null), language)
            });
            matching.flat_map(|numbered| numbered.chunks().map(|(number, _)| number)).collect()
        });
        let conditions = self.conditions(query);
        let allows = |chunk: u64| {
            allowed.as_ref().is_none_or(|allowed| allowed.contains(&chunk))
                && self.has_words(chunk, &conditions)
        };
        let scores = query.words.map(|words| self.index.scores(words)).unwrap_or_default();
        let by_words = bm25::best(&scores, query.depth, allows);
        let by_vector = query.vector.map(|near| self.vectors.nearest(near, query.depth, allows));
        let found: BTreeSet<u64> = by_words
            .into_iter()
            .chain(by_vector.unwrap_or_default())
            .map(|(chunk, _)| chunk)
            .collect();
        let known = query.known.filter(|_| query.words.is_some());
        let candidate = |chunk: u64| {
            let (document, found) = self.chunk(chunk)?;
            let votes = known.is_none_or(|known| known.knows(found.language));
            Some(Candidate {
                chunk,
                document,
                lexical: scores.get(&chunk).copied(),
                vector: query
                    .vector
                    .filter(|_| votes)
                    .and_then(|near| self.vectors.similarity(chunk, near)),
            })
        };
        found.into_iter().filter_map(candidate).collect()
    }
}
