//! One bit for each component of a vector, and estimates of cosines from them:
//! RaBitQ (Gao and Long, SIGMOD 2024) without centroids. A scan over codes
//! reads a thirtieth of what a scan over the vectors reads.

mod rotation;

use multiversion::multiversion;

use rotation::Rotation;

/// Codes side by side, one in each lane of a vector register.
pub(crate) const LANES: usize = 8;
/// Bits for a component of a query.
const PLANES: usize = 4;
/// The greatest value of a component of a query: 2^PLANES - 1.
const MAX_LEVEL: f32 = 15.0;
/// Blocks weighed between two looks at the result; it stays in the nearest
/// cache.
const BLOCKS_AT_ONCE: usize = 64;

/// One word of the codes of [`LANES`] vectors.
pub(crate) type Block = [u64; LANES];

/// Makes the codes of vectors of one length.
#[derive(Default)]
pub(crate) struct Quantizer {
    rotation: Rotation,
    dimensions: usize,
}

/// The codes of vectors of unit length, in blocks of [`LANES`].
#[derive(Default)]
pub(crate) struct Codes {
    /// Word by word of a block, each for all its lanes.
    words: Vec<Block>,
    /// For each row, what makes the estimate unbiased: one over the sum of the
    /// absolute components of the rotated vector.
    factors: Vec<f32>,
    words_per_row: usize,
}

/// Codes that are kept elsewhere, or some of them.
#[derive(Clone, Copy)]
pub(crate) struct CodesRef<'a> {
    pub(crate) words: &'a [Block],
    pub(crate) factors: &'a [f32],
}

/// A query, as the scan needs it.
pub(crate) struct CodedQuery {
    /// The bits of the components' levels, for each word.
    planes: Vec<[u64; PLANES]>,
    step: f32,
    /// What the levels' sum and their offset add to every row.
    constant: f32,
}

impl Quantizer {
    /// For vectors of so many `dimensions`.
    pub(crate) fn new(dimensions: usize) -> Self {
        Self { rotation: Rotation::new(dimensions), dimensions }
    }

    /// Length of the vectors.
    pub(crate) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// Words of 64 bits that a code takes.
    fn words_per_row(&self) -> usize {
        self.dimensions.div_ceil(64)
    }

    /// No codes yet.
    pub(crate) fn codes(&self) -> Codes {
        Codes { words_per_row: self.words_per_row(), ..Codes::default() }
    }

    /// Adds the code of a vector.
    pub(crate) fn push(&self, codes: &mut Codes, vector: &[f32]) {
        let turned = self.rotation.apply(vector);
        let words = turned.chunks(64).map(|part| bits(part.iter().map(|value| *value > 0.0)));
        let sum: f32 = turned.iter().map(|value| value.abs()).sum();
        codes.push(words, if sum > 0.0 { sum.recip() } else { 0.0 });
    }

    /// Prepares a query as long as the vectors.
    pub(crate) fn query(&self, query: &[f32]) -> CodedQuery {
        let turned = self.rotation.apply(query);
        let largest = turned.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let step = if largest > 0.0 { 2.0 * largest / MAX_LEVEL } else { 1.0 };
        let levels: Vec<u8> = turned
            .iter()
            .map(|value| ((value + largest) / step).round().clamp(0.0, MAX_LEVEL) as u8)
            .collect();
        let plane = |levels: &[u8], plane| bits(levels.iter().map(|level| level >> plane & 1 == 1));
        let planes =
            levels.chunks(64).map(|levels| std::array::from_fn(|n| plane(levels, n))).collect();
        let sum: f32 = levels.iter().map(|level| f32::from(*level)).sum();
        let constant = MAX_LEVEL / 2.0 * self.dimensions as f32 - sum;
        CodedQuery { planes, step, constant }
    }
}

impl Codes {
    fn push(&mut self, words: impl Iterator<Item = u64>, factor: f32) {
        let lane = self.factors.len() % LANES;
        if lane == 0 {
            self.words.resize(self.words.len() + self.words_per_row, [0; LANES]);
        }
        let first = self.words.len() - self.words_per_row;
        for (block, word) in self.words.iter_mut().skip(first).zip(words) {
            if let Some(place) = block.get_mut(lane) {
                *place = word;
            }
        }
        self.factors.push(factor);
    }

    /// Adds a row of other codes of the same length.
    pub(crate) fn push_row(&mut self, from: CodesRef<'_>, row: usize) {
        let first = row / LANES * self.words_per_row;
        let blocks = from.words.iter().skip(first).take(self.words_per_row);
        let words = blocks.map(|block| block.get(row % LANES).copied().unwrap_or(0));
        self.push(words, from.factors.get(row).copied().unwrap_or(0.0));
    }

    /// Adds rows that say nothing until there are whole blocks.
    pub(crate) fn pad(&mut self) {
        while !self.factors.len().is_multiple_of(LANES) {
            self.push(std::iter::empty(), 0.0);
        }
    }

    /// Number of rows.
    pub(crate) fn len(&self) -> usize {
        self.factors.len()
    }

