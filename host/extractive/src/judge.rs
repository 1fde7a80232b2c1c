//! How well a unit answers a question, judged in its context.

mod vocabulary;

use std::collections::HashMap;
use std::rc::Rc;

use parking_lot::Mutex;
use ragtime_text::{KnownStems, Language, Segmented, analyse, content, phrase};

use crate::asks::{self, Asked};
use crate::units::{Unit, UnitKind, units};
use crate::{Passage, shape};
use vocabulary::{SAME, Strengths, Vocabulary, says};

/// What a judgement of a unit rests on; all from 0 to about 1.
pub(crate) const FEATURES: [&str; 16] = [
    "its own words",
    "the same, squared",
    "its words and those of the sentence before",
    "its words and those of the sentence after",
    "its words and those of what announces it",
    "its words and those of headings and title",
    "words of the whole passage",
    "neighbours of the question that are neighbours here",
    "place of the passage",
    "length",
    "a date where one is asked for",
    "a number where one is asked for",
    "a name where a person is asked for",
    "a name where a place is asked for",
    "refers to the sentence before",
    "code where code is asked for",
];
pub(crate) const COUNT: usize = FEATURES.len();

/// Words that two words of the question may be apart in a text to be neighbours.
const NEAR: u32 = 3;
/// Words of a long sentence.
const LONG: f32 = 40.0;

/// A unit that may be quoted, and what is known of it.
pub(crate) struct Candidate {
    pub(crate) passage: usize,
    pub(crate) unit: usize,
    pub(crate) features: [f32; COUNT],
    /// The words of the question that it has with all that stands around it.
    pub(crate) in_context: f32,
    /// Stems with a meaning, by number.
    pub(crate) words: Vec<u32>,
    /// The columns or the sentence that it shares with its neighbours.
    pub(crate) shared_lead: Option<usize>,
}

/// Stems of earlier answers: most words of a passage come again in others, and a stem
/// costs more than finding it. One for each answer that is made at a time, up to a few.
static KEPT: Mutex<Vec<KnownStems>> = Mutex::new(Vec::new());
const MAX_KEPT: usize = 4;

fn keep(stems: KnownStems) {
    let mut kept = KEPT.lock();
    if kept.len() < MAX_KEPT && !stems.is_full() {
        kept.push(stems);
    }
}

/// A passage taken apart.
pub(crate) struct Read<'a> {
    pub(crate) text: &'a str,
    pub(crate) language: Option<Language>,
    pub(crate) units: Vec<Unit>,
    /// Of each unit: places and numbers of its words.
    words: Vec<Vec<(u32, u32)>>,
    /// Of its title and headings.
    names: Vec<u32>,
}

/// All passages, and the question in the language of each.
pub(crate) struct Reading<'a> {
    pub(crate) passages: Vec<Read<'a>>,
    vocabulary: Vocabulary,
    questions: HashMap<Option<Language>, Rc<Question>>,
}

/// A question as it is compared with texts of one language.
struct Question {
    asked: Asked,
    /// Weights of its words.
    weights: Vec<f32>,
    /// Its words that follow each other.
    pairs: Vec<(usize, usize)>,
    strengths: Strengths,
    /// All stems of it, those that say nothing too.
    stems: Vec<u32>,
}

