//! `POST /v1/responses`: what it takes.

use serde_json::{Value, json};

use super::conversation::{self, Conversation, Speaker};
use super::file_search::{self, FileSearch, TOOLS};
use super::metadata::METADATA;
use super::unsupported::{self, Unsupported};
use crate::json::{
    self, Any, Faults, Field, Fields, Flag, Json, Location, Member, Text, Whole, Word,
};
use crate::limits;
use crate::problem::Problem;
use crate::resource::{rules, search, words};

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub struct ResponseRequest {
    /// The model: `ragtime/{collection}`, or any where `file_search` names the
    /// collection.
    pub model: String,
    /// What was said and what is asked.
    pub conversation: Conversation,
    /// The tool that names a collection.
    pub file_search: Option<FileSearch>,
    /// Whether the passages come with the answer.
    pub include_results: bool,
    /// Whether the answer comes as events.
    pub stream: bool,
    /// The most tokens that the answer may have.
    pub max_output_tokens: Option<u32>,
    /// A filter on metadata, as JSON.
    pub filter: Option<String>,
    /// By which generator.
    pub generator: Option<String>,
    /// What the answer repeats.
    pub echo: Echo,
}

/// Members of the request that stand in the answer too.
#[derive(Debug, PartialEq, Eq)]
pub struct Echo {
    /// The rules of the application; this server has its own.
    pub instructions: Option<String>,
    /// The client's own notes, as JSON.
    pub metadata: String,
    /// The tools, as JSON.
    pub tools: String,
    /// How tools are chosen, as JSON.
    pub tool_choice: String,
}

/// Members that stay at their defaults.
const DEFAULTS: [Unsupported; 7] = [
    unsupported::PREVIOUS_RESPONSE_ID,
    unsupported::CONVERSATION,
    unsupported::PROMPT,
    unsupported::BACKGROUND,
    unsupported::TEXT,
    unsupported::TOP_LOGPROBS,
    unsupported::MODALITIES,
];

const MODEL: Member<Text> = Text::required(
    "model",
    &rules::MODEL,
    "`ragtime/{collection}`; any name where the tool `file_search` names the collection.",
);
const INPUT: Member<Any> = Any::required(
    "input",
    input_schema,
    "The question, or the conversation with the question as the user's last message.",
);
const INSTRUCTIONS: Member<Any> =
    Any::optional("instructions", || json!({"type": "string"}), "Not used.");
const STREAM: Member<Flag> =
    Flag::optional("stream", "Answer as server-sent events. Default: false.");
const MAX_OUTPUT_TOKENS: Member<Whole> = Whole::optional(
    "max_output_tokens",
    1,
    u32::MAX,
    "The most tokens of the answer, counted as the embedding model counts.",
);

const TOOL_CHOICE: Member<Any> = Any::optional(
    "tool_choice",
    || json!({"enum": ["auto", "none"]}),
    "`auto` or `none`; with the tool `file_search` also `required` and that tool.",
);
const INCLUDE: Member<Any> = Any::optional(
    "include",
    || json!({"type": "array", "items": {"type": "string"}}),
    "With `file_search_call.results` the passages come too.",
);
const GENERATOR: Member<Text> =
    Text::optional("generator", &rules::GENERATOR, "Who answers. Default: the operator's setting.");
/// Members of the body. Others are left unread, as those that tune sampling.
pub const FIELDS: &[Field] = &[
    MODEL.field(),
    INPUT.field(),
    INSTRUCTIONS.field(),
    STREAM.field(),
    MAX_OUTPUT_TOKENS.field(),
    TOOLS.field(),
    TOOL_CHOICE.field(),
    INCLUDE.field(),
    METADATA.field(),
    search::FILTER.field(),
    GENERATOR.field(),
    unsupported::PREVIOUS_RESPONSE_ID.member.field(),
    unsupported::CONVERSATION.member.field(),
    unsupported::PROMPT.member.field(),
    unsupported::BACKGROUND.member.field(),
    unsupported::TEXT.member.field(),
    unsupported::TOP_LOGPROBS.member.field(),
    unsupported::MODALITIES.member.field(),
];

const ROLE: Member<Word> = Word::optional("role", || words(Speaker::WORDS), "Who says it.");
const CONTENT: Member<Any> =
    Any::optional("content", conversation::content_schema, "What is said.");
const TYPE: Member<Any> = Any::optional("type", || json!({"type": "string"}), "Default: message.");
const OUTPUT: Member<Any> =
    Any::optional("output", conversation::content_schema, "What a tool answered.");
