//! What `POST /v1/responses` answers.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::resource::query::Citation;

/// An answer, whole or as far as it has come.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Response")]
pub struct Response<'a> {
    /// Unique.
    pub id: &'a str,
    /// Always `response`.
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created_at: u64,
    /// `in_progress`, `completed`, `incomplete` or `failed`.
    pub status: &'static str,
    /// Always false.
    pub background: bool,
    /// Why it failed.
    pub error: Option<ResponseError<'a>>,
    /// Why it is incomplete.
    pub incomplete_details: Option<Incomplete>,
    /// As they were sent; not used.
    pub instructions: Option<&'a str>,
    /// As it was sent.
    pub max_output_tokens: Option<u32>,
    /// The model that was asked.
    pub model: &'a str,
    /// What was done, and the answer last.
    pub output: Vec<Item<'a>>,
    /// Always true.
    pub parallel_tool_calls: bool,
    /// Always null.
    pub previous_response_id: Option<()>,
    /// Always false: responses are not kept.
    pub store: bool,
    /// The form of the text.
    pub text: Text,
    /// As it was sent.
    #[schemars(with = "serde_json::Value")]
    pub tool_choice: &'a RawValue,
    /// As they were sent.
    #[schemars(with = "Vec<serde_json::Value>")]
    pub tools: &'a RawValue,
    /// Always `disabled`.
    pub truncation: &'static str,
    /// What it took, once it has ended.
    pub usage: Option<Usage>,
    /// As it was sent.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub metadata: &'a RawValue,
}

/// Why an answer failed.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct ResponseError<'a> {
    /// The problem's code.
    pub code: &'a str,
    /// What to do about it.
    pub message: &'a str,
}

/// Why an answer is incomplete.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Incomplete {
    /// Always `max_output_tokens`.
    pub reason: &'static str,
}

/// The form of the text.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Text {
    /// Always text.
    pub format: Format,
}

/// The form of the text.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "TextFormat")]
pub struct Format {
    /// Always `text`.
    pub r#type: &'static str,
}

impl Text {
    /// Text.
    pub const PLAIN: Self = Self { format: Format { r#type: "text" } };
}

/// A step of an answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "ResponseItem")]
#[serde(untagged)]
pub enum Item<'a> {
    /// The search for passages.
    Search(Search<'a>),
    /// The answer.
    Message(Message<'a>),
}

/// The search for passages.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "FileSearchCall")]
pub struct Search<'a> {
    /// Unique.
    pub id: &'a str,
    /// Always `file_search_call`.
    pub r#type: &'static str,
    /// `in_progress` or `completed`.
    pub status: &'static str,
    /// What was searched for.
    pub queries: Vec<&'a str>,
    /// What was found, if asked for.
    pub results: Option<Vec<Found<'a>>>,
}

/// A passage.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "FileSearchResult")]
pub struct Found<'a> {
    /// The document's id.
    pub file_id: &'a str,
    /// The document's name.
    pub filename: String,
    /// How well it fits, 0 to 1.
    pub score: f64,
    /// The passage.
    pub text: &'a str,
    /// The document's metadata.
    #[schemars(with = "serde_json::Map<String, serde_json::Value>")]
    pub attributes: Box<RawValue>,
}

/// The answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "OutputMessage")]
pub struct Message<'a> {
    /// Unique.
    pub id: &'a str,
    /// Always `message`.
    pub r#type: &'static str,
    /// `in_progress`, `completed` or `incomplete`.
    pub status: &'static str,
    /// Always `assistant`.
    pub role: &'static str,
    /// One part, or none yet.
    pub content: Vec<Part<'a>>,
}

/// The text of an answer.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "OutputText")]
pub struct Part<'a> {
    /// Always `output_text`.
    pub r#type: &'static str,
    /// The text.
    pub text: &'a str,
    /// What it rests on.
    pub annotations: &'a [Annotation],
    /// Always empty.
    pub logprobs: [(); 0],
}

impl<'a> Part<'a> {
    /// Of a text.
    pub fn new(text: &'a str, annotations: &'a [Annotation]) -> Self {
        Self { r#type: "output_text", text, annotations, logprobs: [] }
    }
}

/// What a piece of an answer rests on.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[schemars(rename = "FileCitation")]
pub struct Annotation {
    /// Always `file_citation`.
    pub r#type: &'static str,
    /// The character of the text at which the quote ends.
    pub index: usize,
    /// The document's id.
    pub file_id: String,
    /// The document's name.
    pub filename: String,
    /// Exactly the bytes of the span.
    pub quote: String,
    /// The bytes of the document's text.
    pub span: crate::resource::Span,
    /// SHA-256 of the document's text, lower-case hex.
    pub sha256: String,
}

impl Annotation {
    /// Of a citation.
    pub fn new(citation: Citation, index: usize, filename: String) -> Self {
        let Citation { document_id, quote, span, sha256 } = citation;
        Self { r#type: "file_citation", index, file_id: document_id, filename, quote, span, sha256 }
    }
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
#[schemars(rename = "ResponseUsage")]
pub struct Usage {
    /// Tokens read.
    pub input_tokens: u32,
    /// Of these, none are cached.
    pub input_tokens_details: Cached,
    /// Tokens written.
    pub output_tokens: u32,
    /// Of these, none are reasoning.
    pub output_tokens_details: Reasoning,
    /// Both.
    pub total_tokens: u32,
}

/// Tokens that were read before.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Cached {
    /// Always 0.
    pub cached_tokens: u32,
}

/// Tokens that are not shown.
#[derive(Debug, Clone, Copy, Default, Serialize, JsonSchema)]
pub struct Reasoning {
    /// Always 0.
    pub reasoning_tokens: u32,
}

impl From<crate::resource::query::Usage> for Usage {
    fn from(usage: crate::resource::query::Usage) -> Self {
        Self {
            input_tokens: usage.input_tokens,
            input_tokens_details: Cached::default(),
            output_tokens: usage.output_tokens,
            output_tokens_details: Reasoning::default(),
            total_tokens: usage.input_tokens.saturating_add(usage.output_tokens),
        }
    }
}