impl<'a> Reading<'a> {
    pub(crate) fn new(question: &str, passages: &[Passage<'a>]) -> Self {
        let mut vocabulary = Vocabulary::for_texts(passages);
        let mut stems = KEPT.lock().pop().unwrap_or_default();
        let read = passages.iter().map(|passage| Read::new(passage, &mut vocabulary, &mut stems));
        let read: Vec<_> = read.collect();
        keep(stems);
        let mut reading = Self { passages: read, vocabulary, questions: HashMap::new() };
        let languages: Vec<_> = reading.passages.iter().map(|read| read.language).collect();
        for language in languages {
            if !reading.questions.contains_key(&language) {
                let asked = reading.question(question, language);
                reading.questions.insert(language, Rc::new(asked));
            }
        }
        reading
    }

    fn question(&mut self, text: &str, language: Option<Language>) -> Question {
        let asked = Asked::of(text, language);
        let mut wanted: Vec<String> = content(text, language).into_iter().collect();
        // Code does not say that it is code.
        if asked.kind == Some(asks::QuestionKind::Code) && wanted.len() > 1 {
            let code = content(&asks::words_for_code(language), language);
            wanted.retain(|word| !code.contains(word));
        }
        let strengths = self.vocabulary.strengths(&wanted);
        let place = |stem: &String| wanted.iter().position(|word| word == stem);
        let order: Vec<_> =
            phrase(text, language).iter().filter_map(|(_, stem)| place(stem)).collect();
        let pairs = order.windows(2).filter_map(|pair| match pair {
            [a, b] if a != b => Some((*a, *b)),
            _ => None,
        });
        let pairs = pairs.collect();
        let stems = analyse(text, language).into_iter().filter_map(|token| token.stem);
        let stems =
            stems.filter_map(|stem| self.vocabulary.numbers.get(stem.as_str()).copied()).collect();
        let weights = self.weights(wanted.len(), &strengths);
        Question { asked, weights, pairs, strengths, stems }
    }

    /// How rare words are among the units at hand (Spärck Jones 1972).
    fn weights(&self, wanted: usize, strengths: &Strengths) -> Vec<f32> {
        // Of each word: the units that have it, and the last of them.
        let mut counts = vec![(0_usize, 0_usize); wanted];
        let mut units = 0;
        for words in self.passages.iter().flat_map(|read| &read.words) {
            units += 1;
            let found = words.iter().flat_map(|(_, number)| strengths.of(*number));
            for (place, _) in found.filter(|(_, strength)| *strength >= SAME) {
                match counts.get_mut(*place) {
                    Some((count, last)) if *last != units => (*count, *last) = (*count + 1, units),
                    _ => {}
                }
            }
        }
        let weight = |(count, _)| (1.0 + units as f32 / (1.0 + count as f32)).ln();
        counts.into_iter().map(|(count, last): (usize, usize)| weight((count, last))).collect()
    }

    /// The text of a candidate.
    pub(crate) fn text(&self, candidate: &Candidate) -> &'a str {
        let read = self.passages.get(candidate.passage);
        let unit = read.and_then(|read| Some((read, read.units.get(candidate.unit)?)));
        unit.map_or("", |(read, unit)| read.unit_text(unit))
    }

    /// Whether code may answer the question.
    pub(crate) fn asks_for_code(&self) -> bool {
        let asks = |question: &Rc<Question>| {
            question.asked.how || question.asked.kind == Some(asks::QuestionKind::Code)
        };
        self.questions.values().any(asks)
    }

    /// The units that may be quoted.
    pub(crate) fn candidates(&self) -> Vec<Candidate> {
        let code = self.asks_for_code();
        let mut found = Vec::new();
        for (place, read) in self.passages.iter().enumerate() {
            let Some(question) = self.questions.get(&read.language) else { continue };
            let judge = Judge::new(self, read, question, place);
            for (unit, one) in read.units.iter().enumerate() {
                let answers = match one.kind {
                    UnitKind::Sentence | UnitKind::Row => true,
                    UnitKind::Code => code,
                    UnitKind::Columns | UnitKind::Heading | UnitKind::Question => false,
                };
                if answers {
                    found.extend(judge.candidate(unit, one));
                }
            }
        }
        found
    }
}

impl<'a> Read<'a> {
    fn new(passage: &Passage<'a>, vocabulary: &mut Vocabulary, stems: &mut KnownStems) -> Self {
        let segmented = Segmented::new(passage.text);
        let language = segmented.language();
        let names: Vec<&str> =
            passage.title.into_iter().chain(passage.headings.iter().map(String::as_str)).collect();
        let units = units(passage.text, &names, language);
        let mut words = vec![Vec::new(); units.len()];
        let mut place = 0_usize;
        segmented.tokens(stems, |token| {
            // Most are of the unit that the one before is of.
            let is_before = |unit: &Unit| unit.span.end <= token.start;
            let begins =
                place.checked_sub(1).and_then(|before| units.get(before)).is_none_or(is_before);
            if !begins || units.get(place).is_some_and(is_before) {
                place = units.partition_point(is_before);
            }
            let (Some(stem), Some(words)) = (token.stem, words.get_mut(place)) else { return };
            let says = || says(token.exact.unwrap_or(stem), language);
            words.push((token.position, vocabulary.number(stem, says)));
        });
        let mut named = Vec::new();
        stems.analyse(&names.join("\n"), language, |token| {
            let (Some(word), Some(stem)) = (token.exact, token.stem) else { return };
            named.push(vocabulary.number(stem, || says(word, language)));
        });
        Self { text: passage.text, language, units, words, names: named }
    }

