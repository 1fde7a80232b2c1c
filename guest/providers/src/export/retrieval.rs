//! `ragtime:retrieval/search`: by words, and by vectors when there is a model.

use std::rc::Rc;

use ragtime_filter::Filter;
use ragtime_policy::scope::Scope;
use ragtime_text::ModelLanguages;

use super::Provider;
use super::documents::{allowed, error_to_wit};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::search as wit;
use crate::bindings::store::{Error, Span};
use crate::catch_up::catch_up;
use crate::embedder::Embedder;
use crate::library::{self, Found, Library};
use crate::state::{embedder, read};

/// Candidates from one retriever.
const MAX_DEPTH: u32 = 1_000;
/// Words and phrases that a search may require and exclude.
const MAX_CONDITIONS: usize = 64;
/// Passages or citations of one call.
const MAX_FETCHED: usize = 1_000;

impl wit::Guest for Provider {
    async fn find_candidates(
        permit: PermitBorrow<'_>,
        query: wit::Query,
    ) -> Result<wit::Candidates, Error> {
        allowed(&permit, Scope::Read, Some(&query.collection))?;
        let embedder = embedder();
        let vector = match &embedder {
            Some(embedder) => vector(embedder, &query).await,
            None => None,
        };
        let vector = vector.as_deref().map(Vec::as_slice);
        let known = embedder.as_ref().map(|embedder| &embedder.settings.languages);
        read(|library| find(library, &query, vector, known)).map_err(error_to_wit)
    }

    async fn passages(
        permit: PermitBorrow<'_>,
        collection: String,
        chunks: Vec<u64>,
    ) -> Result<Vec<wit::Passage>, Error> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| {
            bounded(chunks.len())?;
            let collection = library.collection(&collection)?;
            let found = chunks.iter().filter_map(|chunk| collection.chunk(*chunk));
            Ok(found.map(|(_, found)| passage(found)).collect())
        })
        .map_err(error_to_wit)
    }

    async fn cite(
        permit: PermitBorrow<'_>,
        collection: String,
        requests: Vec<wit::CitationRequest>,
    ) -> Result<Vec<wit::Citation>, Error> {
        allowed(&permit, Scope::Read, Some(&collection))?;
        read(|library| cite(library, &collection, &requests)).map_err(error_to_wit)
    }
}

/// The query's vector, when it is wanted and can be had. A part of what has no
/// vector yet gets one first: it was stored while the model was not there.
async fn vector(embedder: &Embedder, query: &wit::Query) -> Option<Rc<Vec<f32>>> {
    if !query.legs.contains(wit::Legs::VECTOR) {
        return None;
    }
    // Beside words the model is asked only about what it understands.
    if query.legs.contains(wit::Legs::LEXICAL) {
        let language =
            read(|library| Ok(library.collection(&query.collection)?.language_of(&query.text)));
        if !embedder.settings.languages.knows(language.ok()?) {
            return None;
        }
    }
    let vector = embedder.query(&query.text).await?;
    catch_up(embedder, &query.collection).await;
    Some(vector)
}

fn find(
    library: &Library,
    query: &wit::Query,
    vector: Option<&[f32]>,
    known: Option<&ModelLanguages>,
) -> Result<wit::Candidates, library::Error> {
    if query.depth == 0 || query.depth > MAX_DEPTH {
        return Err(library::Error::Invalid(format!("the depth is 1 to {MAX_DEPTH}")));
    }
    let conditions = query.required.len() + query.excluded.len();
    if conditions > MAX_CONDITIONS {
        return Err(library::Error::Invalid(format!(
            "at most {MAX_CONDITIONS} words are conditions"
        )));
    }
    bounded(query.feedback.len())?;
    let filter = query.filter.as_deref().map(Filter::parse).transpose()?;
    let collection = library.collection(&query.collection)?;
    let legs = if vector.is_some() { query.legs } else { query.legs & wit::Legs::LEXICAL };
    let vector = vector.map(|vector| collection.moved(vector, &query.feedback));
    let found = collection.search(&library::Query {
        words: legs.contains(wit::Legs::LEXICAL).then_some(query.text.as_str()),
        vector: vector.as_deref(),
        depth: query.depth as usize,
        filter: filter.as_ref(),
        required: &query.required,
        excluded: &query.excluded,
        known,
    });
    let items = found.into_iter().map(|found| wit::Candidate {
        chunk: found.chunk,
        document: found.document,
        lexical: found.lexical,
        vector: found.vector,
    });
    Ok(wit::Candidates { items: items.collect(), legs })
}

/// The quote is read from the stored text, so a citation cannot say what its
/// source does not.
fn cite(
    library: &Library,
    collection: &str,
    requests: &[wit::CitationRequest],
) -> Result<Vec<wit::Citation>, library::Error> {
    bounded(requests.len())?;
    let collection = library.collection(collection)?;
    let citations = requests.iter().map(|request| {
        let document = collection.document(&request.document_id)?;
        let quote = document.slice(request.span.start, request.span.end);
        let quote = quote.filter(|quote| !quote.is_empty()).ok_or_else(|| {
            library::Error::Invalid("a citation lies outside its text or splits a character".into())
        })?;
        Ok(wit::Citation {
            document_id: document.id.clone(),
            quote: quote.to_owned(),
            span: request.span,
            sha256: document.sha256.clone(),
        })
    });
    citations.collect()
}

fn bounded(count: usize) -> Result<(), library::Error> {
    match count {
        0..=MAX_FETCHED => Ok(()),
        _ => Err(library::Error::Invalid(format!("at most {MAX_FETCHED} in one call"))),
    }
}

fn passage(found: Found<'_>) -> wit::Passage {
    let Found { number, chunk, document, language: _ } = found;
    wit::Passage {
        chunk: number,
        document_id: document.id.clone(),
        title: document.title.clone(),
        headings: chunk.headings.clone(),
        page: chunk.page,
        span: Span { start: chunk.start, end: chunk.end },
        text: document.chunk_text(chunk).to_owned(),
        metadata: document.metadata.clone(),
    }
}
