//! BM25 over whole paragraphs, as the hosts score.

use std::collections::HashMap;

use ragtime_text::bm25::Weight;
use ragtime_text::{Field, KnownStems, Language, Words, detect, language_of_query, query_terms};

#[derive(Default)]
pub(crate) struct Index {
    /// By field and term: paragraphs and how often they have it.
    terms: HashMap<(Field, String), Vec<(usize, u32)>>,
    /// By paragraph and field.
    lengths: Vec<HashMap<Field, u32>>,
    languages: Vec<(Language, u64)>,
}

impl Index {
    pub(crate) fn new(texts: &[String]) -> Self {
        let mut index = Self::default();
        let mut languages: HashMap<Language, u64> = HashMap::new();
        for (place, text) in texts.iter().enumerate() {
            let language = detect(text, None);
            language.into_iter().for_each(|one| *languages.entry(one).or_default() += 1);
            let words = Words { text: text.clone(), names: String::new(), language };
            let mut length: HashMap<Field, u32> = HashMap::new();
            words.terms(&mut KnownStems::default(), |field, _, term| {
                *length.entry(field).or_default() += 1;
                let found = index.terms.entry((field, term.to_owned())).or_default();
                match found.last_mut() {
                    Some((last, count)) if *last == place => *count += 1,
                    _ => found.push((place, 1)),
                }
            });
            index.lengths.push(length);
        }
        index.languages = languages.into_iter().collect();
        index
    }

    /// The best paragraphs for a query, but for one.
    pub(crate) fn search(&self, query: &str, most: usize, without: Option<usize>) -> Vec<usize> {
        let mut scores = vec![0.0_f32; self.lengths.len()];
        let length = |place: usize, field: Field| {
            self.lengths[place].get(&field).copied().unwrap_or_default()
        };
        for term in query_terms(query, language_of_query(query, &self.languages)) {
            let boost = term.field.weight();
            let field = term.field;
            let Some(found) = self.terms.get(&(field, term.text)) else { continue };
            let tokens = (0..scores.len()).map(|place| u64::from(length(place, field))).sum();
            let weight = Weight::new(found.len() as u64, scores.len() as u64, tokens, boost);
            for (place, count) in found {
                scores[*place] += weight.score(length(*place, field), *count);
            }
        }
        let mut order: Vec<_> = (0..scores.len())
            .filter(|place| scores[*place] > 0.0 && Some(*place) != without)
            .collect();
        order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
        order.truncate(most);
        order
    }
}