    pub(crate) fn unit_text(&self, unit: &Unit) -> &'a str {
        self.text.get(unit.span.clone()).unwrap_or_default()
    }
}

/// What one passage has of the question.
struct Judge<'r, 'a> {
    reading: &'r Reading<'a>,
    read: &'r Read<'a>,
    question: &'r Question,
    place: usize,
    /// Of each unit.
    had: Vec<Vec<f32>>,
    names: Vec<f32>,
    /// The share that the passage has with its names.
    whole: f32,
}

/// Code is less sure an answer to how something is done than to a question for code.
const CODE_FOR_HOW: f32 = 0.3;

impl<'r, 'a> Judge<'r, 'a> {
    fn new(
        reading: &'r Reading<'a>,
        read: &'r Read<'a>,
        question: &'r Question,
        place: usize,
    ) -> Self {
        let had: Vec<_> = read
            .words
            .iter()
            .map(|words| question.had(words.iter().map(|(_, number)| *number)))
            .collect();
        let names = question.had(read.names.iter().copied());
        let whole = had.iter().fold(names.clone(), |all, had| either(&all, had));
        let whole = question.share(&whole);
        Self { reading, read, question, place, had, names, whole }
    }

    fn candidate(&self, at: usize, unit: &Unit) -> Option<Candidate> {
        let text = self.read.unit_text(unit);
        let all = self.read.words.get(at)?;
        let own = self.had.get(at)?;
        let mut words: Vec<_> = all
            .iter()
            .map(|(_, number)| *number)
            .filter(|one| self.reading.vocabulary.says(*one))
            .collect();
        words.sort_unstable();
        words.dedup();
        // What says no more than the question does, and neither announces more nor
        // denies it, answers nothing.
        let next = self.read.units.get(at + 1);
        let announces = shape::announces(text) && next.is_some_and(|next| next.lead == Some(at));
        let is_new = words.iter().any(|word| !self.question.stems.contains(word));
        let denies = || self.question.asked.denied_by(text, self.read.language);
        if !announces && !is_new && !denies() {
            return None;
        }
        let before = at.checked_sub(1).filter(|before| self.is_near(*before, unit));
        let after = Some(at + 1).filter(|after| self.is_near(*after, unit));
        let near = |place: Option<usize>| {
            let had = place.and_then(|place| self.had.get(place));
            had.map_or_else(|| own.clone(), |had| either(own, had))
        };
        let led = self.led(unit).into_iter().fold(own.clone(), |all, lead| {
            self.had.get(lead).map_or(all.clone(), |had| either(&all, had))
        });
        let above = self.above(unit);
        let named = either(own, &above);
        let own_share = self.question.share(own);
        let beyond = |had: &[f32]| self.question.share(had) - own_share;
        let (with_before, with_after) = (near(before), near(after));
        let context = either(&either(&with_before, &led), &above);
        let given = self.question.asked.given_by(text, self.read.language);
        let gives = |kind| if self.question.asked.kind == Some(kind) { given } else { 0.0 };
        let features = [
            own_share,
            own_share * own_share,
            beyond(&with_before),
            beyond(&with_after),
            beyond(&led),
            beyond(&named),
            self.whole,
            self.neighbours(all),
            1.0 / (1.0 + self.place as f32),
            (words.len() as f32 / LONG).min(1.0).sqrt(),
            gives(asks::QuestionKind::When),
            gives(asks::QuestionKind::Number),
            gives(asks::QuestionKind::Who),
            gives(asks::QuestionKind::Where),
            if ragtime_text::refers_back(text, self.read.language) { 1.0 } else { 0.0 },
            match (unit.kind, self.question.asked.kind) {
                (UnitKind::Code, Some(asks::QuestionKind::Code)) => 1.0,
                (UnitKind::Code, _) => CODE_FOR_HOW,
                _ => 0.0,
            },
        ];
        let in_context = self.question.share(&context);
        let shared_lead = unit.lead.filter(|_| unit.kind == UnitKind::Row || unit.list.is_some());
        let (passage, unit) = (self.place, at);
        Some(Candidate { passage, unit, features, in_context, words, shared_lead })
    }

