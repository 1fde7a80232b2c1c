//! Linear maps of rows, in 32-bit floats or in 8-bit integers.
//!
//! In 8 bits, weights have one scale for each output, and activations one scale
//! and one zero for each row, found while the model runs (dynamic quantization).
//! With `a = s (q - z)` for an activation and `w = t v` for a weight, the product
//! is `s t (Σ q v - z Σ v)`, and the sums are exact in integers (Jacob et al.
//! 2018).

use rten_gemm::{BiasVector, GemmExecutor, GemmInputA, GemmInputB, GemmOptions, PackedBMatrix};
use rten_simd::{Isa, SimdOp, SimdUnaryOp};
use rten_tensor::NdTensorView;
use rten_vecmath::{ApproxGelu, ExtendInit, Gelu, MinMax, Quantize};

use crate::EmbedError;
use crate::config::Activation;

/// What the weights of the linear maps are multiplied in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// 32-bit floats.
    #[default]
    F32,
    /// 8-bit integers, of weights and of activations.
    Int8,
}

impl Precision {
    /// The name that listings show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Int8 => "int8",
        }
    }
}

/// Kernels for this machine. They stay on their thread; making them only picks
/// the kernel.
pub(crate) struct Kernels {
    float: GemmExecutor,
    integer: GemmExecutor<u8, i8, i32>,
}

/// Rows whose integers are held at once: with the widest map of MiniLM they
/// stay in the second-level cache until they are floats again.
const INTEGER_ROWS: usize = 64;
/// The largest weight where the kernel adds two products in 16 bits (AVX2
/// without VNNI): 2 · 255 · 63 fits.
const REDUCED_WEIGHT: f32 = 63.0;
const WHOLE_WEIGHT: f32 = 127.0;

pub(crate) struct Linear {
    weights: Weights,
    bias: Vec<f32>,
}

enum Weights {
    Float(PackedBMatrix<f32>),
    Integer {
        packed: PackedBMatrix<i8>,
        /// What a weight of 1 stands for, for each output.
        scales: Vec<f32>,
        /// Σ v, for each output.
        totals: Vec<i32>,
    },
}

impl Kernels {
    pub(crate) fn new() -> Self {
        Self { float: GemmExecutor::new(), integer: GemmExecutor::new() }
    }

    /// `output = a b`, in floats.
    pub(crate) fn multiply(
        &self,
        output: &mut [f32],
        a: GemmInputA<'_, f32>,
        b: GemmInputB<'_, f32>,
        options: GemmOptions<'_, f32, f32, f32>,
    ) -> Result<(), EmbedError> {
        self.float.gemm(output, a, b, options).map_err(failed)
    }

    /// Packs a map whose weights are stored output by input.
    pub(crate) fn linear(
        &self,
        stored: &[f32],
        bias: Vec<f32>,
        inputs: usize,
        precision: Precision,
    ) -> Linear {
        let outputs = bias.len();
        let weights = match precision {
            Precision::F32 => {
                let stored = NdTensorView::from_data([outputs, inputs], stored);
                // The kernels want input by output.
                Weights::Float(self.float.prepack_b(stored.transposed()))
            }
            Precision::Int8 => {
                let most = if self.integer.may_saturate() { REDUCED_WEIGHT } else { WHOLE_WEIGHT };
                let (integers, scales) = quantize_weights(stored, inputs, most);
                let total = |output: &[i8]| output.iter().map(|weight| i32::from(*weight)).sum();
                let totals = integers.chunks_exact(inputs).map(total).collect();
                let stored = NdTensorView::from_data([outputs, inputs], integers.as_slice());
                let packed = self.integer.prepack_b(stored.transposed());
                Weights::Integer { packed, scales, totals }
            }
        };
        Linear { weights, bias }
    }
}

