//! `ragtime:models/generation`: answers made of quotes, or by a language model
//! when an endpoint is set.

use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use ragtime_extractive::{Passage, Settings, Similarity, answer};
use ragtime_openai::chat::{Ending, Message, Piece, Role};
use ragtime_openai::checked::{Assessed, Checked, Step, Unsupported};
use ragtime_policy::scope::Scope;

use super::{Denied, Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::generation as wit;
use crate::bindings::wit_stream;
use crate::chat::{self, Chat, Tokens};
use crate::library::{Collection, Error, Library};
use crate::log::log;
use crate::state::{Failure, read, state};

const EXTRACTIVE: &str = "extractive";

impl wit::Guest for Provider {
    fn generators() -> Vec<String> {
        let names = match chat() {
            None => vec![EXTRACTIVE],
            Some(chat) if chat.settings.default => vec![chat::NAME, EXTRACTIVE],
            Some(_) => vec![EXTRACTIVE, chat::NAME],
        };
        names.into_iter().map(str::to_owned).collect()
    }

    async fn generate(
        permit: PermitBorrow<'_>,
        request: wit::Request,
    ) -> Result<wit_bindgen::StreamReader<wit::Event>, wit::Error> {
        let Permit { key, assessed, .. } = permit.get::<Permit>();
        let assessed = Rc::clone(assessed);
        covers(key, Scope::Read, Some(&request.collection)).map_err(|denied| match denied {
            Denied::Scope(_) => wit::Error::ScopeRequired,
            Denied::Collection => wit::Error::CollectionForbidden,
        })?;
        let default = chat().is_some_and(|chat| chat.settings.default);
        match request.generator.as_deref() {
            Some(EXTRACTIVE) => quoted(&request, &assessed),
            None if !default => quoted(&request, &assessed),
            None | Some(chat::NAME) => {
                written(chat().ok_or(wit::Error::UnknownGenerator)?, request, assessed).await
            }
            Some(_) => Err(wit::Error::UnknownGenerator),
        }
    }
}

type Events = wit_bindgen::StreamReader<wit::Event>;

/// Where it is noted what is known of an answer.
type Known = Rc<RefCell<Option<Assessed>>>;

pub(super) fn chat() -> Option<Rc<Chat>> {
    state().ok()?.borrow().chat.clone()
}

/// An answer made of quotes.
fn quoted(request: &wit::Request, assessed: &Known) -> Result<Events, wit::Error> {
    let min_confidence =
        state().map_err(|error| wit::Error::Other(Some(error)))?.borrow().min_confidence;
    let settings = Settings { min_confidence, ..Settings::default() };
    let (events, confidence) =
        read(|library| extract(library, request, &settings)).map_err(error_to_wit)?;
    let confidence = Some(confidence);
    *assessed.borrow_mut() = Some(Assessed { confidence, ..Assessed::default() });
    let (mut writer, reader) = wit_stream::new();
    wit_bindgen::spawn_local(async move {
        // What is left over when the reader has gone is of use to nobody.
        let _ = writer.write_all(events).await;
    });
    Ok(reader)
}

/// An answer by a language model; by quotes, when it does not begin to answer.
async fn written(
    chat: Rc<Chat>,
    request: wit::Request,
    assessed: Known,
) -> Result<Events, wit::Error> {
    let messages: Vec<_> = request.messages.iter().map(message).collect();
    let tokens = match chat.answer(&messages).await {
        Ok(tokens) => tokens,
        Err(error) => {
            log("warn", "the language model did not answer", &error.to_string());
            return match chat.settings.fallback {
                true => quoted(&request, &assessed),
                false => Err(wit::Error::Unavailable),
            };
        }
    };
    let passages = read(|library| Ok(in_order(library.collection(&request.collection)?, &request)))
        .map_err(error_to_wit)?;
    let (writer, reader) = wit_stream::new();
    let context = (assessed, chat.settings.unsupported);
    // Ends with the reader's interest or the answer: whichever comes first
    // closes the connection to the model.
    wit_bindgen::spawn_local(send_events(tokens, passages, writer, context));
    Ok(reader)
}

/// A passage's text and where it begins in its document; nothing for a chunk
/// that has been deleted since.
fn in_order(collection: &Collection, request: &wit::Request) -> (Vec<String>, Vec<u64>) {
    let found = request.chunks.iter().map(|chunk| match collection.chunk(*chunk) {
        Some((_, found)) => (found.document.chunk_text(found.chunk).to_owned(), found.chunk.start),
        None => Default::default(),
    });
    found.unzip()
}

async fn send_events(
    mut tokens: Tokens,
    (texts, starts): (Vec<String>, Vec<u64>),
    mut to: wit_bindgen::StreamWriter<wit::Event>,
    (assessed, unsupported): (Known, Unsupported),
) {
    let mut checked = Checked::new(texts, unsupported);
    let mut usage = wit::Usage { input_tokens: 0, output_tokens: 0 };
    let (mut ending, mut last) = (Ending::default(), None);
    while last.is_none() {
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
                let steps = checked.finish();
                let (abstained, generator) = (!checked.has_spoken(), chat::NAME.into());
                let done = wit::Completion { abstained, generator, usage };
                last = Some(wit::Event::Done(done));
                steps
            }
            Err(error) => {
                last = Some(wit::Event::Failed(Some(error.to_string())));
                Vec::new()
            }
        };
        let events: Vec<_> = steps.into_iter().filter_map(|step| event(step, &starts)).collect();
        if !events.is_empty() && !to.write_all(events).await.is_empty() {
            return;
        }
    }
    let statements = checked.into_statements();
    *assessed.borrow_mut() = Some(Assessed { confidence: None, ending, statements });
    let _ = to.write_all(last.into_iter().collect()).await;
}

