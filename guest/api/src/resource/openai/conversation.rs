//! What was said, in the formats of OpenAI's API: messages of a chat and items
//! of a response's input hold the same roles and parts.

use serde_json::json;

use crate::json::{self, Any, Faults, Field, Json, Location, Member, Word};
use crate::limits;
use crate::prompt::{Message, Role};
use crate::resource::words;

/// Who says a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// Rules of the application; this server has its own.
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A program that the model called.
    Tool,
}

impl Speaker {
    /// As clients name them.
    pub(super) const WORDS: &[(&str, Self)] = &[
        ("system", Self::System),
        ("developer", Self::System),
        ("user", Self::User),
        ("assistant", Self::Assistant),
        ("tool", Self::Tool),
        ("function", Self::Tool),
    ];

    /// Whether a message without content says something all the same: an
    /// assistant may call a tool instead of speaking, and a tool may find nothing.
    pub(super) fn may_be_silent(self) -> bool {
        matches!(self, Self::Assistant | Self::Tool)
    }
}

/// A message that says something, as JSON Schema.
pub(super) fn spoken() -> serde_json::Value {
    json!({
        "required": ["role", "content"],
        "properties": {
            "role": {"type": "string"}, "content": {"type": ["string", "array"]},
        },
    })
}

/// A message of whoever may be silent, as JSON Schema.
pub(super) fn silent() -> serde_json::Value {
    let words = Speaker::WORDS.iter().filter(|(_, speaker)| speaker.may_be_silent());
    let words: Vec<_> = words.map(|(word, _)| word).collect();
    json!({"required": ["role"], "properties": {"role": {"enum": words}}})
}

/// Questions before the last that are searched for with it. A subject that was named
/// longer ago is hardly meant.
const MAX_EARLIER_QUESTIONS: usize = 4;

/// What was said and what is asked now.
#[derive(Debug, PartialEq, Eq)]
pub struct Conversation {
    /// The last message of the user that is not blank, at most
    /// [`limits::MAX_QUERY_BYTES`] of it: its start and its end.
    pub question: String,
    /// What user, assistant and tools said before it, oldest first.
    earlier: Vec<(Speaker, String)>,
}

impl Conversation {
    /// Of messages, oldest first. What follows the question and what `system`
    /// says is left out. None where the user says nothing.
    pub(super) fn of(mut messages: Vec<(Speaker, String)>) -> Option<Self> {
        let asks = |(speaker, text): &(Speaker, String)| {
            *speaker == Speaker::User && !text.trim().is_empty()
        };
        let last = messages.iter().rposition(asks)?;
        messages.truncate(last + 1);
        let (_, question) = messages.pop()?;
        messages.retain(|(speaker, text)| *speaker != Speaker::System && !text.trim().is_empty());
        Some(Self { question: both_ends(question, limits::MAX_QUERY_BYTES), earlier: messages })
    }

    /// What to search for, and what is asked where nobody reads the conversation: the
    /// question, with those before it up to one that can be understood alone, as it may
    /// say "it" for what they named.
    pub fn search_text(&self) -> String {
        let mut text = self.question.clone();
        let mut alone = ragtime_text::stands_alone(&self.question);
        let asked = self.earlier.iter().rev().filter(|(speaker, _)| *speaker == Speaker::User);
        for (_, before) in asked.take(MAX_EARLIER_QUESTIONS) {
            let room = limits::MAX_QUERY_BYTES.saturating_sub(text.len() + 1);
            if alone || room == 0 {
                break;
            }
            alone = ragtime_text::stands_alone(before);
            text = format!("{text} {}", start(before, room)).trim().to_owned();
        }
        text
    }

