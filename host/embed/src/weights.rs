//! Reads `model.safetensors`.

use std::fs::File;
use std::path::Path;

use memmap2::Mmap;
use rten_gemm::GemmExecutor;
use rten_tensor::NdTensorView;
use safetensors::{Dtype, SafeTensors};

use crate::LoadError;
use crate::bert::{Bert, FEED_FORWARD, HIDDEN, LAYERS, Layer, Linear, Norm, Table};

/// Words in the vocabulary.
const VOCABULARY: usize = 30_522;
/// Positions the model knows, of which 256 are used.
const POSITIONS: usize = 512;

/// Loads the model. The embedding tables stay in the file; the rest is packed
/// for the kernels.
pub(crate) fn load(path: &Path) -> Result<Bert, LoadError> {
    let unreadable = |error| LoadError::Unreadable { path: path.display().to_string(), error };
    let file = File::open(path).map_err(unreadable)?;
    let whole = map(&file).map_err(unreadable)?;
    let tensors =
        SafeTensors::deserialize(&whole).map_err(|error| LoadError::Weights(error.to_string()))?;
    let reader =
        Reader { tensors: &tensors, base: whole.as_ptr() as usize, gemm: GemmExecutor::new() };
    let words = reader.table("embeddings.word_embeddings.weight", VOCABULARY)?;
    let positions = reader.table("embeddings.position_embeddings.weight", POSITIONS)?;
    let kinds = reader.floats("embeddings.token_type_embeddings.weight", &[2, HIDDEN])?;
    let norm = reader.norm("embeddings.LayerNorm")?;
    let layers = (0..LAYERS).map(|layer| reader.layer(layer)).collect::<Result<Vec<_>, _>>()?;
    let first_kind = kinds.into_iter().take(HIDDEN).collect();
    // A fresh view: of this one only the rows that texts use come into memory.
    let map = map(&file).map_err(unreadable)?;
    Ok(Bert { words, positions, first_kind, norm, layers, map })
}

#[allow(unsafe_code)]
fn map(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: the file is written once under another name and renamed, so
    // nothing changes it. If somebody truncates it all the same, the process
    // is ended by a signal; no memory is corrupted.
    unsafe { Mmap::map(file) }
}

struct Reader<'a> {
    tensors: &'a SafeTensors<'a>,
    base: usize,
    gemm: GemmExecutor,
}

impl Reader<'_> {
    fn bytes(&self, name: &str, shape: &[usize]) -> Result<&[u8], LoadError> {
        let wrong = |what: String| LoadError::Weights(format!("{name}: {what}"));
        let tensor = self.tensors.tensor(name).map_err(|error| wrong(error.to_string()))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            return Err(wrong(format!("{:?} of shape {:?}", tensor.dtype(), tensor.shape())));
        }
        Ok(tensor.data())
    }

    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let (values, _) = self.bytes(name, shape)?.as_chunks::<4>();
        Ok(values.iter().map(|value| f32::from_le_bytes(*value)).collect())
    }

    /// Where a table stands in the file.
    fn table(&self, name: &str, rows: usize) -> Result<Table, LoadError> {
        let bytes = self.bytes(name, &[rows, HIDDEN])?;
        let start = (bytes.as_ptr() as usize).saturating_sub(self.base);
        Ok(Table { start, rows })
    }

    fn norm(&self, name: &str) -> Result<Norm, LoadError> {
        Ok(Norm {
            scale: self.floats(&format!("{name}.weight"), &[HIDDEN])?,
            bias: self.floats(&format!("{name}.bias"), &[HIDDEN])?,
        })
    }

    /// Several linear maps of one input, side by side in one.
    fn linear(&self, names: &[String], outputs: usize, inputs: usize) -> Result<Linear, LoadError> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(self.floats(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.floats(&format!("{name}.bias"), &[outputs])?);
        }
        // Stored output by input; the kernels want input by output.
        let stored = NdTensorView::from_data([names.len() * outputs, inputs], weights.as_slice());
        Ok(Linear { weights: self.gemm.prepack_b(stored.transposed()), bias })
    }

    fn layer(&self, layer: usize) -> Result<Layer, LoadError> {
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let attention =
            ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Layer {
            attention: self.linear(&attention, HIDDEN, HIDDEN)?,
            attention_output: self.linear(&[name("attention.output.dense")], HIDDEN, HIDDEN)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            expand: self.linear(&[name("intermediate.dense")], FEED_FORWARD, HIDDEN)?,
            contract: self.linear(&[name("output.dense")], HIDDEN, FEED_FORWARD)?,
            output_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }
}
