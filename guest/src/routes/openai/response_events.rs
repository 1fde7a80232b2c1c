//! An answer as the events of `POST /v1/responses`: each with its type and its
//! number, the last one with the whole answer.

use axum::body::Bytes;
use futures::future::ready;
use futures::stream::{self, StreamExt};
use ragtime_api::problem::Problem;
use ragtime_api::resource::openai::response::{Annotation, Item, Part, ResponseError};
use ragtime_api::resource::query;
use ragtime_api::sse;
use serde_json::{Value, json};

use super::NOTHING;
use super::capped::Capped;
use super::response_head::{Head, annotation};
use crate::bindings::generation::{Completion, Event, Usage};
use crate::routes::answer::{Answering, cut_off, failed};
use crate::routes::events::Events;

struct StreamedResponse {
    answering: Answering,
    head: Head,
    events: Capped,
    said: Said,
}

/// What was sent.
#[derive(Default)]
struct Said {
    /// The number of the next event.
    next: u64,
    text: String,
    annotations: Vec<Annotation>,
}

/// The events of an answer. Dropping the stream drops the generator's, and the
/// host cancels the work behind it.
pub(super) async fn stream(answering: Answering, head: Head) -> Result<Events, Problem> {
    let (mut out, mut said) = (String::new(), Said::default());
    if answering.hits.is_empty() {
        said.begin(&mut out, &head, &answering);
        let usage = Usage { input_tokens: 0, output_tokens: 0 };
        let generator = answering.generator.clone();
        let completion = Completion { abstained: true, generator, usage };
        said.end(&mut out, &head, &answering, &completion, false);
        return Ok(stream::once(ready(Ok(out.into()))).boxed());
    }
    let events = Capped::start(&answering, head.max_tokens).await?;
    said.begin(&mut out, &head, &answering);
    let answer = StreamedResponse { answering, head, events, said };
    let rest = stream::unfold(Some(answer), async |answer| {
        let mut answer = answer?;
        let (out, ended) = answer.step().await;
        Some((Ok(Bytes::from(out)), (!ended).then_some(answer)))
    });
    Ok(stream::once(ready(Ok(out.into()))).chain(rest).boxed())
}

impl StreamedResponse {
    /// What the next events become, and whether they are the last.
    async fn step(&mut self) -> (String, bool) {
        let Self { answering, head, events, said } = self;
        let mut out = String::new();
        let Some(batch) = events.next(answering).await else {
            said.fail(&mut out, head, answering, &cut_off());
            return (out, true);
        };
        for event in batch {
            match event {
                Event::Delta(text) => said.delta(&mut out, head, &text),
                Event::Quote(quoted) => {
                    for citation in answering.cite(&[quoted]).await {
                        let index = said.text.chars().count();
                        said.cite(&mut out, head, annotation(answering, citation, index));
                    }
                }
                Event::Done(completion) => {
                    said.end(&mut out, head, answering, &completion, events.known.is_cut_short());
                    return (out, true);
                }
                Event::Failed(reason) => {
                    said.fail(&mut out, head, answering, &failed(reason));
                    return (out, true);
                }
            }
        }
        (out, false)
    }
}

impl Said {
    /// Sends an event.
    fn push(&mut self, out: &mut String, kind: &'static str, mut data: Value) {
        if let Some(members) = data.as_object_mut() {
            members.insert("type".into(), kind.into());
            members.insert("sequence_number".into(), self.next.into());
        }
        self.next += 1;
        sse::push(out, kind, &data);
    }

    /// Sends an event of the message's text.
    fn push_text(&mut self, out: &mut String, head: &Head, kind: &'static str, mut data: Value) {
        if let Some(members) = data.as_object_mut() {
            members.insert("item_id".into(), head.message("", Vec::new()).id.into());
            members.insert("output_index".into(), place(head).into());
            members.insert("content_index".into(), 0.into());
        }
        self.push(out, kind, data);
    }

    fn begin(&mut self, out: &mut String, head: &Head, answering: &Answering) {
        self.push(out, "response.created", json!({"response": head.begun()}));
        self.push(out, "response.in_progress", json!({"response": head.begun()}));
        if let (Some(begun), Some(done)) = (head.search(None), head.search(Some(answering))) {
            let id = begun.id;
            self.push(out, "response.output_item.added", json!({"output_index": 0, "item": begun}));
            for kind in [
                "response.file_search_call.in_progress",
                "response.file_search_call.searching",
                "response.file_search_call.completed",
            ] {
                self.push(out, kind, json!({"output_index": 0, "item_id": id}));
            }
            self.push(out, "response.output_item.done", json!({"output_index": 0, "item": done}));
        }
        let message = head.message("in_progress", Vec::new());
        let added = json!({"output_index": place(head), "item": message});
        self.push(out, "response.output_item.added", added);
        let part = Part::new("", &[]);
        self.push_text(out, head, "response.content_part.added", json!({"part": part}));
    }

    fn delta(&mut self, out: &mut String, head: &Head, text: &str) {
        self.text.push_str(text);
        let data = json!({"delta": text, "logprobs": []});
        self.push_text(out, head, "response.output_text.delta", data);
    }

    fn cite(&mut self, out: &mut String, head: &Head, annotation: Annotation) {
        let data = json!({"annotation_index": self.annotations.len(), "annotation": annotation});
        self.annotations.push(annotation);
        self.push_text(out, head, "response.output_text.annotation.added", data);
    }

    fn end(
        &mut self,
        out: &mut String,
        head: &Head,
        answering: &Answering,
        completion: &Completion,
        cut_short: bool,
    ) {
        if self.text.is_empty() {
            self.delta(out, head, NOTHING);
        }
        let (text, annotations) =
            (std::mem::take(&mut self.text), std::mem::take(&mut self.annotations));
        let usage = query::Usage::from(completion.usage).into();
        let response = head.ended(answering, &text, &annotations, usage, cut_short);
        let done = json!({"text": text, "logprobs": []});
        self.push_text(out, head, "response.output_text.done", done);
        let part = json!({"part": Part::new(&text, &annotations)});
        self.push_text(out, head, "response.content_part.done", part);
        if let Some(message @ Item::Message(_)) = response.output.last() {
            let done = json!({"output_index": place(head), "item": message});
            self.push(out, "response.output_item.done", done);
        }
        let kind = if cut_short { "response.incomplete" } else { "response.completed" };
        self.push(out, kind, json!({"response": response}));
    }

    fn fail(&mut self, out: &mut String, head: &Head, answering: &Answering, problem: &Problem) {
        let origin = &answering.origin;
        let entry = problem.code.entry();
        let error = ResponseError { code: entry.code, message: entry.detail };
        self.push(out, "response.failed", json!({"response": head.failed(error)}));
        // Clients that look for the error itself find it here, with all there is
        // to say of it.
        let problem: Value = serde_json::from_str(&problem.json(&origin.path, &origin.request_id))
            .unwrap_or_default();
        let data = json!({
            "code": entry.code, "message": entry.detail, "param": null, "error": problem.get("error"),
        });
        self.push(out, "error", data);
    }
}

/// The message's place among the steps.
fn place(head: &Head) -> u32 {
    u32::from(head.search(None).is_some())
}
