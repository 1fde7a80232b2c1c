//! The extractive generator: picks and orders the sentences of the best
//! passages that answer a question, quotes them exactly, and abstains when
//! nothing is close enough. No I/O; the model is handed in.

mod support;
mod tokens;
mod words;

pub use support::support;
pub use tokens::estimated_token_starts;

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;

use ragtime_text::{Language, Lines, content, detect};

use words::Idf;

/// The sentences of a passage as byte ranges without the white space around them, in
/// order. A line that stands alone (a heading, an item of a list) is a sentence of
/// its own.
pub fn sentences(text: &str) -> Vec<Range<usize>> {
    ragtime_text::sentences(text, None, Lines::End)
}

/// A passage to answer from.
pub struct Passage<'a> {
    /// Its text.
    pub text: &'a str,
}

/// How near texts are to the question.
pub trait Similarity {
    /// The cosine of each text to the question, or `None` without a model.
    fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>>;
}

/// A piece of a passage, in bytes of its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    /// Place of the passage in the list.
    pub passage: usize,
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// Quotes in reading order.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// Empty when abstained.
    pub quotes: Vec<Quote>,
    /// True when nothing is close enough.
    pub abstained: bool,
    /// The best sentence's score: cosine with a model, else the share of the
    /// question's weight that it covers.
    pub confidence: f32,
}

/// How answers are made.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Sentences of an answer. Three say what one paragraph of a search
    /// result would; more is reading the source.
    pub max_sentences: usize,
    /// Sentences compared by the model. Each costs a pass, so the words choose
    /// these few first.
    pub max_compared: usize,
    /// The cosine of MiniLM below which the best sentence is no answer: the
    /// highest threshold, of twentieths, that still answers 98 % of the judged
    /// queries of Cranfield (98.7 %) and of Vaswani (98.9 %). It declines 81 %
    /// and 82 % of the queries of the other set. `ragtime eval --answers` gives
    /// the curve.
    pub min_similarity: f32,
    /// The same without a model that knows the language: the share of the question's
    /// weight that the best sentence must cover. Words part what is answered from what
    /// is not less well, and differently where they are pairs of characters. On XQuAD
    /// these decline 3 % of the questions in English, 7 % in German, 6 % in Chinese
    /// and 3 % in Thai, and where the paragraph is taken out 41, 50, 56 and 44 %.
    pub min_coverage: Coverage,
    /// How far below the best score a further sentence may be.
    pub margin: f32,
    /// The same without a model: coverage tells sentences apart less finely.
    pub coverage_margin: f32,
    /// Two sentences that share more of their words than this say the same.
    pub max_overlap: f32,
}

/// Least coverage by how a language's words are found.
#[derive(Debug, Clone, Copy)]
pub struct Coverage {
    /// In scripts with spaces.
    pub words: f32,
    /// Pairs of characters, of Han, kana and Hangul.
    pub characters: f32,
    /// Pairs of clusters, of Thai, Lao, Khmer and Burmese.
    pub clusters: f32,
}

impl Coverage {
    /// Asks for nothing.
    pub const NONE: Self = Self { words: 0.0, characters: 0.0, clusters: 0.0 };

    fn of(&self, language: Option<Language>) -> f32 {
        match language.as_ref().map(Language::code) {
            Some("zh" | "ja" | "ko") => self.characters,
            Some("th" | "lo" | "km" | "my") => self.clusters,
            _ => self.words,
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_sentences: 3,
            max_compared: 16,
            min_similarity: 0.5,
            min_coverage: Coverage { words: 0.25, characters: 0.15, clusters: 0.3 },
            margin: 0.15,
            coverage_margin: 0.3,
            max_overlap: 0.6,
        }
    }
}

/// What a passage's place in the list is worth: the search has compared whole
/// passages with more than one sentence to go by.
const RANK_PENALTY: f32 = 0.01;
/// A shorter run of words is a heading or a fragment, and answers nothing.
const MIN_WORDS: usize = 4;
/// What the words weigh beside the model.
const WORDS_WEIGHT: f32 = 0.25;