const MESSAGE: &[Field] = &[ROLE.field(), CONTENT.field(), TYPE.field(), OUTPUT.field()];

fn input_schema() -> Value {
    let text = json!({"type": "string", "maxLength": limits::MAX_MESSAGE_BYTES, "pattern": conversation::VISIBLE});
    let message = json!({
        "type": "object", "properties": {"role": {"const": "user"}, "content": text},
        "required": ["role", "content"], "additionalProperties": false,
    });
    let item = json::lenient_object(MESSAGE);
    // What is no message may be anything: a call, its result, a reference.
    let other = json!({
        "required": ["type"],
        "properties": {"type": {"type": "string", "not": {"const": "message"}}},
    });
    let item = json::any_of(item, json!([conversation::spoken(), conversation::silent(), other]));
    json!({"anyOf": [text, {
        "type": "array", "minItems": 1, "maxItems": limits::MAX_MESSAGES,
        "items": item, "contains": message,
    }]})
}

/// Reads the body.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<ResponseRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, FIELDS, faults)?;
        let model = fields.string(MODEL, faults);
        let conversation = input(&mut fields, faults);
        let stream = fields.boolean(STREAM, faults).unwrap_or(false);
        let max_output_tokens = fields.integer(MAX_OUTPUT_TOKENS, faults);
        let filter = fields.tree(search::FILTER, faults);
        let generator = fields.string(GENERATOR, faults).map(Into::into);
        let instructions = instructions(&mut fields, faults);
        let metadata = fields.tree(METADATA, faults).unwrap_or_else(|| "{}".to_owned());
        let include_results = includes_results(&mut fields, faults);
        let (tools, file_search) = file_search::read(&mut fields, faults);
        let tool_choice = tool_choice(&mut fields, file_search.is_some(), faults);
        unsupported::check(&DEFAULTS, &mut fields, faults);
        let echo = Echo { instructions, metadata, tools, tool_choice };
        Some(ResponseRequest {
            model: model?.into(),
            conversation: conversation?,
            file_search,
            include_results,
            stream,
            max_output_tokens,
            filter,
            generator,
            echo,
        })
    })
}

