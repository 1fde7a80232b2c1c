//! `ragtime:models/generation`

use ragtime_policy::scope::Scope;
use wasmtime::AsContextMut;
use wasmtime::component::{Accessor, Resource, StreamReader};

use super::bindings::ragtime::models::generation as wit;
use super::rate_limit::{Denied, Permit};
use super::{Call, GONE, call};
use crate::generator::{EXTRACTIVE, Extract};
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {
    fn generators(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(vec![EXTRACTIVE.into()])
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn generate(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        request: wit::Request,
    ) -> wasmtime::Result<Result<StreamReader<wit::Event>, wit::Error>> {
        let call = match allowed(call(accessor, &permit)?, &request) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let extract = call.blocking(move |call| {
            call.services.extractive.answer(&request.collection, &request.question, &request.chunks)
        });
        match extract.await {
            Some(Ok(extract)) => {
                let events = events(extract);
                accessor
                    .with(|mut access| Ok(Ok(StreamReader::new(access.as_context_mut(), events)?)))
            }
            Some(Err(error)) => Ok(Err(wit::Error::Other(Some(error.to_string())))),
            None => Ok(Err(wit::Error::Other(Some(GONE.into())))),
        }
    }
}

fn allowed(call: Option<Call>, request: &wit::Request) -> Result<Call, wit::Error> {
    let call = call.ok_or_else(|| wit::Error::Other(Some(GONE.into())))?;
    call.permit.allows_in(Scope::Read, &request.collection).map_err(|denied| match denied {
        Denied::Scope(_) => wit::Error::ScopeRequired,
        Denied::Collection => wit::Error::CollectionForbidden,
    })?;
    match request.generator.as_deref() {
        None | Some(EXTRACTIVE) => Ok(call),
        Some(_) => Err(wit::Error::UnknownGenerator),
    }
}

fn events(extract: Extract) -> Vec<wit::Event> {
    let mut events = Vec::with_capacity(2 * extract.sentences.len() + 1);
    for (place, sentence) in extract.sentences.into_iter().enumerate() {
        let gap = if place == 0 { "" } else { " " };
        events.push(wit::Event::Delta(format!("{gap}{}", sentence.text)));
        let span = wit::Span { start: sentence.span.start, end: sentence.span.end };
        events.push(wit::Event::Quote(wit::Quoted { source: sentence.source, span }));
    }
    events.push(wit::Event::Done(wit::Completion {
        abstained: extract.abstained,
        usage: wit::Usage {
            input_tokens: extract.input_tokens,
            output_tokens: extract.output_tokens,
        },
    }));
    events
}
