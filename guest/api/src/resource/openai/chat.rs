//! `POST /v1/chat/completions`

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::json::{self, Faults, Field, Fields, Json, Kind, Location};
use crate::limits;
use crate::problem::Problem;
use crate::resource::query::Citation;
use crate::resource::{rules, search, words};

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ChatRequest {
    /// The model, `ragtime/{collection}`.
    pub model: String,
    /// The last message of the user that is not blank.
    pub question: String,
    /// The messages of user and assistant before it, oldest first.
    pub earlier: Vec<(Speaker, String)>,
    /// Whether the answer comes as events.
    pub stream: bool,
    /// Whether the last event tells the usage.
    pub include_usage: bool,
    /// Sources to answer from.
    pub top_k: u32,
    /// A filter on metadata, as JSON.
    pub filter: Option<String>,
    /// By which generator.
    pub generator: Option<String>,
}

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Rules of the application; this server has its own.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
}

impl Speaker {
    const WORDS: &[(&str, Self)] = &[
        ("system", Self::System),
        ("developer", Self::System),
        ("user", Self::User),
        ("assistant", Self::Assistant),
    ];
}

const MESSAGE: &[Field] = &[
    Field::required("role", Kind::Choice(|| words(Speaker::WORDS)), "Who says it."),
    Field::required(
        "content",
        Kind::Other(|| {
            json!({"anyOf": [
                rules::MESSAGE.schema(),
                {"type": "array", "minItems": 1, "maxItems": limits::MAX_MESSAGE_PARTS, "items": json::object(PART)},
            ]})
        }),
        "What is said: a string, or parts of the type `text`.",
    ),
    Field::optional("name", Kind::String(&rules::TITLE), "Taken and not used."),
];

const PART: &[Field] = &[
    Field::required("type", Kind::Choice(|| vec!["text"]), "The kind of part."),
    Field::required("text", Kind::String(&rules::MESSAGE), "The text."),
];

const STREAM_OPTIONS: &[Field] =
    &[Field::optional("include_usage", Kind::Boolean, "Whether the usage comes last.")];

/// A member that tunes sampling, which answers with citations do not need.
const fn unused(name: &'static str) -> Field {
    Field::optional(name, Kind::Other(|| json!({})), "Taken and not used.")
}

/// Members of the body.
pub const FIELDS: &[Field] = &[
    Field::required("model", Kind::String(&rules::MODEL), "`ragtime/{collection}`."),
    Field::required(
        "messages",
        Kind::Objects(MESSAGE, 1, limits::MAX_MESSAGES),
        "The conversation. The user's last message is the question; `system` is not used.",
    ),
    Field::optional("stream", Kind::Boolean, "Answer as server-sent events. Default: false."),
    Field::optional(
        "stream_options",
        Kind::Other(|| json::object(STREAM_OPTIONS)),
        "What the events tell.",
    ),
    search::TOP_K,
    search::FILTER,
    Field::optional(
        "generator",
        Kind::String(&rules::GENERATOR),
        "Who answers. Default: the operator's setting.",
    ),
    unused("temperature"),
    unused("top_p"),
    unused("max_tokens"),
    unused("max_completion_tokens"),
    unused("presence_penalty"),
    unused("frequency_penalty"),
    unused("stop"),
    unused("seed"),
    unused("user"),
    unused("metadata"),
    unused("store"),
    unused("reasoning_effort"),
];

/// Reads the body.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<ChatRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        let model = fields.string("model", faults);
        let messages = messages(&mut fields, faults);
        let stream = fields.boolean("stream", faults).unwrap_or(false);
        let include_usage = include_usage(&mut fields, faults);
        let top_k = fields.integer("top_k", faults).unwrap_or(limits::DEFAULT_QUERY_TOP_K);
        let filter = fields.tree("filter", faults);
        let generator = fields.string("generator", faults).map(Into::into);
        let (model, mut earlier) = (model?.into(), messages?);
        let question = question(&mut earlier, faults)?;
        Some(ChatRequest {
            model,
            question,
            earlier,
            stream,
            include_usage,
            top_k,
            filter,
            generator,
        })
    })
}