    /// The turns before the question, oldest first: the last of them, of bounded length.
    pub fn before(&self) -> Vec<Message> {
        let (mut turns, mut room) = (Vec::new(), limits::MAX_CONVERSATION_BYTES);
        for (speaker, text) in self.earlier.iter().rev() {
            if room == 0 {
                break;
            }
            let text = start(text, room);
            room = room.saturating_sub(text.len());
            turns.push(match speaker {
                Speaker::User => Message { role: Role::User, content: text.to_owned() },
                // An endpoint takes the role of a tool only after a call of it, which
                // is not among what was said.
                Speaker::Tool => {
                    Message { role: Role::User, content: format!("A tool returned:\n{text}") }
                }
                Speaker::System | Speaker::Assistant => {
                    Message { role: Role::Assistant, content: text.to_owned() }
                }
            });
        }
        turns.reverse();
        turns
    }
}

/// At most so many bytes of a text's start, whole characters.
fn start(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

/// A text of at most so many bytes: the start and the end of a longer one, as
/// who pastes a text asks before it or after it.
fn both_ends(text: String, bytes: usize) -> String {
    if text.len() <= bytes {
        return text;
    }
    const GAP: &str = " … ";
    let half = bytes.saturating_sub(GAP.len()) / 2;
    let end = text.ceil_char_boundary(text.len().saturating_sub(half));
    format!("{}{GAP}{}", start(&text, half), text.get(end..).unwrap_or_default())
}

const TYPE: Member<Word> = Word::required("type", || words(PARTS), "The kind of part.");
const TEXT: Member<Any> = Any::optional("text", text_schema, "The text.");
const REFUSAL: Member<Any> = Any::optional("refusal", text_schema, "Why the model did not answer.");
const PART: &[Field] = &[TYPE.field(), TEXT.field(), REFUSAL.field()];

/// Kinds of parts, and where their text stands.
const PARTS: &[(&str, Member<Any>)] =
    &[("text", TEXT), ("input_text", TEXT), ("output_text", TEXT), ("refusal", REFUSAL)];

/// Matches a text that is not blank.
pub(super) const VISIBLE: &str = r"[^\s\u0000-\u001f\u007f-\u009f]";

fn text_schema() -> serde_json::Value {
    json!({"type": "string", "maxLength": limits::MAX_MESSAGE_BYTES})
}

/// What is said, as JSON Schema.
pub(super) fn content_schema() -> serde_json::Value {
    let part = json::lenient_object(PART);
    let holding = |member: Member<Any>| {
        let member = member.name();
        let words: Vec<_> =
            PARTS.iter().filter(|(_, of)| of.name() == member).map(|(word, _)| word).collect();
        json!({
            "required": ["type", member],
            "properties": {"type": {"enum": words}, member: {"type": "string"}},
        })
    };
    let part = json::any_of(part, json!([holding(TEXT), holding(REFUSAL)]));
    json!({"anyOf": [
        text_schema(),
        {"type": "array", "maxItems": limits::MAX_MESSAGE_PARTS, "items": part},
    ]})
}

/// What is said: a string, or parts that are text.
pub(super) fn content(
    content: Json<'_>,
    place: &Location<'_>,
    faults: &mut Faults,
) -> Option<String> {
    match content {
        Json::String(said) => text(&said, place, faults),
        Json::Array(parts) if parts.len() <= limits::MAX_MESSAGE_PARTS => {
            let mut said = String::new();
            for (index, part) in parts.into_iter().enumerate() {
                said.push_str(&self::part(part, Location::Item(place, index), faults)?);
            }
            Some(said)
        }
        Json::Array(_) => {
            let most = limits::MAX_MESSAGE_PARTS;
            faults.push(place.fault(format!("must have at most {most} parts")));
            None
        }
        other => {
            let detail = format!("must be a string or an array of parts, not {}", other.kind());
            faults.push(place.fault(detail));
            None
        }
    }
}

fn part(part: Json<'_>, place: Location<'_>, faults: &mut Faults) -> Option<String> {
    let mut fields = json::Fields::open_lenient(part, place, PART, faults)?;
    let member = fields.choice(TYPE, PARTS, faults)?;
    match fields.take(member, faults) {
        Some(Json::String(said)) => text(&said, &fields.location(member), faults),
        _ => {
            fields.fault(member, "must be a string", faults);
            None
        }
    }
}

/// A text of bounded length. Control characters, which terminals and old
/// documents leave in what is pasted, become spaces.
fn text(said: &str, place: &Location<'_>, faults: &mut Faults) -> Option<String> {
    if said.len() > limits::MAX_MESSAGE_BYTES {
        let most = limits::MAX_MESSAGE_BYTES;
        faults.push(place.fault(format!("must be at most {most} bytes")));
        return None;
    }
    let unprintable = |char: char| char.is_control() && !matches!(char, '\t' | '\n' | '\r');
    Some(said.replace(unprintable, " "))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn turns(said: &[(Role, &str)]) -> Vec<Message> {
        let turn = |(role, content): &(Role, &str)| Message {
            role: *role,
            content: (*content).to_owned(),
        };
        said.iter().map(turn).collect()
    }

    #[test]
    fn a_long_conversation_is_told_from_its_end() {
        let long = "é".repeat(limits::MAX_CONVERSATION_BYTES);
        let messages =
            said(&[(Speaker::User, &long), (Speaker::Assistant, "Yes."), (Speaker::User, "Why?")]);
        let before = Conversation::of(messages).unwrap().before();
        let bytes: usize = before.iter().map(|turn| turn.content.len()).sum();
        assert!(bytes <= limits::MAX_CONVERSATION_BYTES, "{bytes}");
        assert_eq!(before.last(), turns(&[(Role::Assistant, "Yes.")]).last());
    }

    fn said(messages: &[(Speaker, &str)]) -> Vec<(Speaker, String)> {
        messages.iter().map(|(speaker, text)| (*speaker, (*text).to_owned())).collect()
    }

    #[test]
    fn the_question_is_what_the_user_said_last() {
        let conversation = Conversation::of(said(&[
            (Speaker::System, "Be brief."),
            (Speaker::User, "Who was Joplin?"),
            (Speaker::Assistant, ""),
            (Speaker::Tool, "born 1868"),
            (Speaker::Assistant, "A composer."),
            (Speaker::User, "What did he write?"),
            (Speaker::Assistant, "Let me look."),
            (Speaker::User, "  "),
        ]))
        .unwrap();
        assert_eq!(conversation.question, "What did he write?");
        let before = [
            (Role::User, "Who was Joplin?"),
            (Role::User, "A tool returned:\nborn 1868"),
            (Role::Assistant, "A composer."),
        ];
        assert_eq!(conversation.before(), turns(&before));
        assert_eq!(Conversation::of(said(&[(Speaker::System, "Be brief.")])), None);
    }

    #[test]
    fn a_follow_up_is_asked_with_the_question_that_it_follows() {
        let searched = |questions: &[&str]| {
            let asked: Vec<_> = questions.iter().map(|text| (Speaker::User, *text)).collect();
            Conversation::of(said(&asked)).unwrap().search_text()
        };
        let quay = "When was the quay finished?";
        assert_eq!(
            searched(&["Who was Joplin?", quay, "What did it cost?", "And who built it?"]),
            format!("And who built it? What did it cost? {quay}")
        );
        assert_eq!(
            searched(&[quay, "Which model embeds the text?"]),
            "Which model embeds the text?"
        );
    }

    #[test]
    fn a_long_message_is_asked_by_its_start_and_its_end() {
        let long = format!("What is this? {} Say it in é.", "é".repeat(60_000));
        let conversation = Conversation::of(said(&[(Speaker::User, &long)])).unwrap();
        let question = &conversation.question;
        assert!(question.len() <= limits::MAX_QUERY_BYTES && question.len() > 8_000);
        assert!(question.starts_with("What is this?") && question.ends_with("Say it in é."));
        assert!(crate::resource::rules::query(&conversation.search_text()).is_ok());
    }
}
