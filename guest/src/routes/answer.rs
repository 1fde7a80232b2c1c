//! An answer in the making: generation, and the proof of its quotes.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::time::Instant;

use ragtime_api::problem::{Code, Problem};
use ragtime_api::prompt::{self, Role};
use ragtime_api::resource::documents::chunk_id;
use ragtime_api::resource::query::{self, Citation, Source, Statement, Usage};
use ragtime_api::resource::raw;
use ragtime_api::resource::search::Reranked;
use wit_bindgen::StreamReader;

use super::collections;
use crate::bindings::admission::Permit;
use crate::bindings::assessment;
use crate::bindings::generation::{self, Completion, Event, Quoted};
use crate::bindings::log::Level;
use crate::bindings::search::{self, CitationRequest, Passage};
use crate::bindings::store;
use crate::call::Origin;
use crate::failure;

/// The generator that answers without a prompt.
const EXTRACTIVE: &str = "extractive";

/// Events taken from the host at once: tokens that are ready together go to the
/// client together.
const EVENTS_PER_READ: usize = 64;

/// All that an answer needs.
pub(super) struct Answering {
    /// The leave to do it.
    pub(super) permit: Permit,
    /// For problems that arise after the response has begun.
    pub(super) origin: Origin,
    /// Where the passages are.
    pub(super) collection: String,
    /// The user's question.
    pub(super) question: String,
    /// The same as who has not heard what was said before can understand it.
    pub(super) understood: String,
    /// What was said before it.
    pub(super) earlier: Vec<prompt::Message>,
    /// Who answers.
    pub(super) generator: String,
    /// From what, best first.
    pub(super) hits: Vec<(Passage, f64)>,
    /// How those were reranked, if they were.
    pub(super) reranked: Option<Reranked>,
    /// When the request came.
    pub(super) started: Instant,
}

/// Why an answer ends that would be longer.
pub(super) const LENGTH: &str = "length";

/// What more is known of an answer than its text.
pub(super) struct Known {
    /// How likely the passages hold an answer; none where a language model answered.
    pub(super) confidence: Option<f64>,
    /// Why it ended, in OpenAI's words.
    pub(super) finish_reason: &'static str,
    /// What a language model said with marks of sources.
    pub(super) statements: Vec<Statement>,
}

impl Known {
    /// Of an answer for which there was nothing to answer from.
    pub(super) fn nothing() -> Self {
        Self { confidence: Some(0.0), finish_reason: "stop", statements: Vec::new() }
    }

    /// Whether a number of tokens was too low for the whole answer.
    pub(super) fn is_cut_short(&self) -> bool {
        self.finish_reason == LENGTH
    }

    /// As the response has it.
    pub(super) fn for_response(&self) -> query::Known<'_> {
        query::Known {
            confidence: self.confidence,
            finish_reason: self.finish_reason,
            statements: &self.statements,
        }
    }
}

/// An answer that is complete.
pub(super) struct Whole {
    /// Its text.
    pub(super) text: String,
    /// What it rests on.
    pub(super) citations: Vec<Citation>,
    /// How it ended.
    pub(super) completion: Completion,
    /// What more is known of it.
    pub(super) known: Known,
}

impl Whole {
    /// Without text: there was nothing to answer from, so no generator ran.
    pub(super) fn abstained(generator: &str) -> Self {
        let usage = generation::Usage { input_tokens: 0, output_tokens: 0 };
        let completion = Completion { abstained: true, generator: generator.to_owned(), usage };
        Self { text: String::new(), citations: Vec::new(), completion, known: Known::nothing() }
    }
}

impl Answering {
    /// Starts the generator.
    pub(super) async fn start(&self) -> Result<StreamReader<Event>, Problem> {
        let request = generation::Request {
            generator: Some(self.generator.clone()),
            collection: self.collection.clone(),
            question: match self.generator == EXTRACTIVE {
                true => self.understood.clone(),
                false => self.question.clone(),
            },
            chunks: self.hits.iter().map(|(passage, _)| passage.chunk).collect(),
            messages: self.messages().await?,
        };
        Ok(generation::generate(&self.permit, request).await?)
    }

    /// What more is known of the answer, once it has ended.
    pub(super) fn known(&self) -> Known {
        let Some(assessed) = assessment::last(&self.permit) else { return Known::nothing() };
        let statement =
            |one: assessment::Statement| Statement { text: one.text, supported: one.supported };
        Known {
            // Three digits: the rest is noise.
            confidence: assessed.confidence.map(|one| (f64::from(one) * 1e3).round() / 1e3),
            finish_reason: match assessed.ending {
                assessment::Ending::Stop => "stop",
                assessment::Ending::Length => LENGTH,
                assessment::Ending::Filtered => "content_filter",
            },
            statements: assessed.statements.into_iter().map(statement).collect(),
        }
    }

    /// All that the generator reads.
    pub(super) fn reading(&self) -> String {
        let passages = self.hits.iter().map(|(passage, _)| passage.text.as_str());
        let mut read: Vec<_> = passages.collect();
        read.extend(self.earlier.iter().map(|turn| turn.content.as_str()));
        read.push(&self.question);
        read.join("\n")
    }

