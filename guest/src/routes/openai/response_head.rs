//! An answer as `POST /v1/responses` has it, at each of its steps.

use ragtime_api::resource::openai::files;
use ragtime_api::resource::openai::response::{
    Annotation, Found, Incomplete, Item, Message, Part, Response, ResponseError, Search, Text,
    Usage,
};
use ragtime_api::resource::openai::responses::Echo;
use ragtime_api::resource::{query, raw};

use super::filename;
use crate::routes::answer::Answering;

/// What an answer is besides what is said.
pub(super) struct Head {
    pub(super) id: String,
    pub(super) search_id: String,
    pub(super) message_id: String,
    pub(super) created_at: u64,
    pub(super) model: String,
    /// What was searched for, where the client sees the search.
    pub(super) searched: Option<String>,
    pub(super) include_results: bool,
    /// The most tokens that the answer may have.
    pub(super) max_tokens: Option<u32>,
    pub(super) echo: Echo,
}

/// What a piece of an answer rests on.
pub(super) fn annotation(
    answering: &Answering,
    citation: query::Citation,
    index: usize,
) -> Annotation {
    let mut hits = answering.hits.iter().map(|(passage, _)| passage);
    let filename = hits
        .find(|passage| passage.document_id == citation.document_id)
        .map(filename)
        .unwrap_or_else(|| citation.document_id.clone());
    Annotation::new(citation, index, filename)
}

impl Head {
    /// The answer as it is before it has come.
    pub(super) fn begun(&self) -> Response<'_> {
        self.response("in_progress", Vec::new())
    }

    /// The answer at its end.
    pub(super) fn ended<'a>(
        &'a self,
        answering: &'a Answering,
        text: &'a str,
        annotations: &'a [Annotation],
        usage: Usage,
        cut_short: bool,
    ) -> Response<'a> {
        let status = if cut_short { "incomplete" } else { "completed" };
        let search = self.search(Some(answering)).map(Item::Search);
        let message = self.message(status, vec![Part::new(text, annotations)]);
        let output = search.into_iter().chain([Item::Message(message)]).collect();
        let incomplete = Incomplete { reason: "max_output_tokens" };
        Response {
            incomplete_details: cut_short.then_some(incomplete),
            usage: Some(usage),
            ..self.response(status, output)
        }
    }

    /// The answer that failed.
    pub(super) fn failed<'a>(&'a self, error: ResponseError<'a>) -> Response<'a> {
        Response { error: Some(error), ..self.response("failed", Vec::new()) }
    }

    /// The search, where the client asked for it by a tool: at its end with what
    /// it found, else at its beginning.
    pub(super) fn search<'a>(&'a self, found: Option<&'a Answering>) -> Option<Search<'a>> {
        let query = self.searched.as_deref()?;
        let results = found.filter(|_| self.include_results).map(results);
        let status = if found.is_some() { "completed" } else { "in_progress" };
        let queries = vec![query];
        Some(Search { id: &self.search_id, r#type: "file_search_call", status, queries, results })
    }

    /// The answer as one of the steps.
    pub(super) fn message<'a>(
        &'a self,
        status: &'static str,
        content: Vec<Part<'a>>,
    ) -> Message<'a> {
        Message { id: &self.message_id, r#type: "message", status, role: "assistant", content }
    }

    fn response<'a>(&'a self, status: &'static str, output: Vec<Item<'a>>) -> Response<'a> {
        Response {
            id: &self.id,
            object: "response",
            created_at: self.created_at,
            status,
            background: false,
            error: None,
            incomplete_details: None,
            instructions: self.echo.instructions.as_deref(),
            max_output_tokens: self.max_tokens,
            model: &self.model,
            output,
            parallel_tool_calls: true,
            previous_response_id: None,
            store: false,
            text: Text::PLAIN,
            tool_choice: raw(&self.echo.tool_choice),
            tools: raw(&self.echo.tools),
            truncation: "disabled",
            usage: None,
            metadata: raw(&self.echo.metadata),
        }
    }
}

fn results(answering: &Answering) -> Vec<Found<'_>> {
    let found = answering.hits.iter().map(|(passage, score)| Found {
        file_id: &passage.document_id,
        filename: filename(passage),
        score: *score,
        text: &passage.text,
        attributes: files::attributes(&passage.metadata),
    });
    found.collect()
}
