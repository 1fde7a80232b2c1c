//! Parameters of OpenAI's API that change what an answer is. This server takes
//! them at the value that asks for nothing special and refuses any other: what
//! it cannot keep it does not promise.

use serde_json::{Value, json};

use crate::json::{Any, Faults, Fields, Json, Member, whole};

/// A parameter and the values that ask for nothing special.
pub(super) struct Unsupported {
    /// As it is declared.
    pub(super) member: Member<Any>,
    /// Whether it can be kept.
    kept: fn(&Json<'_>) -> bool,
    /// What it has to be, in words that follow its name.
    must: &'static str,
}

impl Unsupported {
    const fn new(
        name: &'static str,
        schema: fn() -> Value,
        kept: fn(&Json<'_>) -> bool,
        must: &'static str,
    ) -> Self {
        let member = Any::optional(name, schema, "Taken at its default alone.");
        Self { member, kept, must }
    }
}

/// `n`
pub(super) const N: Unsupported = Unsupported::new(
    "n",
    || json!({"const": 1}),
    |n| matches!(n, Json::Number(n) if whole(n) == Some(1)),
    "must be 1: there is one answer to a request",
);
/// `logprobs`
pub(super) const LOGPROBS: Unsupported = Unsupported::new(
    "logprobs",
    || json!({"const": false}),
    |flag| *flag == Json::Bool(false),
    "must be false: an answer made of quotes has no probabilities",
);
/// `top_logprobs`
pub(super) const TOP_LOGPROBS: Unsupported = Unsupported::new(
    "top_logprobs",
    || json!({"const": 0}),
    |n| matches!(n, Json::Number(n) if whole(n) == Some(0)),
    "must be 0: an answer made of quotes has no probabilities",
);
/// `modalities`
pub(super) const MODALITIES: Unsupported = Unsupported::new(
    "modalities",
    || json!({"type": "array", "items": {"const": "text"}}),
    |list| matches!(list, Json::Array(items) if items.iter().all(|item| is(item, "text"))),
    "must be [\"text\"]: answers are text",
);
/// `response_format`
pub(super) const RESPONSE_FORMAT: Unsupported = Unsupported::new(
    "response_format",
    || of_type("text"),
    |format| has_type(format, "text"),
    "must be {\"type\": \"text\"}: answers are quotes of the sources",
);
/// `tool_choice`
pub(super) const TOOL_CHOICE: Unsupported = Unsupported::new(
    "tool_choice",
    || json!({"enum": ["auto", "none"]}),
    |choice| is(choice, "auto") || is(choice, "none"),
    "must be \"auto\" or \"none\": this server answers and calls no tools",
);
/// `function_call`
pub(super) const FUNCTION_CALL: Unsupported =
    Unsupported { member: TOOL_CHOICE.member.named("function_call"), ..TOOL_CHOICE };
/// `best_of`
pub(super) const BEST_OF: Unsupported = Unsupported { member: N.member.named("best_of"), ..N };
/// `echo`
pub(super) const ECHO: Unsupported = Unsupported::new(
    "echo",
    || json!({"const": false}),
    |flag| *flag == Json::Bool(false),
    "must be false: an answer is quotes of the sources and not the prompt",
);
/// `suffix`
pub(super) const SUFFIX: Unsupported = never("suffix", "cannot be used: answers are quotes");
/// `logprobs` of the older API, which is a number
pub(super) const LOGPROBS_COUNT: Unsupported =
    never("logprobs", "cannot be used: an answer made of quotes has no probabilities");
/// `tools`
pub(super) const TOOLS: Unsupported = list("tools");
/// `functions`
pub(super) const FUNCTIONS: Unsupported = list("functions");

/// `previous_response_id`
pub(super) const PREVIOUS_RESPONSE_ID: Unsupported = never(
    "previous_response_id",
    "cannot be used: this server keeps no responses; send the earlier turns in `input`",
);
/// `conversation`
pub(super) const CONVERSATION: Unsupported = never(
    "conversation",
    "cannot be used: this server keeps no conversations; send the earlier turns in `input`",
);
/// `prompt`
pub(super) const PROMPT: Unsupported =
    never("prompt", "cannot be used: this server keeps no prompts");
/// `expires_after`
pub(super) const EXPIRES_AFTER: Unsupported = never(
    "expires_after",
    "cannot be used: nothing expires here; delete it when its time has come",
);
/// `background`
pub(super) const BACKGROUND: Unsupported = Unsupported::new(
    "background",
    || json!({"const": false}),
    |flag| *flag == Json::Bool(false),
    "must be false: this server keeps no responses to be fetched later",
);
/// `text`
pub(super) const TEXT: Unsupported = Unsupported::new(
    "text",
    || json!({"type": "object", "properties": {"format": of_type("text")}}),
    |text| match text {
        Json::Object(members) => members.iter().all(|(name, value)| {
            name != "format" || *value == Json::Null || has_type(value, "text")
        }),
        _ => false,
    },
    "must have the format {\"type\": \"text\"}: answers are quotes of the sources",
);

/// A parameter that has no harmless value.
const fn never(name: &'static str, must: &'static str) -> Unsupported {
    Unsupported::new(name, || json!({"type": "null"}), |_| false, must)
}

/// Tools may be offered: a model that is free to choose need not call one.
const fn list(name: &'static str) -> Unsupported {
    Unsupported::new(
        name,
        || json!({"type": "array"}),
        |list| matches!(list, Json::Array(_)),
        "must be an array",
    )
}

/// Whether a value is this word.
pub(super) fn is(value: &Json<'_>, word: &str) -> bool {
    matches!(value, Json::String(text) if text == word)
}

/// Whether a value is an object with this `type`.
pub(super) fn has_type(value: &Json<'_>, word: &str) -> bool {
    match value {
        Json::Object(members) => {
            members.iter().any(|(name, value)| name == "type" && is(value, word))
        }
        _ => false,
    }
}

/// An object with this `type`, as JSON Schema.
pub(super) fn of_type(word: &str) -> Value {
    json!({"type": "object", "properties": {"type": {"const": word}}, "required": ["type"]})
}

/// Notes what cannot be kept.
pub(super) fn check(list: &[Unsupported], fields: &mut Fields<'_, '_>, faults: &mut Faults) {
    for unsupported in list {
        if let Some(value) = fields.take(unsupported.member, faults)
            && !(unsupported.kept)(&value)
        {
            fields.fault(unsupported.member, unsupported.must, faults);
        }
    }
}
