//! `config.json`: the sizes and the form of the network.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::LoadError;

/// The file that this module reads.
pub(crate) const FILE: &str = "config.json";
/// It is some hundred bytes, but for the names of labels.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

const MAX_LAYERS: u64 = 64;
const MAX_HIDDEN: u64 = 4_096;
const MAX_FEED_FORWARD: u64 = 16_384;
const MAX_VOCABULARY: u64 = 1 << 20;
const MAX_POSITIONS: u64 = 32_768;
const MAX_KINDS: u64 = 16;
const USUAL_EPSILON: f64 = 1e-12;

/// The encoder that a model is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    /// Devlin et al. 2019: positions count from 0.
    Bert,
    /// Conneau et al. 2020: the same network, whose positions count from behind
    /// the padding token's id.
    XlmRoberta,
}

impl Family {
    /// The name that listings show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bert => "BERT",
            Self::XlmRoberta => "XLM-RoBERTa",
        }
    }
}

/// What stands behind the last layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Nothing that is needed: the rows are pooled to a vector.
    Embedding,
    /// A classifier of pairs.
    Classification,
}

/// The function between the two maps of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Activation {
    /// x Φ(x), by the error function (Hendrycks and Gimpel 2016).
    Gelu,
    /// Its approximation by the hyperbolic tangent, from the same paper.
    GeluTanh,
}

/// The network, with every size checked.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) family: Family,
    pub(crate) purpose: Purpose,
    pub(crate) activation: Activation,
    pub(crate) vocabulary: usize,
    /// Width of a row.
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Width inside the feed-forward part.
    pub(crate) feed_forward: usize,
    /// Rows of the table of positions.
    pub(crate) positions: usize,
    /// The id of the padding token, behind which XLM-RoBERTa's positions start.
    pub(crate) padding: u32,
    /// Token types: first and second text of a pair.
    pub(crate) kinds: usize,
    pub(crate) epsilon: f32,
}

#[derive(Deserialize)]
struct Raw {
    model_type: String,
    vocab_size: u64,
    hidden_size: u64,
    num_hidden_layers: u64,
    num_attention_heads: u64,
    intermediate_size: u64,
    max_position_embeddings: u64,
    type_vocab_size: u64,
    hidden_act: String,
    layer_norm_eps: Option<f64>,
    pad_token_id: Option<u32>,
    position_embedding_type: Option<String>,
    #[serde(default)]
    is_decoder: bool,
    #[serde(default)]
    add_cross_attention: bool,
    quantization_config: Option<Value>,
    id2label: Option<BTreeMap<String, Value>>,
    num_labels: Option<u64>,
}

impl Config {
    /// all-MiniLM-L6-v2 (Wang et al. 2020), whose files in use are the weights
    /// and the tokenizer alone.
    pub(crate) fn mini_lm() -> Self {
        Self {
            family: Family::Bert,
            purpose: Purpose::Embedding,
            activation: Activation::Gelu,
            vocabulary: 30_522,
            hidden: 384,
            layers: 6,
            heads: 12,
            feed_forward: 1_536,
            positions: 512,
            padding: 0,
            kinds: 2,
            epsilon: USUAL_EPSILON as f32,
        }
    }