/// A sentence that may be quoted.
struct Sentence<'a> {
    passage: usize,
    span: Range<usize>,
    text: &'a str,
    language: Option<Language>,
    words: BTreeSet<String>,
    coverage: f32,
    score: f32,
}

/// Answers a question from passages, best first.
pub fn answer(
    question: &str,
    passages: &[Passage<'_>],
    similarity: &dyn Similarity,
    settings: &Settings,
) -> Answer {
    let mut sentences = candidates(question, passages, settings);
    let texts: Vec<_> = sentences.iter().map(|sentence| sentence.text).collect();
    let cosines = similarity.to_question(&texts).filter(|cosines| cosines.len() == texts.len());
    let mut confidence = 0.0_f32;
    for (place, sentence) in sentences.iter_mut().enumerate() {
        let rank = RANK_PENALTY * sentence.passage as f32;
        let cosine = cosines.as_ref().and_then(|cosines| cosines.get(place));
        confidence = confidence.max(cosine.copied().unwrap_or(sentence.coverage));
        sentence.score = match cosine {
            Some(cosine) => cosine + WORDS_WEIGHT * sentence.coverage - rank,
            None => sentence.coverage - rank,
        };
    }
    let (threshold, margin) = match cosines {
        Some(_) => (settings.min_similarity, settings.margin),
        // The first passage is the one that the search trusts most.
        None => {
            let language = passages.first().and_then(|passage| detect(passage.text, None));
            (settings.min_coverage.of(language), settings.coverage_margin)
        }
    };
    if sentences.is_empty() || confidence < threshold {
        return Answer { quotes: Vec::new(), abstained: true, confidence };
    }
    let mut picked = pick(sentences, margin, settings);
    picked.sort_by_key(|sentence| (sentence.passage, sentence.span.start));
    let quotes = picked.into_iter().map(|sentence| Quote {
        passage: sentence.passage,
        start: sentence.span.start,
        end: sentence.span.end,
    });
    Answer { quotes: quotes.collect(), abstained: false, confidence }
}

/// The sentences worth comparing: those that cover the question best by words,
/// and where words do not decide, the first of the best passages.
fn candidates<'a>(
    question: &str,
    passages: &[Passage<'a>],
    settings: &Settings,
) -> Vec<Sentence<'a>> {
    let languages: Vec<_> = passages.iter().map(|passage| detect(passage.text, None)).collect();
    let mut wanted: HashMap<Option<Language>, BTreeSet<String>> = HashMap::new();
    for language in &languages {
        wanted.entry(*language).or_insert_with(|| content(question, *language));
    }
    let mut all: Vec<Sentence<'a>> = Vec::new();
    for (passage, (Passage { text }, language)) in passages.iter().zip(&languages).enumerate() {
        for span in ragtime_text::sentences(text, *language, Lines::End) {
            let sentence = text.get(span.clone()).unwrap_or_default();
            if ragtime_text::phrase(sentence, *language).len() < MIN_WORDS {
                continue;
            }
            all.push(Sentence {
                passage,
                span,
                text: sentence,
                language: *language,
                words: content(sentence, *language),
                coverage: 0.0,
                score: 0.0,
            });
        }
    }
    let idf = Idf::new(all.iter().map(|sentence| &sentence.words));
    for sentence in &mut all {
        sentence.coverage = wanted
            .get(&sentence.language)
            .map_or(0.0, |wanted| idf.coverage(wanted, &sentence.words));
        sentence.score = sentence.coverage - RANK_PENALTY * sentence.passage as f32;
    }
    // A stable sort: of equals, the earlier sentence of the better passage.
    all.sort_by(|a, b| b.score.total_cmp(&a.score));
    all.truncate(settings.max_compared);
    all
}