impl ChatRequest {
    /// What to search for: the question, with the one before it, as a question
    /// may say "it" for what the last one named.
    pub fn search_text(&self) -> String {
        let before = self.earlier.iter().rev().find(|(speaker, _)| *speaker == Speaker::User);
        match before {
            Some((_, text)) => {
                let room = limits::MAX_QUERY_BYTES.saturating_sub(self.question.len() + 1);
                format!("{} {}", self.question, start(text, room)).trim().to_owned()
            }
            None => self.question.clone(),
        }
    }

    /// The conversation before the question: its end, of bounded length.
    pub fn conversation(&self) -> String {
        let (mut lines, mut room) = (Vec::new(), limits::MAX_CONVERSATION_BYTES);
        for (speaker, text) in self.earlier.iter().rev() {
            let name = if *speaker == Speaker::User { "User" } else { "Assistant" };
            let line = format!("{name}: {}", start(text, room));
            room = room.saturating_sub(line.len());
            lines.push(line);
            if room == 0 {
                break;
            }
        }
        lines.reverse();
        lines.join("\n")
    }
}

/// At most so many bytes of a text's start, whole characters.
fn start(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

fn messages(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Vec<(Speaker, String)>> {
    let (declared, items) = fields.objects("messages", faults)?;
    let location = fields.location("messages");
    let mut messages = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let place = Location::Item(&location, index);
        let (speaker, text) = message(item, place, declared, faults)?;
        messages.push((speaker, text));
    }
    Some(messages)
}

/// What one of the messages must be, as JSON Schema.
pub fn question_schema() -> serde_json::Value {
    let text = rules::QUERY.schema();
    let part = json!({"properties": {"text": text}, "required": ["text"]});
    json!({
        "properties": {
            "role": {"const": "user"},
            "content": {"anyOf": [text, {"type": "array", "contains": part}]},
        },
        "required": ["role", "content"],
    })
}

/// Takes the question, and drops what follows it and what `system` says.
fn question(earlier: &mut Vec<(Speaker, String)>, faults: &mut Faults) -> Option<String> {
    let asks =
        |(speaker, text): &(Speaker, String)| *speaker == Speaker::User && !text.trim().is_empty();
    let place = Location::Member(&Location::Root, "messages");
    let Some(last) = earlier.iter().rposition(asks) else {
        faults.push(place.fault("must have a message of the user that is not blank"));
        return None;
    };
    earlier.truncate(last + 1);
    let (_, question) = earlier.pop()?;
    if let Err(detail) = rules::query(&question) {
        faults.push(Location::Item(&place, last).fault(detail));
    }
    earlier.retain(|(speaker, _)| *speaker != Speaker::System);
    Some(question)
}

fn message(
    json: Json<'_>,
    place: Location<'_>,
    declared: &'static [Field],
    faults: &mut Faults,
) -> Option<(Speaker, String)> {
    let mut fields = Fields::open(json, place, declared, faults)?;
    let speaker = fields.choice("role", Speaker::WORDS, faults);
    fields.string("name", faults);
    let text = match fields.take("content", faults)? {
        Json::String(text) => match rules::message(&text) {
            Ok(()) => text.into_owned(),
            Err(detail) => {
                fields.fault("content", detail, faults);
                return None;
            }
        },
        Json::Array(parts) if (1..=limits::MAX_MESSAGE_PARTS).contains(&parts.len()) => {
            self::parts(parts, &fields.location("content"), faults)?
        }
        _ => {
            fields.fault("content", "must be a string or an array of parts", faults);
            return None;
        }
    };
    Some((speaker?, text))
}

fn parts(parts: Vec<Json<'_>>, place: &Location<'_>, faults: &mut Faults) -> Option<String> {
    let mut text = String::new();
    for (index, part) in parts.into_iter().enumerate() {
        let mut fields = Fields::open(part, Location::Item(place, index), PART, faults)?;
        fields.choice("type", &[("text", ())], faults)?;
        text.push_str(&fields.string("text", faults)?);
    }
    Some(text)
}

fn include_usage(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> bool {
    let Some(options) = fields.take("stream_options", faults) else { return false };
    let place = fields.location("stream_options");
    Fields::open(options, place, STREAM_OPTIONS, faults)
        .and_then(|mut options| options.boolean("include_usage", faults))
        .unwrap_or(false)
}

/// An answer, whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Completion<'a> {
    /// Unique.
    pub id: String,
    /// Always `chat.completion`.
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The model that was asked.
    pub model: &'a str,
    /// Always one.
    pub choices: [Choice<'a>; 1],
    /// What it took.
    pub usage: Usage,
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Choice<'a> {
    /// Always 0.
    pub index: u32,
    /// What is said.
    pub message: Message<'a>,
    /// Always `stop`.
    pub finish_reason: &'static str,
    /// Always null.
    pub logprobs: Option<()>,
}

/// What the model says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Message<'a> {
    /// Always `assistant`.
    pub role: &'static str,
    /// The answer.
    pub content: &'a str,
    /// Always null.
    pub refusal: Option<()>,
    /// What the answer rests on, in its order.
    pub citations: &'a [Citation],
    /// Whether the sources do not hold an answer.
    pub abstained: bool,
}

/// A piece of an answer.
#[derive(Debug, Serialize)]
pub struct Chunk<'a> {
    /// The same for all pieces.
    pub id: &'a str,
    /// Always `chat.completion.chunk`.
    pub object: &'static str,
    /// Seconds since the Unix epoch.
    pub created: u64,
    /// The model that was asked.
    pub model: &'a str,
    /// One, or none with the usage.
    pub choices: Vec<ChunkChoice<'a>>,
    /// What it took, in the last one if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Usage>,
}

