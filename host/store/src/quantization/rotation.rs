//! A fixed random rotation: it spreads the information of a vector evenly over
//! its components, which is what makes one bit of each worth keeping.

/// Rounds after which what was in one component is in all of them, also where
/// the length is no power of two and each round turns only a part.
const ROUNDS: usize = 4;
/// Any constant does; the same one always, so that codes can be compared.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// Random signs and Hadamard transforms, alternately of the head and of the
/// tail: O(d log d) where a rotation matrix takes O(d²).
#[derive(Default)]
pub(super) struct Rotation {
    signs: Vec<Vec<f32>>,
}

impl Rotation {
    pub(super) fn new(dimensions: usize) -> Self {
        let mut state = SEED;
        let mut sign = || {
            state = state.wrapping_add(SEED);
            if (mix(state) & 1) == 0 { 1.0 } else { -1.0 }
        };
        let signs = (0..ROUNDS).map(|_| (0..dimensions).map(|_| sign()).collect()).collect();
        Self { signs }
    }

    /// The rotated vector, as long as before.
    pub(super) fn apply(&self, vector: &[f32]) -> Vec<f32> {
        let mut turned = vector.to_vec();
        let width = (turned.len() + 1).next_power_of_two() / 2;
        for (round, signs) in self.signs.iter().enumerate() {
            turned.iter_mut().zip(signs).for_each(|(value, sign)| *value *= sign);
            let from = if round % 2 == 0 { 0 } else { turned.len() - width };
            if let Some(part) = turned.get_mut(from..from + width) {
                hadamard(part);
            }
        }
        turned
    }
}

/// The Walsh-Hadamard transform of a power of two of values, keeping lengths.
fn hadamard(values: &mut [f32]) {
    let mut half = 1;
    while half < values.len() {
        for pair in values.chunks_exact_mut(2 * half) {
            let (left, right) = pair.split_at_mut(half);
            for (a, b) in left.iter_mut().zip(right) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = (values.len() as f32).sqrt().recip();
    values.iter_mut().for_each(|value| *value *= scale);
}

/// The finalizer of splitmix64.
fn mix(state: u64) -> u64 {
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_angles_stay_and_a_single_component_spreads() {
        for dimensions in [1, 2, 3, 64, 100, 384] {
            let rotation = Rotation::new(dimensions);
            let mut a = vec![0.0; dimensions];
            a[dimensions / 2] = 1.0;
            let b: Vec<f32> = (0..dimensions).map(|i| (i as f32).sin()).collect();
            let (turned_a, turned_b) = (rotation.apply(&a), rotation.apply(&b));
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            assert!((dot(&turned_a, &turned_a) - 1.0).abs() < 1e-4);
            assert!((dot(&turned_a, &turned_b) - dot(&a, &b)).abs() < 1e-3);
            if dimensions > 32 {
                let largest = turned_a.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
                assert!(largest < 0.5, "{dimensions}: {largest}");
            }
        }
    }
}