    /// Reads the bytes of `config.json`.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, LoadError> {
        let malformed = |error: serde_json::Error| LoadError::Malformed {
            file: FILE.into(),
            reason: error.to_string(),
        };
        // The architecture first: another one's fields have other names.
        let value: Value = serde_json::from_slice(bytes).map_err(malformed)?;
        let (family, purpose) = architecture(value.get("architectures"))?;
        let raw: Raw = serde_json::from_value(value).map_err(malformed)?;
        Self::check(&raw, family, purpose)
    }

    fn check(raw: &Raw, family: Family, purpose: Purpose) -> Result<Self, LoadError> {
        refuse_variants(raw, family)?;
        if purpose == Purpose::Classification {
            one_label(raw)?;
        }
        let hidden = bound("hidden_size", raw.hidden_size, 1, MAX_HIDDEN)?;
        let heads = bound("num_attention_heads", raw.num_attention_heads, 1, raw.hidden_size)?;
        if !hidden.is_multiple_of(heads) {
            return Err(LoadError::Malformed {
                file: FILE.into(),
                reason: format!("hidden_size {hidden} is not a multiple of {heads} heads"),
            });
        }
        let config = Self {
            family,
            purpose,
            activation: activation(&raw.hidden_act)?,
            vocabulary: bound("vocab_size", raw.vocab_size, 1, MAX_VOCABULARY)?,
            hidden,
            layers: bound("num_hidden_layers", raw.num_hidden_layers, 1, MAX_LAYERS)?,
            heads,
            feed_forward: bound("intermediate_size", raw.intermediate_size, 1, MAX_FEED_FORWARD)?,
            positions: bound(
                "max_position_embeddings",
                raw.max_position_embeddings,
                1,
                MAX_POSITIONS,
            )?,
            padding: raw.pad_token_id.unwrap_or(match family {
                Family::Bert => 0,
                Family::XlmRoberta => 1,
            }),
            kinds: bound("type_vocab_size", raw.type_vocab_size, 1, MAX_KINDS)?,
            epsilon: epsilon(raw.layer_norm_eps)?,
        };
        bound("the number of tokens read at once", config.max_tokens() as u64, 2, MAX_POSITIONS)?;
        Ok(config)
    }

    /// The most bytes that files with the weights can have: twice the numbers of
    /// the network in single precision, for heads of training that are left
    /// there, and for the names.
    pub(crate) fn most_weight_bytes(&self) -> u64 {
        const NAMES: u64 = 1 << 20;
        let [hidden, wide] = [self.hidden, self.feed_forward].map(|size| size as u64);
        let rows = (self.vocabulary + self.positions + self.kinds) as u64;
        let layer = hidden * (4 * hidden + 2 * wide + 16) + wide;
        let head = hidden * (2 * hidden + 16);
        let numbers = rows * hidden + self.layers as u64 * layer + head;
        2 * size_of::<f32>() as u64 * numbers + NAMES
    }

    /// The tokens that the network reads at once, special ones included.
    pub(crate) fn max_tokens(&self) -> usize {
        self.positions.saturating_sub(self.first_position())
    }

    /// The row of the table of positions that the first token has.
    pub(crate) fn first_position(&self) -> usize {
        match self.family {
            Family::Bert => 0,
            Family::XlmRoberta => (self.padding as usize).saturating_add(1),
        }
    }
}

fn architecture(names: Option<&Value>) -> Result<(Family, Purpose), LoadError> {
    const FEATURE: &str = "the architecture";
    let names = names.and_then(Value::as_array).map(Vec::as_slice);
    let name = match names {
        Some([name]) => name.as_str().unwrap_or_default(),
        Some([]) | None => return Err(LoadError::unsupported(FEATURE, "that is not named")),
        Some(names) => return Err(LoadError::unsupported(FEATURE, format!("{names:?}"))),
    };
    match name {
        "BertModel" | "BertForMaskedLM" => Ok((Family::Bert, Purpose::Embedding)),
        "XLMRobertaModel" | "XLMRobertaForMaskedLM" => Ok((Family::XlmRoberta, Purpose::Embedding)),
        "BertForSequenceClassification" => Ok((Family::Bert, Purpose::Classification)),
        "XLMRobertaForSequenceClassification" => Ok((Family::XlmRoberta, Purpose::Classification)),
        other => Err(LoadError::unsupported(FEATURE, other)),
    }
}

/// Refuses what another configuration of the same architecture would compute
/// differently.
fn refuse_variants(raw: &Raw, family: Family) -> Result<(), LoadError> {
    let model_type = match family {
        Family::Bert => "bert",
        Family::XlmRoberta => "xlm-roberta",
    };
    if raw.model_type != model_type {
        return Err(LoadError::unsupported("the model type", &raw.model_type));
    }
    match raw.position_embedding_type.as_deref() {
        None | Some("absolute") => (),
        Some(other) => return Err(LoadError::unsupported("the position embedding", other)),
    }
    if raw.is_decoder {
        return Err(LoadError::unsupported("the configuration", "is_decoder"));
    }
    if raw.add_cross_attention {
        return Err(LoadError::unsupported("the configuration", "add_cross_attention"));
    }
    match raw.quantization_config.as_ref() {
        None | Some(Value::Null) => Ok(()),
        Some(config) => {
            let method = config.get("quant_method").and_then(Value::as_str);
            Err(LoadError::unsupported("the quantization", method.unwrap_or("of the checkpoint")))
        }
    }
}