/// Integers from `-most` to `most`, and a scale for each output.
fn quantize_weights(stored: &[f32], inputs: usize, most: f32) -> (Vec<i8>, Vec<f32>) {
    let mut integers = Vec::with_capacity(stored.len());
    let mut scales = Vec::with_capacity(stored.len() / inputs.max(1));
    for output in stored.chunks_exact(inputs) {
        let largest = output.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        let scale = largest / most;
        let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
        integers.extend(output.iter().map(|weight| (weight * inverse).round_ties_even() as i8));
        scales.push(scale);
    }
    (integers, scales)
}

impl Linear {
    /// Bytes that the weights take, without the kernels' padding.
    pub(crate) fn bytes(&self) -> usize {
        let (size, rows, columns, others) = match &self.weights {
            Weights::Float(packed) => (size_of::<f32>(), packed.rows(), packed.cols(), 0),
            Weights::Integer { packed, scales, totals } => {
                let others = scales.len() + totals.len();
                (size_of::<i8>(), packed.rows(), packed.cols(), others)
            }
        };
        size * rows * columns + size_of::<f32>() * (others + self.bias.len())
    }

    /// Columns of what it gives.
    pub(crate) fn outputs(&self) -> usize {
        self.bias.len()
    }

    /// Maps rows of `input` to rows of `output`.
    pub(crate) fn apply(
        &self,
        kernels: &Kernels,
        input: &[f32],
        output: &mut [f32],
    ) -> Result<(), EmbedError> {
        self.run(kernels, input, output, None)
    }

    /// Maps rows of `input` to rows of `output`, and applies the activation.
    pub(crate) fn activate(
        &self,
        kernels: &Kernels,
        input: &[f32],
        output: &mut [f32],
        activation: Activation,
    ) -> Result<(), EmbedError> {
        self.run(kernels, input, output, Some(activation))
    }

    fn run(
        &self,
        kernels: &Kernels,
        input: &[f32],
        output: &mut [f32],
        activation: Option<Activation>,
    ) -> Result<(), EmbedError> {
        match &self.weights {
            Weights::Float(packed) => {
                let width = packed.rows();
                let input = NdTensorView::from_data([input.len() / width, width], input);
                let bias = Some(BiasVector::Row(self.bias.as_slice()));
                let options = GemmOptions { bias, ..GemmOptions::default() };
                let (a, b) = (GemmInputA::Unpacked(input), GemmInputB::Packed(packed));
                kernels.multiply(output, a, b, options)?;
                apply_activation(activation, output);
                Ok(())
            }
            Weights::Integer { packed, scales, totals } => {
                let mut some = Integers::default();
                let inputs = input.chunks(INTEGER_ROWS * packed.rows());
                let outputs = output.chunks_mut(INTEGER_ROWS * packed.cols());
                for (input, output) in inputs.zip(outputs) {
                    some.multiply(kernels, packed, input)?;
                    let sums = some.sums.chunks_exact(self.outputs());
                    let rows = output.chunks_exact_mut(self.outputs()).zip(sums).zip(&some.rows);
                    for ((output, sums), row) in rows {
                        let bias = &self.bias;
                        Dequantize { sums, row: *row, scales, totals, bias, output }.dispatch();
                        apply_activation(activation, output);
                    }
                }
                Ok(())
            }
        }
    }
}

fn apply_activation(activation: Option<Activation>, values: &mut [f32]) {
    match activation {
        None => (),
        Some(Activation::Gelu) => Gelu {}.map_mut(values),
        Some(Activation::GeluTanh) => ApproxGelu {}.map_mut(values),
    }
}

/// What the integers of a row stand for.
#[derive(Debug, Clone, Copy)]
struct Row {
    /// What an integer of 1 stands for.
    scale: f32,
    /// Which integer stands for zero.
    zero: u8,
}

/// Some rows in integers, and their products with weights.
#[derive(Default)]
struct Integers {
    values: Vec<u8>,
    rows: Vec<Row>,
    sums: Vec<i32>,
}

