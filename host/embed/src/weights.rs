//! The network from its tensors.

use std::path::PathBuf;

use crate::LoadError;
use crate::checkpoint::{Checkpoint, Mapped};
use crate::config::{Config, Family};
use crate::encoder::{Encoder, Layer, Norm};
use crate::head::Head;
use crate::linear::{Kernels, Linear, Precision};

/// Loads an encoder. The embedding tables stay in their file; the rest is packed
/// for the kernels.
pub(crate) fn encoder(
    files: &[PathBuf],
    config: Config,
    precision: Precision,
) -> Result<Encoder, LoadError> {
    let files = map(files)?;
    Reader::new(&files, &config, precision)?.encoder()
}

/// Loads an encoder and the classifier behind it.
pub(crate) fn classifier(
    files: &[PathBuf],
    config: Config,
    precision: Precision,
) -> Result<(Encoder, Head), LoadError> {
    let files = map(files)?;
    let reader = Reader::new(&files, &config, precision)?;
    Ok((reader.encoder()?, reader.head()?))
}

fn map(files: &[PathBuf]) -> Result<Vec<Mapped>, LoadError> {
    files.iter().map(|path| Mapped::open(path)).collect()
}

struct Reader<'a> {
    tensors: Checkpoint<'a>,
    kernels: Kernels,
    config: &'a Config,
    precision: Precision,
}

impl<'a> Reader<'a> {
    fn new(
        files: &'a [Mapped],
        config: &'a Config,
        precision: Precision,
    ) -> Result<Self, LoadError> {
        let tensors = Checkpoint::read(files)?;
        Ok(Self { tensors, kernels: Kernels::new(), config, precision })
    }

    fn encoder(&self) -> Result<Encoder, LoadError> {
        let config = self.config;
        let table = |name: &str, rows: usize| {
            self.tensors.table(&format!("embeddings.{name}.weight"), rows, config.hidden)
        };
        let kinds = "embeddings.token_type_embeddings.weight";
        Ok(Encoder {
            words: table("word_embeddings", config.vocabulary)?,
            positions: table("position_embeddings", config.positions)?,
            kinds: self.tensors.floats(kinds, &[config.kinds, config.hidden])?,
            norm: self.norm("embeddings.LayerNorm")?,
            layers: (0..config.layers)
                .map(|layer| self.layer(layer))
                .collect::<Result<Vec<_>, _>>()?,
            config: config.clone(),
        })
    }

    /// BERT's pooler and classifier, or XLM-RoBERTa's classification head. They
    /// stay in floats: they take one row of each pair.
    fn head(&self) -> Result<Head, LoadError> {
        let hidden = self.config.hidden;
        let linear = |weights: Vec<f32>, bias: Vec<f32>| {
            self.kernels.linear(&weights, bias, hidden, Precision::F32)
        };
        let outside = |name: &str, outputs: usize| {
            let weights = self.tensors.outside(&format!("{name}.weight"), &[outputs, hidden])?;
            let bias = self.tensors.outside(&format!("{name}.bias"), &[outputs])?;
            Ok(linear(weights, bias))
        };
        Ok(match self.config.family {
            Family::Bert => Head {
                dense: linear(
                    self.tensors.floats("pooler.dense.weight", &[hidden, hidden])?,
                    self.tensors.floats("pooler.dense.bias", &[hidden])?,
                ),
                output: outside("classifier", 1)?,
            },
            Family::XlmRoberta => Head {
                dense: outside("classifier.dense", hidden)?,
                output: outside("classifier.out_proj", 1)?,
            },
        })
    }

    fn norm(&self, name: &str) -> Result<Norm, LoadError> {
        let shape = [self.config.hidden];
        Ok(Norm {
            scale: self.tensors.floats(&format!("{name}.weight"), &shape)?,
            bias: self.tensors.floats(&format!("{name}.bias"), &shape)?,
            epsilon: self.config.epsilon,
        })
    }

    /// Several linear maps of one input, side by side in one.
    fn linear(&self, names: &[String], outputs: usize, inputs: usize) -> Result<Linear, LoadError> {
        let (mut weights, mut bias) = (Vec::new(), Vec::new());
        for name in names {
            weights.extend(self.tensors.floats(&format!("{name}.weight"), &[outputs, inputs])?);
            bias.extend(self.tensors.floats(&format!("{name}.bias"), &[outputs])?);
        }
        Ok(self.kernels.linear(&weights, bias, inputs, self.precision))
    }

    fn layer(&self, layer: usize) -> Result<Layer, LoadError> {
        let (hidden, wide) = (self.config.hidden, self.config.feed_forward);
        let name = |part: &str| format!("encoder.layer.{layer}.{part}");
        let attention =
            ["query", "key", "value"].map(|part| name(&format!("attention.self.{part}")));
        Ok(Layer {
            attention: self.linear(&attention, hidden, hidden)?,
            attention_output: self.linear(&[name("attention.output.dense")], hidden, hidden)?,
            attention_norm: self.norm(&name("attention.output.LayerNorm"))?,
            expand: self.linear(&[name("intermediate.dense")], wide, hidden)?,
            contract: self.linear(&[name("output.dense")], hidden, wide)?,
            output_norm: self.norm(&name("output.LayerNorm"))?,
        })
    }
}
