//! Weights, and how they were found: by `cargo run --release -p ragtime-extractive
//! --example answers -- learn FILE`, on the questions of the first half of the
//! articles of XQuAD in English, and for the confidence in scripts without spaces on
//! the same half in Chinese and Thai.

use ragtime_text::Language;

use crate::judge::Weights;
use crate::learn::EVIDENCE;

/// What each of [`crate::judge::FEATURES`] counts in a score. No text of XQuAD has
/// headings or lists: what announces a unit counts as much as its own words, as it is
/// part of what the unit says, and a heading as much as the sentence before. Nor has it code.
pub(crate) const WEIGHTS: Weights = [
    7.160, 0.691, 2.296, 1.259, 7.0, 2.3, 3.191, 1.024, 2.356, -0.048, 2.663, 1.673, 2.458, 1.372,
    -0.25, 3.0,
];

/// What a cosine counts in it: of 2 to 14, what puts the answer among the first four
/// most often on every second question of that half.
pub(crate) const COSINE: f32 = 6.0;

/// What the best cosine of MiniLM counts as evidence beside words, and these beside it;
/// learned on the same questions.
const EVIDENT_COSINE: f32 = 7.23;
const WORDS_BESIDE_COSINE: f32 = 1.05;
const COSINE_BIAS: f32 = -3.99;
/// Words that are all other words say no more against an answer than this: a cosine may
/// find what is said in none of the question's words.
const LEAST_WORDS: f32 = -2.5;

/// Makes one threshold mean the same in all scripts: with it, of the questions that the
/// weights were learned from, as many are answered without their paragraph in Chinese
/// and Thai at .15 as in English, .41 (before it .86 and .78).
const UNSPACED_BIAS: f32 = 0.74;

/// How a language's words are found, which the evidence depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scripts {
    /// Between spaces.
    Words,
    /// Pairs of characters, of Han, kana and Hangul.
    Characters,
    /// Pairs of clusters, of Thai, Lao, Khmer and Burmese.
    Clusters,
}

impl Scripts {
    pub(crate) fn of(language: Option<Language>) -> Self {
        match language.as_ref().map(Language::code) {
            Some("zh" | "ja" | "ko") => Self::Characters,
            Some("th" | "lo" | "km" | "my") => Self::Clusters,
            _ => Self::Words,
        }
    }

    /// The bias, and what each piece of evidence counts. Learned, but that the bias of
    /// scripts without spaces is [`UNSPACED_BIAS`] lower.
    fn weights(self) -> (f32, [f32; EVIDENCE]) {
        match self {
            Self::Words => (-4.456, [1.230, 1.041, 2.603, 1.243, 3.499, -0.001, 1.436, 0.576]),
            Self::Characters => {
                (-2.770 - UNSPACED_BIAS, [2.204, 1.857, 2.353, 1.947, 0.630, -0.034, 2.087, 1.097])
            }
            Self::Clusters => {
                (-4.229 - UNSPACED_BIAS, [1.491, 1.700, 1.252, 1.247, 2.264, -0.285, 0.429, 1.641])
            }
        }
    }
}

/// How likely the passages hold an answer, from 0 to 1.
pub(crate) fn confidence(evidence: &[f32; EVIDENCE], cosine: Option<f32>, scripts: Scripts) -> f32 {
    let (bias, weights) = scripts.weights();
    let words: f32 = evidence.iter().zip(weights).map(|(one, weight)| one * weight).sum();
    let logit = match cosine {
        None => bias + words,
        Some(cosine) => {
            let words = (bias + words).max(LEAST_WORDS);
            COSINE_BIAS + WORDS_BESIDE_COSINE * words + EVIDENT_COSINE * cosine
        }
    };
    1.0 / (1.0 + (-logit).exp())
}
