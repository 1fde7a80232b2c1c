//! How long a piece of text is for the embedding model.

use std::ops::Range;

use super::Lengths;

/// Bytes that count as one token at least: the model takes a run of hundreds
/// of letters for one unknown word, and a span must stay readable.
const MAX_BYTES_PER_TOKEN: usize = 16;

/// Counts the tokens of ranges of one text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measure<'t> {
    starts: &'t [u32],
    /// What they are measured for.
    pub(super) lengths: Lengths,
}

impl<'t> Measure<'t> {
    /// From the byte at which each token starts, in order.
    pub(super) fn new(starts: &'t [u32], lengths: Lengths) -> Self {
        Self { starts, lengths }
    }

    /// Tokens that start in a range. Grows with the range.
    pub(super) fn tokens(&self, range: Range<usize>) -> usize {
        let before = |end: usize| self.starts.partition_point(|start| (*start as usize) < end);
        let counted = before(range.end).saturating_sub(before(range.start));
        counted.max(range.len().div_ceil(MAX_BYTES_PER_TOKEN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_counted_where_they_start() {
        let measure = Measure::new(&[0, 4, 9], Lengths::DEFAULT);
        assert_eq!([measure.tokens(0..4), measure.tokens(0..5), measure.tokens(4..10)], [1, 2, 2]);
    }

    #[test]
    fn a_long_word_counts_by_its_bytes() {
        assert_eq!(Measure::new(&[0], Lengths::DEFAULT).tokens(0..1_600), 100);
    }
}