fn input(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Conversation> {
    let input = fields.take(INPUT, faults)?;
    let place = fields.location(INPUT);
    let said = match input {
        text @ Json::String(_) => {
            vec![(Speaker::User, conversation::content(text, &place, faults)?)]
        }
        Json::Array(items) if items.len() <= limits::MAX_MESSAGES => {
            let mut said = Vec::with_capacity(items.len());
            for (index, one) in items.into_iter().enumerate() {
                said.extend(item(one, Location::Item(&place, index), faults)?);
            }
            said
        }
        other => {
            let most = limits::MAX_MESSAGES;
            let detail = format!("must be a string or 1 to {most} items, not {}", other.kind());
            faults.push(place.fault(detail));
            return None;
        }
    };
    let conversation = Conversation::of(said);
    if conversation.is_none() {
        faults.push(place.fault("must hold a message of the user that is not blank"));
    }
    conversation
}

/// What an item says. Those of tools' calls and of reasoning, which clients send
/// back with the answer they were part of, say nothing.
fn item(
    json: Json<'_>,
    place: Location<'_>,
    faults: &mut Faults,
) -> Option<Option<(Speaker, String)>> {
    let mut fields = Fields::open_lenient(json, place, MESSAGE, faults)?;
    let kind = match fields.take(TYPE, faults) {
        Some(Json::String(kind)) => kind.into_owned(),
        _ => "message".to_owned(),
    };
    let (speaker, member) = match kind.as_str() {
        "message" => {
            let speaker = fields.choice(ROLE, Speaker::WORDS, faults);
            if speaker.is_none() && faults.is_empty() {
                fields.fault(ROLE, "is required", faults);
            }
            (speaker?, CONTENT)
        }
        "function_call_output" => (Speaker::Tool, OUTPUT),
        // Vercel's client sends a reference in place of each answer that it got. Of
        // an item that is not kept nothing more can be said.
        _ => return Some(None),
    };
    match fields.take(member, faults) {
        Some(content) => {
            let said = conversation::content(content, &fields.location(member), faults)?;
            Some(Some((speaker, said)))
        }
        None if speaker.may_be_silent() => Some(None),
        None => {
            fields.fault(member, "is required", faults);
            None
        }
    }
}

fn instructions(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<String> {
    match fields.take(INSTRUCTIONS, faults)? {
        Json::String(text) => Some(text.into_owned()),
        other => {
            let detail = format!("must be a string, not {}", other.kind());
            fields.fault(INSTRUCTIONS, detail, faults);
            None
        }
    }
}

fn includes_results(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> bool {
    match fields.take(INCLUDE, faults) {
        None => false,
        Some(Json::Array(items)) => {
            items.iter().any(|item| unsupported::is(item, "file_search_call.results"))
        }
        Some(other) => {
            fields.fault(INCLUDE, format!("must be an array, not {}", other.kind()), faults);
            false
        }
    }
}

/// How tools are chosen. The search is always done, so who requires it gets it.
fn tool_choice(fields: &mut Fields<'_, '_>, searches: bool, faults: &mut Faults) -> String {
    let Some(choice) = fields.take(TOOL_CHOICE, faults) else { return "\"auto\"".to_owned() };
    let free = unsupported::is(&choice, "auto") || unsupported::is(&choice, "none");
    let of_search = unsupported::is(&choice, "required")
        || unsupported::has_type(&choice, "file_search")
        || unsupported::has_type(&choice, "allowed_tools");
    if !(free || (searches && of_search)) {
        let detail = "must be \"auto\" or \"none\", or \"required\" with the tool `file_search`: \
                      this server calls no other tools";
        fields.fault(TOOL_CHOICE, detail, faults);
    }
    json::encode(&choice)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn place(body: &str) -> String {
        read(body.as_bytes()).unwrap_err().faults.into_iter().next().unwrap().place().unwrap()
    }

    #[test]
    fn a_question_and_a_conversation_are_read() {
        let one = read(br#"{"model":"ragtime/a","input":"Who?"}"#).unwrap();
        assert_eq!(one.conversation.question, "Who?");
        let body = r#"{"model":"gpt-4o","instructions":"Be brief.","stream":true,"max_output_tokens":50,
            "input":[{"role":"developer","content":"x"},{"role":"user","content":"Who was Joplin?"},
              {"type":"file_search_call","id":"fs_1","status":"completed","queries":["Joplin"],"results":null},
              {"type":"reasoning","id":"rs_1","summary":[]},{"type":"item_reference","id":"msg_0"},
              {"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[
                {"type":"output_text","text":"A composer.","annotations":[{"type":"file_citation"}]}]},
              {"type":"function_call_output","call_id":"c","output":"1868"},
              {"role":"user","content":[{"type":"input_text","text":"What did he write?"}]}],
            "tools":[{"type":"function","name":"f"},{"type":"file_search","vector_store_ids":["vs_papers"],"max_num_results":3}],
            "tool_choice":"required","include":["file_search_call.results"],"metadata":{"a":"b"},
            "store":true,"reasoning":{"effort":"low"},"text":{"format":{"type":"text"},"verbosity":"low"},"truncation":"auto"}"#;
        let request = read(body.as_bytes()).unwrap();
        assert_eq!(request.conversation.question, "What did he write?");
        let before: Vec<_> =
            request.conversation.before().into_iter().map(|turn| turn.content).collect();
        assert_eq!(before, ["Who was Joplin?", "A composer.", "A tool returned:\n1868"]);
        let search = request.file_search.unwrap();
        assert_eq!((search.collection.as_str(), search.max_num_results), ("papers", Some(3)));
        assert!(request.stream && request.include_results);
        assert_eq!(request.echo.metadata, r#"{"a":"b"}"#);
    }

    #[test]
    fn what_cannot_be_kept_is_named() {
        let with = |more: &str| format!(r#"{{"model":"ragtime/a","input":"x",{more}}}"#);
        for (name, value) in [
            ("previous_response_id", r#""resp_1""#),
            ("conversation", r#""conv_1""#),
            ("background", "true"),
            ("text", r#"{"format":{"type":"json_schema"}}"#),
            ("tool_choice", r#""required""#),
            ("tools[0].vector_store_ids", r#"0"#),
        ] {
            let body = match name.starts_with("tools") {
                true => with(r#""tools":[{"type":"file_search","vector_store_ids":["a","b"]}]"#),
                false => with(&format!(r#""{name}":{value}"#)),
            };
            assert_eq!(place(&body), name, "{value}");
        }
        assert_eq!(place(r#"{"model":"m"}"#), "input");
        assert_eq!(place(r#"{"model":"m","input":[]}"#), "input");
        assert_eq!(
            place(r#"{"model":"m","input":[{"role":"user","content":[{"type":"input_image"}]}]}"#),
            "input[0].content[0].type"
        );
    }
}
