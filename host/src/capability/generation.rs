//! `ragtime:models/generation`

use std::pin::Pin;
use std::task::{Context, Poll};

use ragtime_openai::chat::Ending;
use ragtime_openai::checked::{Checked, Step, Unsupported};
use ragtime_policy::scope::Scope;
use ragtime_store as store;
use tokio::sync::mpsc;
use wasmtime::component::{
    Accessor, Destination, Resource, StreamProducer, StreamReader, StreamResult,
};
use wasmtime::{AsContextMut, StoreContextMut};

use super::Owner;
use super::bindings::ragtime::models0_1_0::generation as wit;
use super::call::Call;
use super::error::ImportError;
use super::rate_limit::Permit;
use crate::generator::openai::{Message, Piece, Role, Tokens};
use crate::generator::{Assessed, EXTRACTIVE, Extract};
use crate::runtime::state::{Capabilities, CapabilityView};
use crate::telemetry::Answering;
use crate::upstream::UpstreamError;

/// Events that wait for a slow client; the model waits with them.
const MAX_WAITING_EVENTS: usize = 256;

impl wit::Host for CapabilityView<'_> {
    fn convert_error(&mut self, error: ImportError<wit::Error>) -> wasmtime::Result<wit::Error> {
        error.into_error()
    }

    fn generators(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.services.generators.names().into_iter().map(str::to_owned).collect())
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn generate(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        request: wit::Request,
    ) -> Result<StreamReader<wit::Event>, ImportError<wit::Error>> {
        let call = Call::of(accessor, &permit)?.with_in(Scope::Read, &request.collection)?;
        call.pay_for_search().await.map_err(|_| wit::Error::Unavailable)?;
        let names = call.services.generators.names();
        let asked = request.generator.as_deref().or(names.first().copied()).unwrap_or(EXTRACTIVE);
        let events = match names.into_iter().find(|name| *name == asked) {
            Some(EXTRACTIVE) => quoted(call, request).await?,
            Some(name) => written(call, request, name).await?,
            None => return Err(wit::Error::UnknownGenerator.into()),
        };
        accessor.with(|mut access| {
            let store = access.as_context_mut();
            Ok(match events {
                Events::Made(events) => StreamReader::new(store, events)?,
                Events::Coming(events) => StreamReader::new(store, Coming(events))?,
            })
        })
    }
}

/// The events of an answer.
enum Events {
    /// All of them.
    Made(Vec<wit::Event>),
    /// As they come.
    Coming(mpsc::Receiver<wit::Event>),
}

/// The sources may have gone since they were found.
impl From<store::Error> for wit::Error {
    fn from(error: store::Error) -> Self {
        match error {
            store::Error::UnknownCollection => Self::UnknownCollection,
            other => Self::Other(Some(other.to_string())),
        }
    }
}

/// An answer made of quotes.
async fn quoted(call: Call, request: wit::Request) -> Result<Events, wit::Error> {
    let answering = call.answering(EXTRACTIVE);
    let owner = call.permit.owner.clone();
    let extract = call.blocking(move |call| {
        let extractive = &call.services.generators.extractive;
        extractive.answer(&request.collection, &request.question, &request.chunks)
    });
    let extract = match extract.await? {
        Ok(extract) => extract,
        Err(error) => {
            answering.fail();
            return Err(error.into());
        }
    };
    answering.complete(extract.input_tokens, extract.output_tokens, &[]);
    let confidence = Some(extract.confidence);
    assess(&owner, Assessed { confidence, ..Assessed::default() });
    Ok(Events::Made(events(extract)))
}

fn assess(owner: &Owner, assessed: Assessed) {
    if let Some(request) = owner.request() {
        request.assess(assessed);
    }
}

fn events(extract: Extract) -> Vec<wit::Event> {
    let mut events = Vec::with_capacity(2 * extract.sentences.len() + 1);
    for sentence in extract.sentences {
        events.push(wit::Event::Delta(format!("{}{}", sentence.gap, sentence.text)));
        let span = wit::Span { start: sentence.span.start, end: sentence.span.end };
        events.push(wit::Event::Quote(wit::Quoted { source: sentence.source, span }));
    }
    events.push(wit::Event::Done(wit::Completion {
        abstained: extract.abstained,
        generator: EXTRACTIVE.into(),
        usage: wit::Usage {
            input_tokens: extract.input_tokens,
            output_tokens: extract.output_tokens,
        },
    }));
    events
}

