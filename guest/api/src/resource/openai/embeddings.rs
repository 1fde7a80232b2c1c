//! `POST /v1/embeddings`

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::json::{self, Fault, Faults, Field, Fields, Json, Kind, Location};
use crate::limits;
use crate::problem::Problem;
use crate::resource::rules;

/// What to embed.
#[derive(Debug, PartialEq, Eq)]
pub struct EmbeddingRequest {
    /// The model.
    pub model: String,
    /// The texts.
    pub input: Vec<String>,
    /// The length of a vector, if the client says it.
    pub dimensions: Option<u32>,
    /// Whether vectors come as base64 of little-endian 32-bit floats.
    pub base64: bool,
}

/// Members of the body.
pub const FIELDS: &[Field] = &[
    Field::required("model", Kind::String(&rules::MODEL), "The model; `GET /v1/models` lists it."),
    Field::required(
        "input",
        Kind::Other(|| {
            json!({"anyOf": [
                rules::INPUT.schema(),
                {"type": "array", "items": rules::INPUT.schema(), "minItems": 1, "maxItems": limits::MAX_EMBEDDING_INPUTS},
            ]})
        }),
        "A text or texts.",
    ),
    Field::optional(
        "encoding_format",
        Kind::Choice(|| vec!["float", "base64"]),
        "How vectors are written. Default: float.",
    ),
    Field::optional(
        "dimensions",
        Kind::Integer(1, u32::MAX),
        "Must be the model's. Default: the model's.",
    ),
];

/// Reads the body.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<EmbeddingRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, FIELDS, faults)?;
        let model = fields.string("model", faults);
        let input = input(&mut fields, faults);
        let base64 =
            fields.choice("encoding_format", &[("float", false), ("base64", true)], faults);
        Some(EmbeddingRequest {
            model: model?.into(),
            input: input?,
            dimensions: fields.integer("dimensions", faults),
            base64: base64.unwrap_or(false),
        })
    })
}

/// Some clients send the numbers that another model's tokeniser made.
const TOKENS: &str = "must be a string: tokens of another model cannot be read (in LangChain, \
                      set check_embedding_ctx_length=False)";

fn input(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Vec<String>> {
    let items = match fields.take("input", faults)? {
        text @ Json::String(_) => vec![text],
        Json::Array(items) if (1..=limits::MAX_EMBEDDING_INPUTS).contains(&items.len()) => items,
        _ => {
            let most = limits::MAX_EMBEDDING_INPUTS;
            fields.fault("input", format!("must be a string or 1 to {most} of them"), faults);
            return None;
        }
    };
    let place = fields.location("input");
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let checked = match item {
            Json::String(text) => rules::input(&text).map(|()| text.into_owned()),
            Json::Number(_) | Json::Array(_) => Err(TOKENS.to_owned()),
            other => Err(format!("must be a string, not {}", other.kind())),
        };
        match checked {
            Ok(text) => texts.push(text),
            Err(detail) => faults.push(Location::Item(&place, index).fault(detail)),
        }
    }
    Some(texts)
}

impl EmbeddingRequest {
    /// Checks that vectors have the length that the client wants.
    ///
    /// # Errors
    ///
    /// `validation_failed`
    pub fn check_dimensions(&self, dimensions: u32) -> Result<(), Problem> {
        if self.dimensions.is_none_or(|wanted| wanted == dimensions) {
            return Ok(());
        }
        let detail = format!("must be {dimensions}, which is the length of this model's vectors");
        Err(Problem::invalid(vec![Fault::at("#/dimensions", detail)]))
    }
}

/// The vectors.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List<'a> {
    /// Always `list`.
    pub object: &'static str,
    /// In the order of the input.
    pub data: Vec<Embedding>,
    /// The model that embedded.
    pub model: &'a str,
    /// What it took.
    pub usage: Usage,
}

/// One vector.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Embedding {
    /// Always `embedding`.
    pub object: &'static str,
    /// Its place in the input.
    pub index: usize,
    /// The numbers.
    pub embedding: Vector,
}

/// A vector of unit length.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Vector {
    /// As numbers.
    Floats(Vec<f32>),
    /// As base64 of little-endian 32-bit floats.
    Base64(String),
}

/// What it took.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: usize,
    /// The same.
    pub total_tokens: usize,
}

impl Vector {
    /// As it was asked for.
    pub fn new(floats: Vec<f32>, base64: bool) -> Self {
        match base64 {
            false => Self::Floats(floats),
            true => {
                let bytes: Vec<u8> = floats.into_iter().flat_map(f32::to_le_bytes).collect();
                Self::Base64(STANDARD.encode(bytes))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_text_and_several_are_read_alike() {
        let read = |input: &str| read(format!(r#"{{"model":"m","input":{input}}}"#).as_bytes());
        assert_eq!(read(r#""a""#).unwrap().input, ["a"]);
        assert_eq!(read(r#"["a","b"]"#).unwrap().input, ["a", "b"]);
        let error = read("[[1, 2]]").unwrap_err();
        assert!(error.faults.iter().any(|fault| fault.detail.contains("check_embedding")));
        for wrong in ["[]", r#""""#, "3", "[1,2]", "[[1]]"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_holds_little_endian_floats() {
        let Vector::Base64(text) = Vector::new(vec![1.0, -2.5], true) else { unreachable!() };
        assert_eq!(text, "AACAPwAAIMA=");
    }
}