fn event(step: Step, starts: &[u64]) -> Option<wit::Event> {
    match step {
        Step::Text(text) => Some(wit::Event::Delta(text)),
        Step::Quote(place, span) => quote(place, span, starts),
    }
}

fn quote(place: usize, span: Range<usize>, starts: &[u64]) -> Option<wit::Event> {
    let start = starts.get(place)?;
    let span = wit::Span { start: start + span.start as u64, end: start + span.end as u64 };
    Some(wit::Event::Quote(wit::Quoted { source: u32::try_from(place).ok()?, span }))
}

pub(super) fn message(message: &wit::Message) -> Message {
    let role = match message.role {
        wit::Role::System => Role::System,
        wit::Role::User => Role::User,
        wit::Role::Assistant => Role::Assistant,
    };
    Message { role, content: message.content.clone() }
}

fn error_to_wit(failure: Failure) -> wit::Error {
    match failure {
        Failure::Refused(Error::UnknownCollection) => wit::Error::UnknownCollection,
        Failure::Busy => wit::Error::Unavailable,
        other => wit::Error::Other(Some(other.to_string())),
    }
}

struct NoModel;

impl Similarity for NoModel {
    fn to_question(&self, _: &[&str]) -> Option<Vec<f32>> {
        None
    }
}

/// The events of an answer from the chunks that still are.
fn extract(
    library: &Library,
    request: &wit::Request,
    settings: &Settings,
) -> Result<(Vec<wit::Event>, f32), Error> {
    let collection = library.collection(&request.collection)?;
    let chunks = (0_u32..).zip(&request.chunks);
    let found: Vec<_> =
        chunks.filter_map(|(place, chunk)| Some((place, collection.chunk(*chunk)?.1))).collect();
    let texts: Vec<_> =
        found.iter().map(|(_, found)| found.document.chunk_text(found.chunk)).collect();
    let passages: Vec<_> = found
        .iter()
        .zip(&texts)
        .map(|((_, found), text)| Passage {
            text,
            title: found.document.title.as_deref(),
            headings: &found.chunk.headings,
        })
        .collect();
    let picked = answer(&request.question, &passages, &NoModel, settings);
    let mut events = Vec::with_capacity(2 * picked.quotes.len() + 1);
    let mut output_tokens = 0;
    for (place, quote) in picked.quotes.iter().enumerate() {
        let (Some((source, at)), Some(text)) = (
            found.get(quote.passage),
            texts.get(quote.passage).and_then(|text| text.get(quote.start..quote.end)),
        ) else {
            continue;
        };
        let gap = picked.gap(place);
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
    Ok((events, picked.confidence))
}

fn words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
}
