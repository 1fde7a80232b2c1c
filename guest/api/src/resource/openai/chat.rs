//! `POST /v1/chat/completions`

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use crate::json::{
    self, Any, Faults, Field, Fields, Flag, Json, Location, Member, Text, Whole, Word,
};
use crate::limits;
use crate::problem::Problem;
use crate::resource::openai::conversation::{self, Conversation, Speaker};
use crate::resource::openai::unsupported::{self, Unsupported};
use crate::resource::query::{Citation, Statement};
use crate::resource::{rules, search, words};

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ChatRequest {
    /// The model, `ragtime/{collection}`.
    pub model: String,
    /// What was said and what is asked.
    pub conversation: Conversation,
    /// Whether the answer comes as events.
    pub stream: bool,
    /// Whether the last event gives the usage.
    pub include_usage: bool,
    /// The most tokens that the answer may have.
    pub max_tokens: Option<u32>,
    /// Sources to answer from.
    pub top_k: u32,
    /// A filter on metadata, as JSON.
    pub filter: Option<String>,
    /// By which generator.
    pub generator: Option<String>,
}

const ROLE: Member<Word> = Word::required("role", || words(Speaker::WORDS), "Who says it.");
const CONTENT: Member<Any> = Any::optional(
    "content",
    conversation::content_schema,
    "What is said: a string, or parts that are text. Assistants and tools may say nothing.",
);
const MESSAGE: &[Field] = &[ROLE.field(), CONTENT.field()];

const INCLUDE_USAGE: Member<Flag> =
    Flag::optional("include_usage", "Whether the usage comes last.");
const STREAM_OPTIONS: &[Field] = &[INCLUDE_USAGE.field()];

/// `stream`
pub(super) const STREAM: Member<Flag> =
    Flag::optional("stream", "Answer as server-sent events. Default: false.");
/// `stream_options`
pub(super) const STREAM_OPTIONS_FIELD: Member<Any> = Any::optional(
    "stream_options",
    || json::lenient_object(STREAM_OPTIONS),
    "What the events tell.",
);
/// `generator`
pub(super) const GENERATOR: Member<Text> =
    Text::optional("generator", &rules::GENERATOR, "Who answers. Default: the operator's setting.");

/// Members that stay at their defaults.
const DEFAULTS: [Unsupported; 9] = [
    unsupported::N,
    unsupported::LOGPROBS,
    unsupported::TOP_LOGPROBS,
    unsupported::MODALITIES,
    unsupported::RESPONSE_FORMAT,
    unsupported::TOOL_CHOICE,
    unsupported::FUNCTION_CALL,
    unsupported::TOOLS,
    unsupported::FUNCTIONS,
];

const MODEL: Member<Text> = Text::required("model", &rules::MODEL, "`ragtime/{collection}`.");
const MESSAGES: Member<Any> = Any::required(
    "messages",
    messages_schema,
    "The conversation. The user's last message is the question; `system` is not used.",
);
const MAX_COMPLETION_TOKENS: Member<Whole> = Whole::optional(
    "max_completion_tokens",
    1,
    u32::MAX,
    "The most tokens of the answer, counted as the embedding model counts.",
);
const MAX_TOKENS: Member<Whole> =
    Whole::optional("max_tokens", 1, u32::MAX, "The older name of the same.");
/// Members of the body. Others are left unread, as those that tune sampling:
/// an answer made of quotes has no use for them.
pub const FIELDS: &[Field] = &[
    MODEL.field(),
    MESSAGES.field(),
    STREAM.field(),
    STREAM_OPTIONS_FIELD.field(),
    MAX_COMPLETION_TOKENS.field(),
    MAX_TOKENS.field(),
    search::TOP_K.field(),
    search::FILTER.field(),
    GENERATOR.field(),
    unsupported::N.member.field(),
    unsupported::LOGPROBS.member.field(),
    unsupported::TOP_LOGPROBS.member.field(),
    unsupported::MODALITIES.member.field(),
    unsupported::RESPONSE_FORMAT.member.field(),
    unsupported::TOOL_CHOICE.member.field(),
    unsupported::FUNCTION_CALL.member.field(),
    unsupported::TOOLS.member.field(),
    unsupported::FUNCTIONS.member.field(),
];

