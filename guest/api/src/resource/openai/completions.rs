//! `POST /v1/completions`, the API of before chats, which some clients speak to
//! servers that are like OpenAI's unless their settings say that a model chats.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::chat::{self, ChatRequest, Usage};
use super::conversation::{self, Conversation, Speaker};
use super::unsupported::{self, Unsupported};
use crate::json::{self, Any, Faults, Field, Fields, Json, Location, Member, Text, Whole};
use crate::limits;
use crate::problem::Problem;
use crate::resource::query::Citation;
use crate::resource::{rules, search};

/// Members that stay at their defaults.
const DEFAULTS: [Unsupported; 5] = [
    unsupported::N,
    unsupported::BEST_OF,
    unsupported::ECHO,
    unsupported::SUFFIX,
    unsupported::LOGPROBS_COUNT,
];

const MODEL: Member<Text> = Text::required("model", &rules::MODEL, "`ragtime/{collection}`.");
const PROMPT: Member<Any> = Any::required("prompt", prompt_schema, "The question.");
const MAX_TOKENS: Member<Whole> = Whole::optional(
    "max_tokens",
    1,
    u32::MAX,
    "The most tokens of the answer, counted as the embedding model counts. Default: all.",
);
/// Members of the body. Others are left unread.
pub const FIELDS: &[Field] = &[
    MODEL.field(),
    PROMPT.field(),
    chat::STREAM.field(),
    chat::STREAM_OPTIONS_FIELD.field(),
    MAX_TOKENS.field(),
    search::TOP_K.field(),
    search::FILTER.field(),
    chat::GENERATOR.field(),
    unsupported::N.member.field(),
    unsupported::BEST_OF.member.field(),
    unsupported::ECHO.member.field(),
    unsupported::SUFFIX.member.field(),
    unsupported::LOGPROBS_COUNT.member.field(),
];

fn prompt_schema() -> serde_json::Value {
    let text = json!({
        "type": "string", "maxLength": limits::MAX_MESSAGE_BYTES, "pattern": conversation::VISIBLE,
    });
    json!({"anyOf": [text, {"type": "array", "items": text, "minItems": 1, "maxItems": 1}]})
}

/// Reads the body.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<ChatRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, FIELDS, faults)?;
        let model = fields.string(MODEL, faults);
        let conversation = prompt(&mut fields, faults);
        let stream = fields.boolean(chat::STREAM, faults).unwrap_or(false);
        let include_usage = chat::include_usage(&mut fields, faults);
        let max_tokens = fields.integer(MAX_TOKENS, faults);
        let top_k = fields.integer(search::TOP_K, faults).unwrap_or(limits::DEFAULT_QUERY_TOP_K);
        let filter = fields.tree(search::FILTER, faults);
        let generator = fields.string(chat::GENERATOR, faults).map(Into::into);
        unsupported::check(&DEFAULTS, &mut fields, faults);
        Some(ChatRequest {
            model: model?.into(),
            conversation: conversation?,
            stream,
            include_usage,
            max_tokens,
            top_k,
            filter,
            generator,
        })
    })
}

fn prompt(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Conversation> {
    let prompt = match fields.take(PROMPT, faults)? {
        Json::Array(mut prompts) if prompts.len() == 1 => prompts.pop()?,
        prompt => prompt,
    };
    let Json::String(text) = prompt else {
        fields.fault(PROMPT, "must be one string: there is one answer to a request", faults);
        return None;
    };
    let place = fields.location(PROMPT);
    let said = conversation::content(Json::String(text), &place, faults)?;
    let conversation = Conversation::of(vec![(Speaker::User, said)]);
    if conversation.is_none() {
        faults.push(place.fault("must not be blank"));
    }
    conversation
}

/// An answer, whole or a piece of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "TextCompletion")]
pub struct Completion<'a> {
    /// Unique; the same for all pieces.
    pub id: &'a str,
    /// Always `text_completion`.
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The model that was asked.
    pub model: &'a str,
    /// One, or none in the piece with the usage.
    pub choices: Vec<Choice<'a>>,
    /// What it took. In pieces as it was asked for: in the last one, null before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// The text, or more of it.
#[derive(Debug, Default, Serialize, JsonSchema)]
#[schemars(rename = "TextChoice")]
pub struct Choice<'a> {
    /// Always 0.
    pub index: u32,
    /// The text.
    pub text: &'a str,
    /// `stop`, or `length` where `max_tokens` ended it; null before the end.
    pub finish_reason: Option<&'static str>,
    /// Always null.
    pub logprobs: Option<()>,
    /// What the answer rests on, at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<&'a [Citation]>,
    /// Whether the sources do not hold an answer, at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstained: Option<bool>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_prompt_is_a_question() {
        let body = r#"{"model":"ragtime/a","prompt":["Who?"],"max_tokens":16,"stream":true,"n":1,
            "best_of":1,"echo":false,"suffix":null,"logprobs":null,"temperature":0.1,"stop":["x"]}"#;
        let request = read(body.as_bytes()).unwrap();
        assert_eq!(request.conversation.question, "Who?");
        assert_eq!((request.stream, request.max_tokens), (true, Some(16)));
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        for (name, value) in [
            ("prompt", r#"["a","b"]"#),
            ("prompt", "[1,2]"),
            ("prompt", r#"" ""#),
            ("best_of", "2"),
            ("echo", "true"),
            ("suffix", r#""x""#),
            ("logprobs", "5"),
        ] {
            let prompt = if name == "prompt" { "" } else { r#""prompt":"a","# };
            let body = format!(r#"{{"model":"m",{prompt}"{name}":{value}}}"#);
            let fault = read(body.as_bytes()).unwrap_err().faults.into_iter().next().unwrap();
            assert_eq!(fault.place().unwrap(), name, "{value}");
        }
    }
}
