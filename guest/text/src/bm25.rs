//! BM25 as the host's index computes it, so that every host gives the same scores
//! to the last bit: the length of a text is kept in one byte, and a score is the
//! product that tantivy makes, in its order.

/// Term frequency saturation (Robertson and Zaragoza 2009).
const K1: f32 = 1.2;
/// Length normalisation.
const B: f32 = 0.75;
/// Lengths up to this one are exact.
const EXACT: u32 = 24;

/// A length as one byte holds it: exact up to 40, then rounded down to four
/// significant bits (Lucene's `SmallFloat`).
pub fn rounded_length(length: u32) -> u32 {
    let Some(beyond) = length.checked_sub(EXACT) else { return length };
    let bits = 32 - beyond.leading_zeros();
    let dropped = bits.saturating_sub(4);
    EXACT + ((beyond >> dropped) << dropped)
}

/// What one term is worth where a text has it.
#[derive(Debug, Clone, Copy)]
pub struct Weight {
    weight: f32,
    average: f32,
}

impl Weight {
    /// Of a term that `found` of `texts` have, in a field of `tokens` in all and
    /// that counts `boost`.
    pub fn new(found: u64, texts: u64, tokens: u64, boost: f32) -> Self {
        let rare = (texts.saturating_sub(found) as f32 + 0.5) / (found as f32 + 0.5);
        let idf = (1.0 + rare).ln();
        Self { weight: idf * (1.0 + K1) * boost, average: tokens as f32 / texts as f32 }
    }

    /// The score of a text of `length` tokens that has the term `frequency` times.
    pub fn score(&self, length: u32, frequency: u32) -> f32 {
        let length = rounded_length(length) as f32;
        let norm = K1 * (1.0 - B + B * length / self.average);
        let frequency = frequency as f32;
        self.weight * (frequency / (frequency + norm))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_rounded_as_in_the_index() {
        for (length, rounded) in
            [(0, 0), (39, 39), (40, 40), (41, 40), (42, 42), (57, 56), (100, 96), (2_013, 1_944)]
        {
            assert_eq!(rounded_length(length), rounded, "{length}");
        }
    }
}
