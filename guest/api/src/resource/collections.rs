//! Collections.

use ragtime_text::Language;
use schemars::JsonSchema;
use serde::Serialize;

use super::rules;
use crate::chunk::Lengths;
use crate::json::{self, Faults, Field, Fields, Location, Member, Object, Text, Whole};
use crate::limits;
use crate::problem::Problem;

const TOKENS: Member<Whole> = Whole::optional(
    "tokens",
    limits::CHUNK_TOKENS.0,
    limits::CHUNK_TOKENS.1,
    "Tokens of the embedding model that a chunk aims at. Default: 200.",
);
const OVERLAP: Member<Whole> = Whole::optional(
    "overlap",
    0,
    limits::MAX_OVERLAP_TOKENS,
    "The most tokens that a chunk repeats of the one before; more than half of `tokens` counts as half. Default: 30.",
);
/// Members of `chunking`.
const CHUNKING_FIELDS: &[Field] = &[TOKENS.field(), OVERLAP.field()];

const LANGUAGE: Member<Text> = Text::optional(
    "language",
    &rules::LANGUAGE,
    "The language of its documents that come without one, as a BCP 47 tag; `und` leaves it to their texts.",
);

const SYSTEM: Member<Text> = Text::optional(
    "system",
    &rules::PROMPT_SYSTEM,
    "What a language model is told before the rules on sources, which it is told in any case.",
);
const TEMPLATE: Member<Text> = Text::optional(
    "template",
    &rules::PROMPT_TEMPLATE,
    "The message that a language model is asked with: where `{sources}` stand in it, and behind them `{question}`. Default: `{sources}Question: {question}`.",
);
const PROMPT_FIELDS: &[Field] = &[SYSTEM.field(), TEMPLATE.field()];

const PROMPT: Member<Object> = Object::optional(
    "prompt",
    PROMPT_FIELDS,
    "How language models are asked about it; an empty object is the default.",
);

const EMBEDDING_MODEL: Member<Text> = Text::optional(
    "embedding_model",
    &rules::MODEL,
    "The model that embeds it, as `GET /v1/models` names it; `default` is the operator's choice. Vectors of the model before serve until all of the new one are there.",
);

/// The name that stands for whatever model is the default.
const DEFAULT_MODEL: &str = "default";

const NAME: Member<Text> = Text::required("name", &rules::COLLECTION, "The collection's name.");
const CHUNKING: Member<Object> =
    Object::optional("chunking", CHUNKING_FIELDS, "How its texts are cut.");
/// Members of the body of `POST /v1/collections`.
pub const FIELDS: &[Field] =
    &[NAME.field(), CHUNKING.field(), LANGUAGE.field(), PROMPT.field(), EMBEDDING_MODEL.field()];

/// Members of the body of `PATCH /v1/collections/{collection}`.
pub const CHANGE_FIELDS: &[Field] =
    &[CHUNKING.field(), LANGUAGE.field(), PROMPT.field(), EMBEDDING_MODEL.field()];

/// How the texts of a collection are cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Chunking {
    /// Tokens of the embedding model that a chunk aims at.
    pub tokens: u32,
    /// The most that it repeats of the one before.
    pub overlap: u32,
}

/// How language models are asked about a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Prompt {
    /// What the model is told before the rules on sources; null for nothing.
    pub system: Option<String>,
    /// The message that it is asked with; null for the default.
    pub template: Option<String>,
}

/// A collection to be made.
#[derive(Debug, PartialEq, Eq)]
pub struct NewCollection {
    /// Its name.
    pub name: String,
    /// How its texts are cut.
    pub chunking: Option<Chunking>,
    /// The code of its documents' language.
    pub language: Option<String>,
    /// How language models are asked about it.
    pub prompt: Option<Prompt>,
    /// The model that embeds it.
    pub embedding_model: Option<String>,
}

/// What is to change of a collection.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// How its texts are cut, if that changes.
    pub chunking: Option<Chunking>,
    /// The code of its documents' language, if that changes: none leaves it to the
    /// texts.
    pub language: Option<Option<String>>,
    /// How language models are asked about it, if that changes.
    pub prompt: Option<Prompt>,
    /// The model that embeds it, if that changes: none takes the default.
    pub embedding_model: Option<Option<String>>,
}

/// Reads the body of `POST /v1/collections`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<NewCollection, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        let name = fields.string(NAME, faults).map(Into::into);
        let chunking = chunking(&mut fields, faults);
        let language = language(&mut fields, faults).flatten();
        let prompt = prompt(&mut fields, faults);
        let embedding_model = embedding_model(&mut fields, faults).flatten();
        Some(NewCollection { name: name?, chunking, language, prompt, embedding_model })
    })
}

/// Reads the body of `PATCH /v1/collections/{collection}`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_change(body: &[u8]) -> Result<Change, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, CHANGE_FIELDS, faults)?;
        let chunking = chunking(&mut fields, faults);
        let language = language(&mut fields, faults);
        let prompt = prompt(&mut fields, faults);
        let embedding_model = embedding_model(&mut fields, faults);
        Some(Change { chunking, language, prompt, embedding_model })
    })
}