    /// Runs the generator to its end.
    pub(super) async fn complete(&self) -> Result<Whole, Problem> {
        let mut events = self.start().await?;
        let (mut text, mut quotes) = (String::new(), Vec::new());
        loop {
            let batch = next(&mut events).await.ok_or_else(cut_off)?;
            for event in batch {
                match event {
                    Event::Delta(more) => text.push_str(&more),
                    Event::Quote(quoted) => quotes.push(quoted),
                    Event::Failed(reason) => return Err(failed(reason)),
                    Event::Done(completion) => {
                        let citations = self.cite(&quotes).await;
                        let known = self.known();
                        return Ok(Whole { text, citations, completion, known });
                    }
                }
            }
        }
    }

    /// Citations for quotes, read by the host from the stored text. A quote
    /// that cannot be proven is left out: its document may have changed since.
    pub(super) async fn cite(&self, quotes: &[Quoted]) -> Vec<Citation> {
        let requests: Vec<_> =
            quotes.iter().filter_map(|quoted| self.citation_request(quoted)).collect();
        if requests.is_empty() {
            return Vec::new();
        }
        match self.cite_all(requests.clone()).await {
            Ok(citations) => citations,
            Err(_) => self.cite_each(requests).await,
        }
    }

    async fn cite_each(&self, requests: Vec<CitationRequest>) -> Vec<Citation> {
        let mut citations = Vec::new();
        for request in requests {
            match self.cite_all(vec![request]).await {
                Ok(proven) => citations.extend(proven),
                Err(error) => {
                    failure::report(Level::Warn, "quote left out", "cite", Some(error.to_string()))
                }
            }
        }
        citations
    }

    async fn cite_all(
        &self,
        requests: Vec<CitationRequest>,
    ) -> Result<Vec<Citation>, store::Error> {
        let citations = search::cite(&self.permit, self.collection.clone(), requests).await?;
        Ok(citations.into_iter().map(Citation::from).collect())
    }

    fn citation_request(&self, quoted: &Quoted) -> Option<CitationRequest> {
        let (passage, _) = self.hits.get(quoted.source as usize)?;
        Some(CitationRequest { document_id: passage.document_id.clone(), span: quoted.span })
    }

    async fn messages(&self) -> Result<Vec<generation::Message>, Problem> {
        if self.generator == EXTRACTIVE {
            return Ok(Vec::new());
        }
        let asked = collections::prompt(&self.permit, &self.collection).await?;
        let sources: Vec<_> = self.hits.iter().map(|(passage, _)| prompt_source(passage)).collect();
        let messages = prompt::messages(&nonce(), &self.question, &self.earlier, &sources, &asked);
        Ok(messages.into_iter().map(generation::Message::from).collect())
    }
}

/// A word that nobody can know before the request: the hasher's keys are random
/// bytes of the host.
fn nonce() -> String {
    format!("{:016x}", RandomState::new().build_hasher().finish())
}

fn prompt_source(passage: &Passage) -> prompt::Source<'_> {
    prompt::Source {
        title: passage.title.as_deref(),
        headings: &passage.headings,
        text: &passage.text,
    }
}

/// The next events, or none at the end of the stream.
pub(super) async fn next(events: &mut StreamReader<Event>) -> Option<Vec<Event>> {
    let (_, batch) = events.read(Vec::with_capacity(EVENTS_PER_READ)).await;
    (!batch.is_empty()).then_some(batch)
}

/// The problem of a stream that stopped without an end.
pub(super) fn cut_off() -> Problem {
    failed(Some("the stream of events was cut".to_owned()))
}

/// The problem of a generator that broke off.
pub(super) fn failed(reason: Option<String>) -> Problem {
    failure::report(Level::Error, "generation failed", "generate", reason);
    Code::GenerationFailed.into()
}

impl From<search::Citation> for Citation {
    fn from(citation: search::Citation) -> Self {
        Self {
            document_id: citation.document_id,
            quote: citation.quote,
            span: citation.span.into(),
            sha256: citation.sha256,
        }
    }
}

impl From<generation::Usage> for Usage {
    fn from(usage: generation::Usage) -> Self {
        Self { input_tokens: usage.input_tokens, output_tokens: usage.output_tokens }
    }
}

impl From<prompt::Message> for generation::Message {
    fn from(message: prompt::Message) -> Self {
        let role = match message.role {
            Role::System => generation::Role::System,
            Role::User => generation::Role::User,
            Role::Assistant => generation::Role::Assistant,
        };
        Self { role, content: message.content }
    }
}

/// The passages that the generator was given.
pub(super) fn sources(hits: &[(Passage, f64)]) -> Vec<Source<'_>> {
    hits.iter()
        .map(|(passage, score)| Source {
            document_id: &passage.document_id,
            chunk_id: chunk_id(&passage.document_id, passage.span.into()),
            score: *score,
            title: passage.title.as_deref(),
            headings: &passage.headings,
            page: passage.page,
            text: &passage.text,
            span: passage.span.into(),
            metadata: raw(&passage.metadata),
        })
        .collect()
}
