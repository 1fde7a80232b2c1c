//! An answer as server-sent events: `sources`, then `delta` and `citation` as
//! they come, then `usage` and `done`, or `error`.

use std::convert::Infallible;

use axum::body::Bytes;
use futures::future::ready;
use futures::stream::{self, BoxStream, StreamExt};
use ragtime_api::problem::Problem;
use ragtime_api::resource::query::{Delta, Done, Usage};
use ragtime_api::sse;
use wit_bindgen::StreamReader;

use super::answer::{Answering, Known, cut_off, failed, next, sources};
use super::search::took_ms;
use crate::bindings::generation::{self, Completion, Event};

/// Pieces of the body.
pub(super) type Events = BoxStream<'static, Result<Bytes, Infallible>>;

/// The events of an answer to a question for which nothing was found.
pub(super) fn abstained(answering: &Answering) -> Events {
    let mut out = first(answering);
    let usage = generation::Usage { input_tokens: 0, output_tokens: 0 };
    let generator = answering.generator.clone();
    end(&mut out, answering, Completion { abstained: true, generator, usage }, &Known::nothing());
    stream::once(ready(Ok(out.into()))).boxed()
}

/// The events of an answer. Dropping the stream drops the generator's, and the
/// host cancels the work behind it.
pub(super) async fn stream(answering: Answering) -> Result<Events, Problem> {
    let events = answering.start().await?;
    let first = first(&answering);
    let rest = stream::unfold(Some((answering, events)), async |state| {
        let (answering, mut events) = state?;
        let (out, ended) = step(&answering, &mut events).await;
        Some((Ok(Bytes::from(out)), (!ended).then_some((answering, events))))
    });
    Ok(stream::once(ready(Ok(first.into()))).chain(rest).boxed())
}

/// What the next events of the generator become, and whether they are the last.
async fn step(answering: &Answering, events: &mut StreamReader<Event>) -> (String, bool) {
    let mut out = String::new();
    let Some(batch) = next(events).await else {
        error(&mut out, answering, &cut_off());
        return (out, true);
    };
    for event in batch {
        match event {
            Event::Delta(text) => sse::push(&mut out, "delta", &Delta { text: &text }),
            Event::Quote(quoted) => {
                for citation in answering.cite(&[quoted]).await {
                    sse::push(&mut out, "citation", &citation);
                }
            }
            Event::Done(completion) => {
                end(&mut out, answering, completion, &answering.known());
                return (out, true);
            }
            Event::Failed(reason) => {
                error(&mut out, answering, &failed(reason));
                return (out, true);
            }
        }
    }
    (out, false)
}

fn first(answering: &Answering) -> String {
    let mut out = String::new();
    sse::push(&mut out, "sources", &sources(&answering.hits));
    out
}

fn end(out: &mut String, answering: &Answering, completion: Completion, known: &Known) {
    let Completion { abstained, generator, usage } = completion;
    sse::push(out, "usage", &Usage::from(usage));
    let took_ms = took_ms(answering.started);
    let done = Done { abstained, known: known.for_response(), generator: &generator, took_ms };
    sse::push(out, "done", &done);
}

fn error(out: &mut String, answering: &Answering, problem: &Problem) {
    let origin = &answering.origin;
    sse::push_json(out, "error", &problem.json(&origin.path, &origin.request_id));
}