    /// A sentence beside a unit, under the same heading.
    fn is_near(&self, at: usize, unit: &Unit) -> bool {
        self.read.units.get(at).is_some_and(|other| {
            other.heading == unit.heading
                && other.kind == UnitKind::Sentence
                && matches!(unit.kind, UnitKind::Sentence | UnitKind::Code)
        })
    }

    /// What announces a unit, and what announces that.
    fn led(&self, unit: &Unit) -> Vec<usize> {
        let mut leads = Vec::new();
        let mut lead = unit.lead;
        while let Some(at) = lead.filter(|at| !leads.contains(at)) {
            leads.push(at);
            lead = self.read.units.get(at).and_then(|unit| unit.lead);
        }
        leads
    }

    /// What the names above a unit have: the heading in the passage, or else those
    /// that the passage is known under.
    fn above(&self, unit: &Unit) -> Vec<f32> {
        let heading = unit.heading.and_then(|at| self.had.get(at));
        heading.map_or_else(|| self.names.clone(), |had| either(had, &self.names))
    }

    /// The share of the question's neighbours that are near each other in a unit.
    fn neighbours(&self, words: &[(u32, u32)]) -> f32 {
        if self.question.pairs.is_empty() {
            return 0.0;
        }
        let strengths = |number: u32| self.question.strengths.of(number);
        let asked: Vec<_> = words
            .iter()
            .map(|(at, number)| (*at, strengths(*number)))
            .filter(|(_, all)| !all.is_empty())
            .collect();
        let places = |word: usize| {
            let is = move |all: &[(usize, f32)]| all.iter().any(|(one, _)| *one == word);
            asked.iter().filter(move |(_, all)| is(all)).map(|(at, _)| *at)
        };
        let near = |(a, b): &&(usize, usize)| {
            places(*a).any(|at| places(*b).any(|other| at.abs_diff(other) <= NEAR))
        };
        let found = self.question.pairs.iter().filter(near).count();
        found as f32 / self.question.pairs.len() as f32
    }
}

impl Question {
    /// How much of each of its words is among these.
    fn had(&self, words: impl Iterator<Item = u32>) -> Vec<f32> {
        let mut had = vec![0.0_f32; self.weights.len()];
        for (place, strength) in words.flat_map(|word| self.strengths.of(word)) {
            if let Some(had) = had.get_mut(*place) {
                *had = had.max(*strength);
            }
        }
        had
    }

    /// The share by weight.
    fn share(&self, had: &[f32]) -> f32 {
        let all: f32 = self.weights.iter().sum();
        let found: f32 = self.weights.iter().zip(had).map(|(weight, had)| weight * had).sum();
        if all > 0.0 { found / all } else { 0.0 }
    }
}

fn either(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a.max(*b)).collect()
}

/// Weights by which features become a score.
pub(crate) type Weights = [f32; COUNT];

/// The sum of features by weight.
pub(crate) fn score(features: &[f32; COUNT], weights: &Weights) -> f32 {
    features.iter().zip(weights).map(|(feature, weight)| feature * weight).sum()
}

/// The share of the smaller set's words that both have.
pub(crate) fn overlap(a: &[u32], b: &[u32]) -> f32 {
    let smaller = a.len().min(b.len());
    let shared = a.iter().filter(|word| b.binary_search(word).is_ok()).count();
    if smaller == 0 { 0.0 } else { shared as f32 / smaller as f32 }
}