fn messages_schema() -> serde_json::Value {
    let message = json::lenient_object(MESSAGE);
    let message = json::any_of(message, json!([conversation::spoken(), conversation::silent()]));
    json!({
        "type": "array", "minItems": 1, "maxItems": limits::MAX_MESSAGES,
        "items": message,
        "contains": {
            "properties": {
                "role": {"const": "user"},
                "content": {"type": "string", "pattern": conversation::VISIBLE},
            },
            "required": ["role", "content"],
        },
    })
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
        let conversation = conversation(&mut fields, faults);
        let stream = fields.boolean(STREAM, faults).unwrap_or(false);
        let include_usage = include_usage(&mut fields, faults);
        let older = fields.integer(MAX_TOKENS, faults);
        let max_tokens = fields.integer(MAX_COMPLETION_TOKENS, faults).or(older);
        let top_k = fields.integer(search::TOP_K, faults).unwrap_or(limits::DEFAULT_QUERY_TOP_K);
        let filter = fields.tree(search::FILTER, faults);
        let generator = fields.string(GENERATOR, faults).map(Into::into);
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

fn conversation(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Conversation> {
    let messages = match fields.take(MESSAGES, faults)? {
        Json::Array(items) if (1..=limits::MAX_MESSAGES).contains(&items.len()) => items,
        Json::Array(_) => {
            let most = limits::MAX_MESSAGES;
            fields.fault(MESSAGES, format!("must have 1 to {most} messages"), faults);
            return None;
        }
        other => {
            fields.fault(MESSAGES, format!("must be an array, not {}", other.kind()), faults);
            return None;
        }
    };
    let location = fields.location(MESSAGES);
    let mut said = Vec::with_capacity(messages.len());
    for (index, item) in messages.into_iter().enumerate() {
        said.push(message(item, Location::Item(&location, index), faults)?);
    }
    let conversation = Conversation::of(said);
    if conversation.is_none() {
        faults.push(location.fault("must have a message of the user that is not blank"));
    }
    conversation
}

fn message(json: Json<'_>, place: Location<'_>, faults: &mut Faults) -> Option<(Speaker, String)> {
    let mut fields = Fields::open_lenient(json, place, MESSAGE, faults)?;
    let speaker = fields.choice(ROLE, Speaker::WORDS, faults)?;
    let text = match fields.take(CONTENT, faults) {
        Some(content) => conversation::content(content, &fields.location(CONTENT), faults)?,
        None if speaker.may_be_silent() => String::new(),
        None => {
            fields.fault(CONTENT, "is required", faults);
            return None;
        }
    };
    Some((speaker, text))
}

pub(super) fn include_usage(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> bool {
    let Some(options) = fields.take(STREAM_OPTIONS_FIELD, faults) else { return false };
    let place = fields.location(STREAM_OPTIONS_FIELD);
    Fields::open_lenient(options, place, STREAM_OPTIONS, faults)
        .and_then(|mut options| options.boolean(INCLUDE_USAGE, faults))
        .unwrap_or(false)
}

/// An answer, whole.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Completion<'a> {
    /// Unique.
    pub id: &'a str,
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
    /// `stop`; `length` where the most tokens ended it; `content_filter` where the
    /// language model's endpoint did.
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
    /// How likely they hold one, 0 to 1; null where a language model answered.
    pub confidence: Option<f64>,
    /// Of a language model: what it said with marks of sources.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub statements: &'a [Statement],
}

/// A piece of an answer.
#[derive(Debug, Serialize)]
pub struct CompletionChunk<'a> {
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
    /// What it took in the last one and null before, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage: Option<Option<Usage>>,
}

/// What a piece adds.
#[derive(Debug, Serialize)]
pub struct ChunkChoice<'a> {
    /// Always 0.
    pub index: u32,
    /// More of the message.
    pub delta: Delta<'a>,
    /// As of a whole answer, at the end.
    pub finish_reason: Option<&'static str>,
    /// Always null.
    pub logprobs: Option<()>,
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
    /// How likely they hold one, in the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// What a language model said with marks of sources, in the last one.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub statements: &'a [Statement],
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

    fn with(messages: &str, more: &str) -> String {
        format!(r#"{{"model":"m","messages":{messages}{more}}}"#)
    }

    const ASKED: &str = r#"[{"role":"user","content":"x"}]"#;

    #[test]
    fn a_conversation_is_read_as_the_clients_give_it_back() {
        let messages = r#"[{"role":"system","content":"Be brief.","name":"app"},
            {"role":"user","content":"Who was Joplin?"},
            {"role":"assistant","content":null,"refusal":null,"tool_calls":[{"id":"c","type":"function"}]},
            {"role":"tool","tool_call_id":"c","content":"1868"},
            {"role":"function","name":"f","content":null},
            {"role":"assistant","content":[{"type":"text","text":"A "},{"type":"refusal","refusal":"composer."}],
             "citations":[{"document_id":"joplin"}],"abstained":false,"audio":null,"annotations":[]},
            {"role":"user","content":[{"type":"text","text":"What did "},{"type":"text","text":"he\u0000write?","x":1}]}]"#;
        let more = r#","stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false},"max_tokens":9,"temperature":0.2,"unheard_of":{"a":1}"#;
        let request = read(with(messages, more).as_bytes()).unwrap();
        assert_eq!(request.conversation.question, "What did he write?");
        let before: Vec<_> =
            request.conversation.before().into_iter().map(|turn| turn.content).collect();
        assert_eq!(before, ["Who was Joplin?", "A tool returned:\n1868", "A composer."]);
        assert!(request.stream && request.include_usage);
        assert_eq!(request.max_tokens, Some(9));
    }

    #[test]
    fn harmless_parameters_are_taken_and_others_named() {
        for harmless in [
            r#""n":1"#,
            r#""n":null,"logprobs":false,"top_logprobs":0"#,
            r#""tools":[],"tool_choice":"auto","parallel_tool_calls":true"#,
            r#""tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"none""#,
            r#""functions":[],"function_call":"auto""#,
            r#""response_format":{"type":"text"},"modalities":["text"],"service_tier":"auto","store":false"#,
            r#""max_completion_tokens":1,"stop":["a"],"seed":1,"logit_bias":{},"user":"u""#,
        ] {
            let read = read(with(ASKED, &format!(",{harmless}")).as_bytes());
            assert!(read.is_ok(), "{harmless}: {read:?}");
        }
        for (name, value) in [
            ("n", "2"),
            ("logprobs", "true"),
            ("top_logprobs", "5"),
            ("tool_choice", r#""required""#),
            ("tool_choice", r#"{"type":"function","function":{"name":"f"}}"#),
            ("function_call", r#"{"name":"f"}"#),
            ("response_format", r#"{"type":"json_object"}"#),
            ("modalities", r#"["text","audio"]"#),
            ("max_tokens", "0"),
            ("tools", "{}"),
        ] {
            let body = with(ASKED, &format!(r#","{name}":{value}"#));
            let fault = read(body.as_bytes()).unwrap_err().faults.into_iter().next().unwrap();
            assert_eq!(fault.place().as_deref(), Some(name), "{value}");
        }
    }

    #[test]
    fn every_fault_is_pointed_at() {
        let at = |messages: &str| {
            let problem = read(with(messages, "").as_bytes()).unwrap_err();
            problem.faults.into_iter().next().unwrap().place().unwrap()
        };
        assert_eq!(at("[]"), "messages");
        assert_eq!(at(r#"[{"role":"user"}]"#), "messages[0].content");
        assert_eq!(at(r#"[{"role":"user","content":7}]"#), "messages[0].content");
        assert_eq!(at(r#"[{"role":"clown","content":"x"}]"#), "messages[0].role");
        assert_eq!(at(r#"[{"role":"assistant","content":"x"}]"#), "messages");
        assert_eq!(
            at(r#"[{"role":"user","content":[{"type":"image_url"}]}]"#),
            "messages[0].content[0].type"
        );
    }

    #[test]
    fn long_histories_and_messages_are_taken() {
        let turn = r#"{"role":"user","content":"x"},{"role":"assistant","content":"y"},"#;
        let long = format!(
            r#"[{}{{"role":"user","content":"{}"}}]"#,
            turn.repeat(500),
            "word ".repeat(20_000)
        );
        assert!(read(with(&long, "").as_bytes()).is_ok());
    }
}