/// A reranker gives one number; more labels mean a classifier of another kind.
fn one_label(raw: &Raw) -> Result<(), LoadError> {
    // Two labels are what the library that writes these files takes for granted.
    let labels = raw.id2label.as_ref().map(|labels| labels.len() as u64);
    match labels.or(raw.num_labels).unwrap_or(2) {
        1 => Ok(()),
        labels => Err(LoadError::unsupported("a classifier of", format!("{labels} labels"))),
    }
}

fn activation(name: &str) -> Result<Activation, LoadError> {
    match name {
        "gelu" => Ok(Activation::Gelu),
        "gelu_new" | "gelu_pytorch_tanh" => Ok(Activation::GeluTanh),
        other => Err(LoadError::unsupported("the activation", other)),
    }
}

fn epsilon(given: Option<f64>) -> Result<f32, LoadError> {
    let epsilon = given.unwrap_or(USUAL_EPSILON);
    if epsilon.is_finite() && (0.0..=1.0).contains(&epsilon) {
        return Ok(epsilon as f32);
    }
    Err(LoadError::Malformed { file: FILE.into(), reason: format!("layer_norm_eps {epsilon}") })
}

/// A size that is from `least` to `most`.
pub(crate) fn bound(
    field: &'static str,
    found: u64,
    least: u64,
    most: u64,
) -> Result<usize, LoadError> {
    if !(least..=most).contains(&found) {
        return Err(LoadError::Bound { field, found, least, most });
    }
    usize::try_from(found).map_err(|_| LoadError::Bound { field, found, least, most })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(change: &dyn Fn(&mut Value)) -> Result<Config, LoadError> {
        let mut value = json!({
            "architectures": ["BertForSequenceClassification"], "model_type": "bert",
            "vocab_size": 100, "hidden_size": 8, "num_hidden_layers": 2,
            "num_attention_heads": 2, "intermediate_size": 16, "max_position_embeddings": 32,
            "type_vocab_size": 2, "hidden_act": "gelu", "id2label": {"0": "LABEL_0"},
        });
        change(&mut value);
        Config::parse(&serde_json::to_vec(&value).unwrap())
    }

    #[test]
    fn sizes_are_taken_and_missing_ones_are_the_usual() {
        let config = parse(&|_| ()).unwrap();
        assert_eq!((config.hidden, config.heads, config.max_tokens()), (8, 2, 32));
        assert_eq!(config.epsilon, 1e-12);
    }

    #[test]
    fn what_would_be_run_wrongly_is_refused_with_its_name() {
        let cases: [(&str, Value, &str); 13] = [
            ("architectures", json!(["GPT2Model"]), "GPT2Model"),
            ("architectures", json!(null), "not named"),
            ("model_type", json!("nomic_bert"), "nomic_bert"),
            ("position_embedding_type", json!("relative_key"), "relative_key"),
            ("hidden_act", json!("silu"), "silu"),
            ("is_decoder", json!(true), "is_decoder"),
            ("add_cross_attention", json!(true), "add_cross_attention"),
            ("quantization_config", json!({"quant_method": "gptq"}), "gptq"),
            ("id2label", json!({"0": "no", "1": "yes", "2": "maybe"}), "3 labels"),
            ("id2label", json!(null), "2 labels"),
            ("num_hidden_layers", json!(1_000_000), "num_hidden_layers"),
            ("num_attention_heads", json!(3), "3 heads"),
            ("hidden_size", json!(-8), "-8"),
        ];
        for (field, wrong, said) in cases {
            let error = parse(&|value| value[field] = wrong.clone()).unwrap_err().to_string();
            assert!(error.contains(said), "{field}: {error}");
        }
    }
}
