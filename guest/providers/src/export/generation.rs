//! `ragtime:models/generation`: answers made of quotes.

use ragtime_extractive::{Passage, Settings, Similarity, answer};
use ragtime_policy::scope::Scope;

use super::{Denied, Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::generation as wit;
use crate::bindings::wit_stream;
use crate::library::{Error, Library};
use crate::state::{Failure, read};

const EXTRACTIVE: &str = "extractive";

impl wit::Guest for Provider {
    fn generators() -> Vec<String> {
        vec![EXTRACTIVE.into()]
    }

    async fn generate(
        permit: PermitBorrow<'_>,
        request: wit::Request,
    ) -> Result<wit_bindgen::StreamReader<wit::Event>, wit::Error> {
        let key = &permit.get::<Permit>().key;
        covers(key, Scope::Read, Some(&request.collection)).map_err(|denied| match denied {
            Denied::Scope(_) => wit::Error::ScopeRequired,
            Denied::Collection => wit::Error::CollectionForbidden,
        })?;
        if request.generator.as_deref().is_some_and(|name| name != EXTRACTIVE) {
            return Err(wit::Error::UnknownGenerator);
        }
        let events =
            read(|library| extract(library, &request)).map_err(|failure| match failure {
                Failure::Refused(Error::UnknownCollection) => wit::Error::UnknownCollection,
                Failure::Refused(error) => wit::Error::Other(Some(error.to_string())),
                Failure::Busy => wit::Error::Unavailable,
                Failure::Internal(text) => wit::Error::Other(Some(text)),
            })?;
        let (mut writer, reader) = wit_stream::new();
        wit_bindgen::spawn_local(async move {
            // What is left over when the reader has gone is of use to nobody.
            let _ = writer.write_all(events).await;
        });
        Ok(reader)
    }
}

struct NoModel;

impl Similarity for NoModel {
    fn to_question(&self, _: &[&str]) -> Option<Vec<f32>> {
        None
    }
}

/// The events of an answer from the chunks that still are.
fn extract(library: &Library, request: &wit::Request) -> Result<Vec<wit::Event>, Error> {
    let collection = library.collection(&request.collection)?;
    let chunks = (0_u32..).zip(&request.chunks);
    let found: Vec<_> =
        chunks.filter_map(|(place, chunk)| Some((place, collection.chunk(*chunk)?.1))).collect();
    let texts: Vec<_> =
        found.iter().map(|(_, found)| found.document.chunk_text(found.chunk)).collect();
    let passages: Vec<_> = texts.iter().map(|text| Passage { text }).collect();
    let picked = answer(&request.question, &passages, &NoModel, &Settings::default());
    let mut events = Vec::with_capacity(2 * picked.quotes.len() + 1);
    let mut output_tokens = 0;
    for quote in &picked.quotes {
        let (Some((source, at)), Some(text)) = (
            found.get(quote.passage),
            texts.get(quote.passage).and_then(|text| text.get(quote.start..quote.end)),
        ) else {
            continue;
        };
        let gap = if events.is_empty() { "" } else { " " };
        output_tokens += words(text);
        events.push(wit::Event::Delta(format!("{gap}{text}")));
        events.push(wit::Event::Quote(wit::Quoted {
            source: *source,
            span: wit::Span {
                start: at.chunk.start + quote.start as u64,
                end: at.chunk.start + quote.end as u64,
            },
        }));
    }
    let input_tokens = words(&request.question) + texts.iter().copied().map(words).sum::<u32>();
    events.push(wit::Event::Done(wit::Completion {
        abstained: picked.abstained,
        generator: EXTRACTIVE.into(),
        usage: wit::Usage { input_tokens, output_tokens },
    }));
    Ok(events)
}

fn words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
}