impl Integers {
    fn multiply(
        &mut self,
        kernels: &Kernels,
        weights: &PackedBMatrix<i8>,
        input: &[f32],
    ) -> Result<(), EmbedError> {
        let width = weights.rows();
        self.quantize(input, width);
        let rows = self.rows.len();
        self.sums.resize(rows * weights.cols(), 0);
        let a = NdTensorView::from_data([rows, width], self.values.as_slice());
        let (a, b) = (GemmInputA::Unpacked(a), GemmInputB::Packed(weights));
        // Not with the kernels' own zeros of rows: they give all rows those of
        // the first few.
        kernels.integer.gemm(&mut self.sums, a, b, GemmOptions::default()).map_err(failed)
    }

    fn quantize(&mut self, input: &[f32], width: usize) {
        self.values.clear();
        self.values.reserve(input.len());
        self.rows.clear();
        for row in input.chunks_exact(width) {
            let (least, most) = MinMax::new(row).dispatch();
            // Zero has an integer of its own, so that it stays zero.
            let (least, most) = (least.min(0.0), most.max(0.0));
            let scale = (most - least) / f32::from(u8::MAX);
            let inverse = if scale > 0.0 { scale.recip() } else { 0.0 };
            // The cast keeps to what a byte holds.
            let zero = (-least * inverse).round_ties_even() as u8;
            self.values.extend_init(|rest| {
                let (place, _) = rest.split_at_mut(row.len());
                Quantize::new(row, place, inverse, zero).dispatch()
            });
            self.rows.push(Row { scale, zero });
        }
    }
}

/// Makes floats of a row of sums.
struct Dequantize<'a> {
    sums: &'a [i32],
    row: Row,
    /// Of each output.
    scales: &'a [f32],
    totals: &'a [i32],
    bias: &'a [f32],
    output: &'a mut [f32],
}

impl SimdOp for Dequantize<'_> {
    type Output = ();

    // The loop is compiled for each instruction set, which is why it stands here.
    #[inline(always)]
    fn eval<I: Isa>(self, _isa: I) {
        let zero = i32::from(self.row.zero);
        let outputs = self.scales.iter().zip(self.totals).zip(self.bias);
        for ((output, sum), ((scale, total), bias)) in
            self.output.iter_mut().zip(self.sums).zip(outputs)
        {
            *output = (sum - zero * total) as f32 * (scale * self.row.scale) + bias;
        }
    }
}

pub(crate) fn failed(error: impl std::fmt::Display) -> EmbedError {
    EmbedError::Kernel(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers from -1 to 1 that look random (splitmix64).
    fn numbers(count: usize, seed: u64) -> Vec<f32> {
        let number = |n: u64| {
            let mut bits = (n + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(seed << 32);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            ((bits ^ (bits >> 31)) >> 40) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count as u64).map(number).collect()
    }

    fn map(precision: Precision, inputs: usize, outputs: usize, input: &[f32]) -> Vec<f32> {
        let kernels = Kernels::new();
        let weights = numbers(inputs * outputs, 1);
        let linear = kernels.linear(&weights, numbers(outputs, 2), inputs, precision);
        let mut output = vec![0.0; input.len() / inputs * outputs];
        linear.apply(&kernels, input, &mut output).unwrap();
        output
    }

    #[test]
    fn integers_are_near_the_floats_for_any_number_of_rows() {
        for rows in [1, 3, INTEGER_ROWS, 2 * INTEGER_ROWS + 5] {
            let input = numbers(rows * 96, 3);
            let floats = map(Precision::F32, 96, 70, &input);
            let integers = map(Precision::Int8, 96, 70, &input);
            for (float, integer) in floats.iter().zip(&integers) {
                assert!((float - integer).abs() < 0.15, "{float} {integer}");
            }
        }
    }

    #[test]
    fn the_largest_products_do_not_overflow() {
        let kernels = Kernels::new();
        let linear = kernels.linear(&[1.0; 256], vec![0.0], 256, Precision::Int8);
        let mut output = [0.0];
        linear.apply(&kernels, &[1.0; 256], &mut output).unwrap();
        assert!((output[0] - 256.0).abs() < 0.01, "{output:?}");
    }

    #[test]
    fn rows_of_zeros_stay_zeros() {
        let output = map(Precision::Int8, 96, 70, &[0.0; 2 * 96]);
        assert_eq!(output[..70], numbers(70, 2));
    }
}