/// The code of a language, where one is named: none for `und`.
fn language(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Option<String>> {
    let tag = fields.string(LANGUAGE, faults)?;
    let language = Language::parse(tag.as_ref())?;
    Some((language.code() != rules::UNDETERMINED).then(|| language.code().to_owned()))
}

/// The name of a model, where one is chosen: none for the default.
fn embedding_model(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Option<String>> {
    let name = fields.string(EMBEDDING_MODEL, faults)?;
    Some((name != DEFAULT_MODEL).then(|| name.into()))
}

fn prompt(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Prompt> {
    let (declared, json) = fields.object(PROMPT, faults)?;
    let mut fields = Fields::open(json, fields.location(PROMPT), declared, faults)?;
    let system = fields.string(SYSTEM, faults).map(Into::into);
    Some(Prompt { system, template: fields.string(TEMPLATE, faults).map(Into::into) })
}

fn chunking(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Chunking> {
    let (declared, json) = fields.object(CHUNKING, faults)?;
    let mut fields = Fields::open(json, fields.location(CHUNKING), declared, faults)?;
    let default = Lengths::DEFAULT;
    let tokens = fields.integer(TOKENS, faults).unwrap_or(default.tokens as u32);
    let overlap = fields.integer(OVERLAP, faults);
    let overlap = overlap.unwrap_or(default.overlap as u32).min(tokens / 2);
    Some(Chunking { tokens, overlap })
}

/// A collection and its size.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Collection {
    /// Unique.
    pub name: String,
    /// Number of documents.
    pub documents: u64,
    /// Number of chunks.
    pub chunks: u64,
    /// How its texts are cut.
    pub chunking: Chunking,
    /// The language that was set for its documents that come without one.
    pub language: Option<String>,
    /// How language models are asked about it.
    pub prompt: Prompt,
    /// Documents that are still to be cut so; they are found as they are.
    pub uncut_documents: u64,
    /// The models that embed it.
    pub embedding: Embedding,
    /// RFC 3339.
    pub created_at: String,
}

/// The models that embed a collection.
#[derive(Debug, Default, Serialize, JsonSchema)]
pub struct Embedding {
    /// The model that was chosen; null for the default.
    pub chosen: Option<String>,
    /// The model whose vectors are compared; null while search is by words alone.
    pub model: Option<String>,
    /// The model whose vectors are being made, while those of another serve.
    pub next_model: Option<String>,
    /// Chunks that have theirs, of `chunks`.
    pub next_chunks: u64,
}

/// The answer of `POST /v1/collections/{collection}/recut`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Recut")]
pub struct Rechunked {
    /// Documents that were cut.
    pub recut: u64,
    /// Where the next ones begin; null at the end.
    pub next_cursor: Option<String>,
}

/// The answer of `GET /v1/collections`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List {
    /// By name.
    pub collections: Vec<Collection>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_name_is_read_and_checked() {
        let read_name = read(br#"{"name":"papers"}"#).unwrap();
        let papers = NewCollection {
            name: "papers".into(),
            chunking: None,
            language: None,
            prompt: None,
            embedding_model: None,
        };
        assert_eq!(read_name, papers);
        assert_eq!(
            read(br#"{"name":"P"}"#).unwrap_err().faults[0].pointer.as_deref(),
            Some("#/name")
        );
        let chunking = |body: &str| {
            let change = read_change(body.as_bytes())?;
            Ok::<_, Problem>(change.chunking.map(|one| (one.tokens, one.overlap)))
        };
        assert_eq!(chunking(r#"{"chunking":{}}"#).unwrap(), Some((200, 30)));
        assert_eq!(chunking(r#"{"chunking":{"tokens":70}}"#).unwrap(), Some((70, 30)));
        assert_eq!(chunking(r#"{"chunking":{"tokens":20}}"#).unwrap(), Some((20, 10)));
        assert_eq!(chunking("{}").unwrap(), None);
        for (body, place) in [
            (r#"{"chunking":{"tokens":15}}"#, "#/chunking/tokens"),
            (r#"{"chunking":{"token":20}}"#, "#/chunking/token"),
            (r#"{"chunking":3}"#, "#/chunking"),
            (r#"{"language":"german"}"#, "#/language"),
        ] {
            let faults = chunking(body).unwrap_err().faults;
            assert_eq!(faults[0].pointer.as_deref(), Some(place), "{body}");
        }
        let language = |body: &str| read_change(body.as_bytes()).unwrap().language;
        assert_eq!(language(r#"{"language":"de-AT"}"#), Some(Some("de".into())));
        assert_eq!(language(r#"{"language":"und"}"#), Some(None));
        assert_eq!(language("{}"), None);
        let prompt = |body: &str| read_change(body.as_bytes()).map(|change| change.prompt);
        assert_eq!(prompt(r#"{"prompt":{}}"#).unwrap(), Some(Prompt::default()));
        assert!(prompt(r#"{"prompt":{"template":"{sources} {question}"}}"#).is_ok());
        assert!(prompt(r#"{"prompt":{"template":"{question}"}}"#).is_err());
        assert_eq!(read(b"{}").unwrap_err().faults[0].detail, "is required");
    }
}
