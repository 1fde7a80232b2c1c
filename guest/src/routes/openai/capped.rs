//! The events of an answer, up to the number of tokens that the client wants.

use ragtime_api::problem::Problem;
use wit_bindgen::StreamReader;

use crate::bindings::admission::Permit;
use crate::bindings::embedding;
use crate::bindings::generation::{Completion, Event, Usage};
use crate::routes::answer::{Answering, Known, LENGTH, next};

/// The events of a generator until a number of tokens is spent, counted as the
/// embedding model counts.
pub(super) struct Capped {
    events: StreamReader<Event>,
    /// The most tokens, and those that are left.
    cap: Option<(u32, u32)>,
    /// What more is known of the answer, once it has ended.
    pub(super) known: Known,
}

impl Capped {
    /// Starts the generator.
    pub(super) async fn start(
        answering: &Answering,
        max_tokens: Option<u32>,
    ) -> Result<Self, Problem> {
        let events = answering.start().await?;
        Ok(Self { events, cap: max_tokens.map(|most| (most, most)), known: Known::nothing() })
    }

    /// The next events, or none at the end of the stream. When the tokens are
    /// spent, the text ends in the middle and the last event is its end;
    /// dropping the stream then cancels the work behind it.
    pub(super) async fn next(&mut self, answering: &Answering) -> Option<Vec<Event>> {
        let batch = next(&mut self.events).await?;
        if batch.iter().any(|event| matches!(event, Event::Done(_))) {
            self.known = answering.known();
        }
        let Some((most, mut left)) = self.cap else { return Some(batch) };
        let mut kept = Vec::with_capacity(batch.len());
        let mut rest = batch.into_iter();
        for event in rest.by_ref() {
            let Event::Delta(text) = event else {
                kept.push(event);
                continue;
            };
            // A host that cannot count now is no reason to break an answer off.
            let starts = token_starts(&answering.permit, &text).await.unwrap_or_default();
            match starts.get(left as usize) {
                None => {
                    left = left.saturating_sub(u32::try_from(starts.len()).unwrap_or(u32::MAX));
                    kept.push(Event::Delta(text));
                }
                Some(end) => {
                    kept.push(Event::Delta(
                        text.get(..*end as usize).unwrap_or_default().to_owned(),
                    ));
                    let completion = rest.find_map(|event| match event {
                        Event::Done(done) => Some(done),
                        _ => None,
                    });
                    kept.push(Event::Done(ended(answering, completion, most).await));
                    self.known.finish_reason = LENGTH;
                    break;
                }
            }
        }
        self.cap = Some((most, left));
        Some(kept)
    }
}

/// How an answer ended whose tokens are spent. What the generator has not sent
/// is counted here: it was not let finish.
async fn ended(answering: &Answering, completion: Option<Completion>, most: u32) -> Completion {
    match completion {
        Some(completion) => {
            Completion { usage: Usage { output_tokens: most, ..completion.usage }, ..completion }
        }
        None => {
            let read = token_starts(&answering.permit, &answering.reading()).await;
            let input_tokens = read.map_or(0, |starts| u32::try_from(starts.len()).unwrap_or(0));
            let usage = Usage { input_tokens, output_tokens: most };
            Completion { abstained: false, generator: answering.generator.clone(), usage }
        }
    }
}

async fn token_starts(permit: &Permit, text: &str) -> Result<Vec<u32>, embedding::Error> {
    let measured = embedding::Measured { text: text.to_owned(), language: None };
    let mut starts = embedding::tokens(permit, None, vec![measured]).await?;
    Ok(starts.pop().unwrap_or_default())
}
