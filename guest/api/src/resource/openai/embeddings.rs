//! `POST /v1/embeddings`

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::json::{
    self, Any, Fault, Faults, Field, Fields, Json, Location, Member, Text, Whole, Word,
};
use crate::limits;
use crate::problem::Problem;
use crate::resource::openai::tokens::{self, Decoder};
use crate::resource::{rules, words};

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
    /// What the texts are to a search.
    pub role: Role,
}

/// What a text is to a search: models trained with prompts have one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What is searched for.
    Query,
    /// What is searched through.
    Passage,
}

/// As other servers name them.
const ROLES: &[(&str, Role)] = &[
    ("query", Role::Query),
    ("passage", Role::Passage),
    ("document", Role::Passage),
    ("search_query", Role::Query),
    ("search_document", Role::Passage),
];

const MODEL: Member<Text> =
    Text::required("model", &rules::MODEL, "The model; `GET /v1/models` lists it.");
const INPUT: Member<Any> = Any::required(
    "input",
    input_schema,
    "A text or texts; each may stand as its tokens of cl100k_base.",
);
const ENCODING_FORMAT: Member<Word> = Word::optional(
    "encoding_format",
    || vec!["float", "base64"],
    "How vectors are written. Default: float.",
);
const DIMENSIONS: Member<Whole> =
    Whole::optional("dimensions", 1, u32::MAX, "Must be the model's. Default: the model's.");
const INPUT_TYPE: Member<Word> = Word::optional(
    "input_type",
    || words(ROLES),
    "What the texts are to a search, for models that have a prompt for each. Default: passage.",
);
/// Members of the body.
pub const FIELDS: &[Field] = &[
    MODEL.field(),
    INPUT.field(),
    ENCODING_FORMAT.field(),
    DIMENSIONS.field(),
    INPUT_TYPE.field(),
];

fn input_schema() -> serde_json::Value {
    let token = json!({"type": "integer", "minimum": 0, "maximum": tokens::greatest()});
    let most = limits::MAX_EMBEDDING_TOKENS;
    let tokens = json!({"type": "array", "items": token, "minItems": 1, "maxItems": most});
    let one = json!({"anyOf": [rules::INPUT.schema(), tokens]});
    let most = limits::MAX_EMBEDDING_INPUTS;
    json!({"anyOf": [
        rules::INPUT.schema(), tokens,
        {"type": "array", "items": one, "minItems": 1, "maxItems": most},
    ]})
}

/// Reads the body.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<EmbeddingRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, FIELDS, faults)?;
        let model = fields.string(MODEL, faults);
        let input = input(&mut fields, faults);
        let base64 = fields.choice(ENCODING_FORMAT, &[("float", false), ("base64", true)], faults);
        Some(EmbeddingRequest {
            model: model?.into(),
            input: input?,
            dimensions: fields.integer(DIMENSIONS, faults),
            base64: base64.unwrap_or(false),
            role: fields.choice(INPUT_TYPE, ROLES, faults).unwrap_or(Role::Passage),
        })
    })
}

fn input(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Vec<String>> {
    let items = match fields.take(INPUT, faults)? {
        text @ Json::String(_) => vec![text],
        // One text, as its tokens.
        Json::Array(items) if items.iter().all(is_number) && !items.is_empty() => {
            vec![Json::Array(items)]
        }
        Json::Array(items) if (1..=limits::MAX_EMBEDDING_INPUTS).contains(&items.len()) => items,
        _ => {
            let most = limits::MAX_EMBEDDING_INPUTS;
            fields.fault(INPUT, format!("must be a string or 1 to {most} of them"), faults);
            return None;
        }
    };
    let place = fields.location(INPUT);
    let (mut texts, mut decoder) = (Vec::with_capacity(items.len()), Decoder::default());
    for (index, item) in items.into_iter().enumerate() {
        let checked = match item {
            Json::String(text) => rules::input(&text).map(|()| text.into_owned()),
            Json::Array(tokens) => decoded(&tokens, &mut decoder),
            other => Err(format!("must be a string or its tokens, not {}", other.kind())),
        };
        match checked {
            Ok(text) => texts.push(text),
            Err(detail) => faults.push(Location::Item(&place, index).fault(detail)),
        }
    }
    Some(texts)
}

fn is_number(json: &Json<'_>) -> bool {
    matches!(json, Json::Number(_))
}

/// The text that these tokens are, as far as a model could read it.
fn decoded(tokens: &[Json<'_>], decoder: &mut Decoder) -> Result<String, String> {
    let most = limits::MAX_EMBEDDING_TOKENS;
    if !(1..=most).contains(&tokens.len()) {
        return Err(format!("must have 1 to {most} tokens"));
    }
    let numbers = tokens.iter().map(|token| match token {
        Json::Number(number) => json::whole(number),
        _ => None,
    });
    let text = numbers.collect::<Option<Vec<_>>>().and_then(|numbers| decoder.text(&numbers));
    let mut text = text.ok_or("must be a string or an array of tokens of cl100k_base")?;
    text.truncate(text.floor_char_boundary(limits::MAX_EMBEDDING_BYTES));
    Ok(text)
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
        assert_eq!(read("[15339,1917]").unwrap().input, ["hello world"]);
        assert_eq!(read(r#"[[15339,1917],"b",[0]]"#).unwrap().input, ["hello world", "b", "!"]);
        for wrong in
            ["[]", r#""""#, "3", "[[]]", "[[100257]]", "[1.5]", "[-1]", "[true]", "[[\"a\"]]"]
        {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn base64_holds_little_endian_floats() {
        let Vector::Base64(text) = Vector::new(vec![1.0, -2.5], true) else { unreachable!() };
        assert_eq!(text, "AACAPwAAIMA=");
    }
}
