//! An answer that is complete, or as long as the client wants it.

use ragtime_api::problem::Problem;
use ragtime_api::resource::query::Citation;

use super::capped::Capped;
use crate::bindings::generation::{Completion, Event};
use crate::routes::answer::{self, Answering, Known, cut_off, failed};

/// An answer.
pub(super) struct Whole {
    /// Its text.
    pub(super) text: String,
    /// What it rests on.
    pub(super) citations: Vec<Citation>,
    /// The character of the text at which each quote ends.
    pub(super) places: Vec<usize>,
    /// How it ended.
    pub(super) completion: Completion,
    /// What more is known of it.
    pub(super) known: Known,
}

impl Whole {
    /// Why it ended.
    pub(super) fn finish_reason(&self) -> &'static str {
        self.known.finish_reason
    }
}

/// The answer, of at most so many tokens; without passages no generator runs.
pub(super) async fn finish(
    answering: &Answering,
    max_tokens: Option<u32>,
) -> Result<Whole, Problem> {
    if answering.hits.is_empty() {
        let answer::Whole { text, citations, completion, known } =
            answer::Whole::abstained(&answering.generator);
        let places = Vec::new();
        return Ok(Whole { text, citations, places, completion, known });
    }
    let mut events = Capped::start(answering, max_tokens).await?;
    let (mut text, mut citations, mut places) = (String::new(), Vec::new(), Vec::new());
    loop {
        for event in events.next(answering).await.ok_or_else(cut_off)? {
            match event {
                Event::Delta(more) => text.push_str(&more),
                Event::Quote(quoted) => {
                    // One by one: a quote that cannot be proven takes its place along.
                    for citation in answering.cite(&[quoted]).await {
                        citations.push(citation);
                        places.push(text.chars().count());
                    }
                }
                Event::Failed(reason) => return Err(failed(reason)),
                Event::Done(completion) => {
                    let known = events.known;
                    return Ok(Whole { text, citations, places, completion, known });
                }
            }
        }
    }
}
