//! An answer as the events of OpenAI's API: pieces of the text as they come,
//! citations with the last one, the usage if asked for, and `[DONE]`.

use axum::body::Bytes;
use futures::future::ready;
use futures::stream::{self, StreamExt};
use ragtime_api::json;
use ragtime_api::problem::Problem;
use ragtime_api::resource::openai::chat::{ChunkChoice, CompletionChunk, Delta, Usage};
use ragtime_api::resource::openai::completions;
use ragtime_api::resource::query;

use super::NOTHING;
use super::capped::Capped;
use crate::bindings::generation::{self, Completion, Event, Quoted};
use crate::routes::answer::{Answering, Known, cut_off, failed};
use crate::routes::events::Events;

/// What all pieces of an answer have in common.
pub(super) struct Head {
    /// Unique.
    pub(super) id: String,
    /// Seconds since the Unix epoch.
    pub(super) created: u64,
    /// The model that was asked.
    pub(super) model: String,
    /// Whether the usage comes last.
    pub(super) include_usage: bool,
    /// The most tokens that the answer may have.
    pub(super) max_tokens: Option<u32>,
    /// The format of the events.
    pub(super) form: Form,
}

/// The formats of an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A message of a chat.
    Chat,
    /// A text, as before there were chats.
    Text,
}

struct StreamedChat {
    answering: Answering,
    head: Head,
    events: Capped,
    quotes: Vec<Quoted>,
    /// Whether any text was sent.
    spoke: bool,
}

/// The events of an answer. Dropping the stream drops the generator's, and the
/// host cancels the work behind it.
pub(super) async fn stream(answering: Answering, head: Head) -> Result<Events, Problem> {
    let mut first = String::new();
    let role = Delta { role: Some("assistant"), content: Some(""), ..Delta::default() };
    push(&mut first, &head, role, None);
    if answering.hits.is_empty() {
        let usage = generation::Usage { input_tokens: 0, output_tokens: 0 };
        let generator = answering.generator.clone();
        let completion = Completion { abstained: true, generator, usage };
        push(&mut first, &head, Delta { content: Some(NOTHING), ..Delta::default() }, None);
        end(&mut first, &head, &[], &completion, &Known::nothing());
        return Ok(stream::once(ready(Ok(first.into()))).boxed());
    }
    let events = Capped::start(&answering, head.max_tokens).await?;
    let answer = StreamedChat { answering, head, events, quotes: Vec::new(), spoke: false };
    let rest = stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        let (out, ended) = answer.step().await;
        Some((Ok(Bytes::from(out)), (!ended).then_some(answer)))
    });
    Ok(stream::once(ready(Ok(first.into()))).chain(rest).boxed())
}

impl StreamedChat {
    /// What the next events become, and whether they are the last.
    async fn step(&mut self) -> (String, bool) {
        let mut out = String::new();
        let Some(batch) = self.events.next(&self.answering).await else {
            return (self.error(out, &cut_off()), true);
        };
        for event in batch {
            match event {
                Event::Delta(text) => {
                    self.spoke |= !text.is_empty();
                    let delta = Delta { content: Some(&text), ..Delta::default() };
                    push(&mut out, &self.head, delta, None);
                }
                Event::Quote(quoted) => self.quotes.push(quoted),
                Event::Done(completion) => return (self.done(out, &completion).await, true),
                Event::Failed(reason) => return (self.error(out, &failed(reason)), true),
            }
        }
        (out, false)
    }

    async fn done(&mut self, mut out: String, completion: &Completion) -> String {
        if !self.spoke {
            push(&mut out, &self.head, Delta { content: Some(NOTHING), ..Delta::default() }, None);
        }
        let citations = self.answering.cite(&self.quotes).await;
        end(&mut out, &self.head, &citations, completion, &self.events.known);
        out
    }

    /// OpenAI's clients raise an error for an event that holds `error`.
    fn error(&self, mut out: String, problem: &Problem) -> String {
        let origin = &self.answering.origin;
        push_data(&mut out, &problem.json(&origin.path, &origin.request_id));
        out
    }
}

fn end(
    out: &mut String,
    head: &Head,
    citations: &[query::Citation],
    completion: &Completion,
    known: &Known,
) {
    let last = Delta {
        citations: Some(citations),
        abstained: Some(completion.abstained),
        confidence: known.confidence,
        statements: &known.statements,
        ..Delta::default()
    };
    push(out, head, last, Some(known.finish_reason));
    if head.include_usage {
        let usage = Usage::from(query::Usage::from(completion.usage));
        push_chunk(out, head, Vec::new(), Some(usage));
    }
    push_data(out, "[DONE]");
}

fn push(out: &mut String, head: &Head, delta: Delta<'_>, finish_reason: Option<&'static str>) {
    push_chunk(
        out,
        head,
        vec![ChunkChoice { index: 0, delta, finish_reason, logprobs: None }],
        None,
    );
}

fn push_chunk(out: &mut String, head: &Head, choices: Vec<ChunkChoice<'_>>, usage: Option<Usage>) {
    match head.form {
        Form::Chat => push_message(out, head, choices, usage),
        // A text has nobody who says it.
        Form::Text if choices.iter().any(|choice| choice.delta.role.is_some()) => {}
        Form::Text => push_text(out, head, choices, usage),
    }
}

fn push_text(out: &mut String, head: &Head, choices: Vec<ChunkChoice<'_>>, usage: Option<Usage>) {
    let chunk = completions::Completion {
        id: &head.id,
        object: "text_completion",
        created: head.created,
        model: &head.model,
        choices: choices.into_iter().map(text_of).collect(),
        usage: head.include_usage.then_some(usage),
    };
    push_data(out, &json::encode(&chunk));
}

fn text_of<'a>(choice: ChunkChoice<'a>) -> completions::Choice<'a> {
    completions::Choice {
        index: choice.index,
        text: choice.delta.content.unwrap_or_default(),
        finish_reason: choice.finish_reason,
        logprobs: None,
        citations: choice.delta.citations,
        abstained: choice.delta.abstained,
    }
}

fn push_message(
    out: &mut String,
    head: &Head,
    choices: Vec<ChunkChoice<'_>>,
    usage: Option<Usage>,
) {
    let chunk = CompletionChunk {
        id: &head.id,
        object: "chat.completion.chunk",
        created: head.created,
        model: &head.model,
        choices,
        usage: head.include_usage.then_some(usage),
    };
    push_data(out, &json::encode(&chunk));
}

fn push_data(out: &mut String, data: &str) {
    for part in ["data: ", data, "\n\n"] {
        out.push_str(part);
    }
}
