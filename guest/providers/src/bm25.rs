//! BM25 over the terms of `ragtime-text`, score for score as the host's lexical
//! index has it.

use std::collections::{BTreeMap, HashMap};

use ragtime_text::bm25::Weight;
use ragtime_text::{Field, KnownStems, Language, Words, language_of_query, query_terms};

/// The index of one collection: its statistics do not weigh on another.
#[derive(Debug, Default)]
pub struct Index {
    fields: [Postings; 3],
    /// Chunks in each language.
    languages: BTreeMap<Option<Language>, u64>,
    chunks: u64,
}

/// One field of it.
#[derive(Debug, Default)]
struct Postings {
    terms: HashMap<String, BTreeMap<u64, u32>>,
    lengths: HashMap<u64, u32>,
    total_length: u64,
}

impl Postings {
    fn add(&mut self, chunk: u64, term: String) {
        *self.terms.entry(term).or_default().entry(chunk).or_default() += 1;
        *self.lengths.entry(chunk).or_default() += 1;
        self.total_length += 1;
    }

    fn remove(&mut self, chunk: u64, term: &str) {
        if let Some(chunks) = self.terms.get_mut(term) {
            chunks.remove(&chunk);
            if chunks.is_empty() {
                self.terms.remove(term);
            }
        }
        self.total_length -= u64::from(self.lengths.remove(&chunk).unwrap_or(0));
    }
}

impl Index {
    /// Adds a chunk.
    pub fn add(&mut self, chunk: u64, words: &Words) {
        self.chunks += 1;
        *self.languages.entry(words.language).or_default() += 1;
        words.terms(&mut KnownStems::default(), |field, _, term| {
            if let Some(postings) = self.fields.get_mut(field as usize) {
                postings.add(chunk, term.to_owned());
            }
        });
    }

    /// Removes a chunk that was added with these words.
    pub fn remove(&mut self, chunk: u64, words: &Words) {
        self.chunks = self.chunks.saturating_sub(1);
        if let Some(count) = self.languages.get_mut(&words.language) {
            *count -= 1;
            if *count == 0 {
                self.languages.remove(&words.language);
            }
        }
        words.terms(&mut KnownStems::default(), |field, _, term| {
            if let Some(postings) = self.fields.get_mut(field as usize) {
                postings.remove(chunk, term);
            }
        });
    }

    /// The languages of its chunks; none for those that are not known.
    pub fn languages(&self) -> impl Iterator<Item = Option<Language>> {
        self.languages.keys().copied()
    }

    /// The language that a query is in, as far as the index shows.
    pub fn language_of(&self, query: &str) -> Option<Language> {
        let counts = self.languages.iter().filter_map(|(one, count)| Some(((*one)?, *count)));
        language_of_query(query, &counts.collect::<Vec<_>>())
    }

    /// The score of every chunk that has a term of the query. Each is the sum of its
    /// terms in their order.
    pub fn scores(&self, query: &str) -> HashMap<u64, f32> {
        let mut scores: HashMap<u64, f32> = HashMap::new();
        for term in query_terms(query, self.language_of(query)) {
            let Some(postings) = self.fields.get(term.field as usize) else { continue };
            let Some(chunks) = postings.terms.get(&term.text) else { continue };
            let (found, all) = (chunks.len() as u64, postings.total_length);
            let weight = Weight::new(found, self.chunks, all, term.field.weight());
            for (chunk, frequency) in chunks {
                let length = postings.lengths.get(chunk).copied().unwrap_or(0);
                *scores.entry(*chunk).or_default() += weight.score(length, *frequency);
            }
        }
        scores
    }
}

/// The `depth` best of `scores` that `allowed` accepts, best first.
pub fn best(
    scores: &HashMap<u64, f32>,
    depth: usize,
    allowed: impl Fn(u64) -> bool,
) -> Vec<(u64, f32)> {
    let accepted = scores.iter().filter(|(chunk, _)| allowed(**chunk));
    let mut best: Vec<_> = accepted.map(|(chunk, score)| (*chunk, *score)).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    best.truncate(depth);
    best
}

/// The stems of a text by their places.
#[derive(Debug, Default)]
pub struct Places(HashMap<String, Vec<u32>>);

impl Places {
    /// Of a chunk's text.
    pub fn of(words: &Words) -> Self {
        let mut places = Self::default();
        words.terms(&mut KnownStems::default(), |field, place, stem| {
            if field == Field::Stem {
                places.0.entry(stem.to_owned()).or_default().push(place);
            }
        });
        places
    }

    /// Whether the words of a phrase stand in it at the same distances.
    pub fn has(&self, phrase: &[(u32, String)]) -> bool {
        let Some((first, word)) = phrase.first() else { return true };
        let Some(starts) = self.0.get(word) else { return false };
        starts.iter().any(|start| {
            phrase.iter().all(|(place, word)| {
                let wanted = start + place - first;
                self.0.get(word).is_some_and(|places| places.contains(&wanted))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ragtime_text::phrase;

    fn words(text: &str) -> Words {
        let language = Some(Language::ENGLISH);
        Words { text: text.into(), names: String::new(), language }
    }

    #[test]
    fn the_score_is_the_formula() {
        let mut index = Index::default();
        index.add(1, &words("flutter wing"));
        index.add(2, &words("wing wing wing wing"));
        let found = best(&index.scores("fluttering"), 10, |_| true);
        // idf = ln(1 + 1.5/1.5); length 2 of an average 3. As written it is another word.
        let expected = 2.0_f32.ln() * 2.2 / (1.0 + 1.2 * (0.25 + 0.75 * 2.0 / 3.0));
        assert_eq!(found.len(), 1);
        assert!((found[0].1 - expected).abs() < 1e-6);
    }

    #[test]
    fn a_phrase_is_found_where_its_words_stand_together() {
        let text = Places::of(&words("Leaf of a maple, and the Maple Leaf Rag"));
        let run = |text| phrase(text, Some(Language::ENGLISH));
        for found in ["maple leaf", "leaf of a maple", "rag", "leaf rags", "the maple", "?"] {
            assert!(text.has(&run(found)), "{found}");
        }
        for missing in ["leaf maple", "rag maple", "maple rag", "waltz", "leaf of the maple"] {
            assert!(!text.has(&run(missing)), "{missing}");
        }
    }

    #[test]
    fn a_removed_chunk_leaves_nothing() {
        let mut index = Index::default();
        index.add(1, &words("flutter wing"));
        index.remove(1, &words("flutter wing"));
        assert!(index.scores("wing").is_empty());
        assert!(index.fields.iter().all(|one| one.terms.is_empty() && one.total_length == 0));
        assert_eq!(index.languages().count(), 0);
    }

    #[test]
    fn what_is_not_allowed_takes_no_place() {
        let mut index = Index::default();
        (0..10).for_each(|chunk| index.add(chunk, &words("wing")));
        assert_eq!(best(&index.scores("wings"), 1, |chunk| chunk == 7)[0].0, 7);
    }
}