/// An answer by a language model; by quotes, when it does not begin to answer.
async fn written(
    call: Call,
    request: wit::Request,
    name: &'static str,
) -> Result<Events, wit::Error> {
    let messages: Vec<_> = request.messages.iter().map(message).collect();
    let answering = call.answering(name);
    let asked = async {
        let model = call.services.generators.model(name);
        Some(model?.answer(&messages, answering.context()).await)
    };
    let tokens = match call.until_gone(asked).await?.ok_or(wit::Error::UnknownGenerator)? {
        Ok(tokens) => tokens,
        Err(error) => {
            answering.fail();
            let fallback = call.services.generators.fallback;
            tracing::warn!(request_id = call.request.id, %error, model = name, fallback, "the language model did not answer");
            return match fallback {
                true => quoted(call, request).await,
                false => Err(wit::Error::Unavailable),
            };
        }
    };
    let passages = call.blocking(move |call| {
        let passages = call.services.store.passages(&request.collection, &request.chunks)?;
        Ok::<_, store::Error>(in_order(&request.chunks, passages))
    });
    let passages = passages.await??;
    let (sender, events) = mpsc::channel(MAX_WAITING_EVENTS);
    let cancelled = call.request.cancelled.clone();
    let owner = call.permit.owner.clone();
    let context = (answering, owner, call.services.generators.unsupported, name);
    // Ends with the client, the handler's interest, or the answer: whichever
    // comes first closes the connection to the model.
    tokio::spawn(async move {
        cancelled.run_until_cancelled(send_events(tokens, passages, sender, context)).await
    });
    Ok(Events::Coming(events))
}

/// A passage's text and where it begins in its document; nothing for a chunk
/// that has been deleted since.
fn in_order(chunks: &[u64], passages: Vec<store::Passage>) -> Vec<(String, u64)> {
    let of = |chunk: &u64| passages.iter().find(|passage| passage.chunk == *chunk);
    let found = chunks.iter().map(|chunk| {
        of(chunk)
            .map_or_else(Default::default, |passage| (passage.text.clone(), passage.span.start))
    });
    found.collect()
}

async fn send_events(
    mut tokens: Tokens,
    passages: Vec<(String, u64)>,
    to: mpsc::Sender<wit::Event>,
    (answering, owner, unsupported, name): (Answering, Owner, Unsupported, &'static str),
) {
    let (texts, starts): (Vec<_>, Vec<_>) = passages.into_iter().unzip();
    let mut checked = Checked::new(texts, unsupported);
    let mut usage = wit::Usage { input_tokens: 0, output_tokens: 0 };
    let (mut ending, mut ended) = (Ending::default(), false);
    while !ended {
        let steps = match tokens.next().await {
            Ok(Some(Piece::Text(text))) => checked.push(&text),
            Ok(Some(Piece::Usage(input_tokens, output_tokens))) => {
                usage = wit::Usage { input_tokens, output_tokens };
                continue;
            }
            Ok(Some(Piece::Ending(found))) => {
                ending = found;
                continue;
            }
            Ok(None) => {
                ended = true;
                checked.finish()
            }
            Err(error) => {
                answering.fail();
                return drop(to.send(failed(&error)).await);
            }
        };
        for event in steps.into_iter().filter_map(|step| event(step, &starts)) {
            if to.send(event).await.is_err() {
                return;
            }
        }
    }
    let abstained = !checked.has_spoken();
    let statements = checked.into_statements();
    answering.complete(usage.input_tokens, usage.output_tokens, &statements);
    assess(&owner, Assessed { confidence: None, ending, statements });
    let done = wit::Completion { abstained, generator: name.into(), usage };
    let _ = to.send(wit::Event::Done(done)).await;
}

fn event(step: Step, starts: &[u64]) -> Option<wit::Event> {
    match step {
        Step::Text(text) => Some(wit::Event::Delta(text)),
        Step::Quote(place, span) => quote(place, span, starts),
    }
}

fn quote(place: usize, span: std::ops::Range<usize>, starts: &[u64]) -> Option<wit::Event> {
    let start = starts.get(place)?;
    let span = wit::Span { start: start + span.start as u64, end: start + span.end as u64 };
    Some(wit::Event::Quote(wit::Quoted { source: u32::try_from(place).ok()?, span }))
}

fn failed(error: &UpstreamError) -> wit::Event {
    wit::Event::Failed(Some(error.to_string()))
}

pub(super) fn message(message: &wit::Message) -> Message {
    let role = match message.role {
        wit::Role::System => Role::System,
        wit::Role::User => Role::User,
        wit::Role::Assistant => Role::Assistant,
    };
    Message { role, content: message.content.clone() }
}

/// Events as they come, to the handler.
struct Coming(mpsc::Receiver<wit::Event>);

impl<D> StreamProducer<D> for Coming {
    type Item = wit::Event;
    type Buffer = Option<wit::Event>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        _: StoreContextMut<'a, D>,
        mut destination: Destination<'a, wit::Event, Option<wit::Event>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        match self.0.poll_recv(cx) {
            Poll::Ready(Some(event)) => {
                destination.set_buffer(Some(event));
                Poll::Ready(Ok(StreamResult::Completed))
            }
            Poll::Ready(None) => Poll::Ready(Ok(StreamResult::Dropped)),
            Poll::Pending if finish => Poll::Ready(Ok(StreamResult::Cancelled)),
            Poll::Pending => Poll::Pending,
        }
    }
}