/// What a piece adds.
#[derive(Debug, Serialize)]
pub struct ChunkChoice<'a> {
    /// Always 0.
    pub index: u32,
    /// More of the message.
    pub delta: Delta<'a>,
    /// `stop` at the end.
    pub finish_reason: Option<&'static str>,
}

/// More of a message.
#[derive(Debug, Default, Serialize)]
pub struct Delta<'a> {
    /// `assistant`, in the first one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<&'static str>,
    /// More text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<&'a str>,
    /// What the answer rests on, in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub citations: Option<&'a [Citation]>,
    /// Whether the sources do not hold an answer, in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstained: Option<bool>,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, Serialize, JsonSchema)]
pub struct Usage {
    /// Tokens read.
    pub prompt_tokens: u32,
    /// Tokens written.
    pub completion_tokens: u32,
    /// Both.
    pub total_tokens: u32,
}

impl From<crate::resource::query::Usage> for Usage {
    fn from(usage: crate::resource::query::Usage) -> Self {
        Self {
            prompt_tokens: usage.input_tokens,
            completion_tokens: usage.output_tokens,
            total_tokens: usage.input_tokens.saturating_add(usage.output_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_last_message_is_the_question_and_those_before_give_context() {
        let body = br#"{"model":"ragtime/a","temperature":0.2,"messages":[{"role":"system","content":"Be brief."},
            {"role":"user","content":"Who was Joplin?"},{"role":"assistant","content":"A composer."},
            {"role":"user","content":[{"type":"text","text":"What did "},{"type":"text","text":"he write?"}]}],
            "stream":true,"stream_options":{"include_usage":true}}"#;
        let request = read(body).unwrap();
        assert_eq!(request.question, "What did he write?");
        assert_eq!(request.conversation(), "User: Who was Joplin?\nAssistant: A composer.");
        assert_eq!(request.search_text(), "What did he write? Who was Joplin?");
        assert!(request.stream && request.include_usage);
    }

    #[test]
    fn every_fault_is_pointed_at() {
        let at = |body: &str| {
            let fault = read(body.as_bytes()).unwrap_err().faults.into_iter().next().unwrap();
            fault.pointer.unwrap()
        };
        let with = |messages: &str| format!(r#"{{"model":"m","messages":{messages}}}"#);
        assert_eq!(at(&with("[]")), "#/messages");
        assert_eq!(at(&with(r#"[{"role":"user"}]"#)), "#/messages/0/content");
        assert_eq!(at(&with(r#"[{"role":"assistant","content":"x"}]"#)), "#/messages");
        assert_eq!(
            at(&with(r#"[{"role":"user","content":[{"type":"image_url"}]}]"#)),
            "#/messages/0/content/0/type"
        );
        assert_eq!(
            at(r#"{"model":"m","messages":[{"role":"user","content":"x"}],"tools":[]}"#),
            "#/tools"
        );
    }
}