    /// All of them.
    pub(crate) fn all(&self) -> CodesRef<'_> {
        CodesRef { words: &self.words, factors: &self.factors }
    }
}

impl CodesRef<'_> {
    /// Calls `visit` with each row and its estimated cosine, in order.
    pub(crate) fn estimate(self, query: &CodedQuery, mut visit: impl FnMut(usize, f32)) {
        let words = query.planes.len();
        let mut sums = [[0_i32; LANES]; BLOCKS_AT_ONCE];
        let mut row = 0;
        let parts = self.words.chunks(BLOCKS_AT_ONCE * words.max(1));
        for (blocks, factors) in parts.zip(self.factors.chunks(BLOCKS_AT_ONCE * LANES)) {
            weigh(blocks, &query.planes, &mut sums);
            for (sum, factor) in sums.as_flattened().iter().zip(factors) {
                visit(row, query.step * (*sum as f32 + query.constant) * factor);
                row += 1;
            }
        }
    }
}

fn bits(values: impl Iterator<Item = bool>) -> u64 {
    values.enumerate().fold(0, |word, (at, bit)| word | u64::from(bit) << at)
}

/// With levels u and bits b: Σ(2b-1)(u-7.5) = 2Σbu - 15Σb - Σu + 7.5d, of which
/// this is the part that depends on b.
#[multiversion(targets(
    "x86_64+avx512f+avx512bw+avx512vl+avx512vpopcntdq",
    "x86_64+avx2+popcnt",
    "x86_64+popcnt",
    "aarch64+neon"
))]
fn weigh(blocks: &[Block], planes: &[[u64; PLANES]], sums: &mut [[i32; LANES]]) {
    for (block, sums) in blocks.chunks_exact(planes.len()).zip(sums) {
        let mut totals = [0_i64; LANES];
        for (lanes, [ones, twos, fours, eights]) in block.iter().zip(planes) {
            for (total, code) in totals.iter_mut().zip(lanes) {
                let count = |plane: &u64| i64::from((code & plane).count_ones());
                *total += 2 * count(ones) + 4 * count(twos) + 8 * count(fours) + 16 * count(eights)
                    - 15 * i64::from(code.count_ones());
            }
        }
        *sums = totals.map(|total| total as i32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(seed: usize, dimensions: usize) -> Vec<f32> {
        let values: Vec<f32> =
            (0..dimensions).map(|i| ((seed * 7919 + i * i * 31) as f32 * 0.37).sin()).collect();
        let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
        values.iter().map(|value| value / length).collect()
    }

    fn coded(quantizer: &Quantizer, rows: &[Vec<f32>]) -> Codes {
        let mut codes = quantizer.codes();
        rows.iter().for_each(|row| quantizer.push(&mut codes, row));
        codes
    }

    #[test]
    fn estimates_are_close_to_the_cosines_and_come_for_every_row() {
        let count = LANES * BLOCKS_AT_ONCE + 5;
        for dimensions in [100, 384] {
            let quantizer = Quantizer::new(dimensions);
            let rows: Vec<_> = (0..count).map(|seed| unit(seed, dimensions)).collect();
            let codes = coded(&quantizer, &rows);
            let query = unit(3, dimensions);
            let mut seen = Vec::new();
            codes.all().estimate(&quantizer.query(&query), |row, estimate| {
                let cosine: f32 = rows[row].iter().zip(&query).map(|(a, b)| a * b).sum();
                let bound = 5.0 / (dimensions as f32).sqrt();
                assert!((estimate - cosine).abs() < bound, "{row}: {estimate} for {cosine}");
                seen.push(row);
            });
            assert_eq!(seen, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_row_that_is_copied_has_the_same_estimate() {
        let quantizer = Quantizer::new(100);
        let rows: Vec<_> = (0..50).map(|seed| unit(seed, 100)).collect();
        let codes = coded(&quantizer, &rows);
        let mut turned = quantizer.codes();
        (0..50).rev().for_each(|row| turned.push_row(codes.all(), row));
        turned.pad();
        assert_eq!(turned.len(), 56);
        let query = quantizer.query(&unit(7, 100));
        let estimates = |codes: &Codes| {
            let mut all = Vec::new();
            codes.all().estimate(&query, |_, estimate| all.push(estimate));
            all
        };
        let mut back = estimates(&turned);
        assert_eq!(back.split_off(50), [0.0; 6], "padding says nothing");
        back.reverse();
        assert_eq!(back, estimates(&codes));
    }

    #[test]
    fn a_vector_is_estimated_to_be_nearest_to_itself() {
        let quantizer = Quantizer::new(384);
        let rows: Vec<_> = (0..1_000).map(|seed| unit(seed, 384)).collect();
        let codes = coded(&quantizer, &rows);
        for seed in [0, 499, 999] {
            let mut best = (0, f32::MIN);
            codes.all().estimate(&quantizer.query(&unit(seed, 384)), |row, estimate| {
                if estimate > best.1 {
                    best = (row, estimate);
                }
            });
            assert_eq!(best.0, seed);
        }
    }
}