/// The best sentences that do not repeat each other and are near the best.
fn pick<'a>(
    mut sentences: Vec<Sentence<'a>>,
    margin: f32,
    settings: &Settings,
) -> Vec<Sentence<'a>> {
    sentences.sort_by(|a, b| b.score.total_cmp(&a.score));
    let floor = sentences.first().map_or(0.0, |best| best.score - margin);
    let mut picked: Vec<Sentence<'a>> = Vec::new();
    for sentence in sentences {
        let full = picked.len() >= settings.max_sentences;
        let repeats = picked
            .iter()
            .any(|other| words::overlap(&other.words, &sentence.words) > settings.max_overlap);
        if !full && !repeats && sentence.score >= floor {
            picked.push(sentence);
        }
    }
    picked
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct NoModel;

    impl Similarity for NoModel {
        fn to_question(&self, _: &[&str]) -> Option<Vec<f32>> {
            None
        }
    }

    struct Cosines(fn(&str) -> f32);

    impl Similarity for Cosines {
        fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
            Some(texts.iter().map(|text| (self.0)(text)).collect())
        }
    }

    fn quoted<'a>(passages: &[&'a str], answer: &Answer) -> Vec<&'a str> {
        answer.quotes.iter().map(|quote| &passages[quote.passage][quote.start..quote.end]).collect()
    }

    fn ask(question: &str, passages: &[&str], similarity: &dyn Similarity) -> Answer {
        let passages: Vec<_> = passages.iter().map(|text| Passage { text }).collect();
        answer(question, &passages, similarity, &Settings::default())
    }

    const FLUTTER: &str = "Aircraft are heavy. Flutter is a dynamic instability of an elastic structure in a \
                           flow. It was first seen in 1916.";

    #[test]
    fn the_sentence_that_answers_is_quoted() {
        let passages = ["The weather was fine. Nobody flew.", FLUTTER];
        let answer = ask("What is flutter of an elastic structure?", &passages, &NoModel);
        assert_eq!(
            quoted(&passages, &answer),
            ["Flutter is a dynamic instability of an elastic structure in a flow."]
        );
    }

    #[test]
    fn the_model_finds_what_shares_no_word() {
        let near: fn(&str) -> f32 = |text| if text.contains("1916") { 0.8 } else { 0.1 };
        let answer = ask("When did people observe this?", &[FLUTTER], &Cosines(near));
        assert_eq!(quoted(&[FLUTTER], &answer), ["It was first seen in 1916."]);
    }

    #[test]
    fn nothing_close_is_no_answer() {
        let far = ask("How do I bake sourdough bread?", &[FLUTTER], &Cosines(|_| 0.1));
        assert!(far.abstained && far.quotes.is_empty());
        assert!(ask("How do I bake sourdough bread?", &[FLUTTER], &NoModel).abstained);
        assert!(ask("anything", &[], &NoModel).abstained);
    }

    #[test]
    fn a_heading_is_no_answer() {
        let passage = "Flutter\n\nAn elastic structure vibrates in a flow until it breaks.";
        let near: fn(&str) -> f32 = |text| if text == "Flutter" { 0.9 } else { 0.5 };
        let answer = ask("What is flutter?", &[passage], &Cosines(near));
        assert_eq!(
            quoted(&[passage], &answer),
            ["An elastic structure vibrates in a flow until it breaks."]
        );
    }

    #[test]
    fn the_same_thing_is_not_said_twice() {
        let passages =
            ["Wings lift the aircraft in flight.", "Wings lift the aircraft in its flight."];
        assert_eq!(ask("What lifts the aircraft?", &passages, &Cosines(|_| 0.9)).quotes.len(), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_quote_lies_in_its_passage(
            question in ".{0,40}",
            passages in prop::collection::vec("[\\PC .?!\n]{0,80}", 0..6),
            cosine in -1.0_f32..1.0,
        ) {
            struct Same(f32);
            impl Similarity for Same {
                fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
                    Some(vec![self.0; texts.len()])
                }
            }
            let texts: Vec<&str> = passages.iter().map(String::as_str).collect();
            let answer = ask(&question, &texts, &Same(cosine));
            prop_assert!(answer.quotes.len() <= Settings::default().max_sentences);
            prop_assert_eq!(answer.abstained, answer.quotes.is_empty());
            for quote in quoted(&texts, &answer) {
                prop_assert!(!quote.trim().is_empty());
                prop_assert_eq!(quote, quote.trim());
            }
            prop_assert_eq!(&answer, &ask(&question, &texts, &Same(cosine)));
        }
    }
}
