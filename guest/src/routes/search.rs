//! `POST /v1/collections/{collection}/search`, and the retrieval that answers
//! share with it: two host calls, one for candidates and one for passages.

use std::collections::HashSet;
use std::time::Instant;

use axum::body::Body;
use http::StatusCode;
use ragtime_api::diversity::{self, Diversity};
use ragtime_api::fusion::{self, Candidate, Ranking};
use ragtime_api::problem::{Code, Problem};
use ragtime_api::query_syntax::ParsedQuery;
use ragtime_api::resource::documents::chunk_id;
use ragtime_api::resource::search::{
    self as api, Explanation, Mode, Reranked, SearchRequest, SearchResponse, SearchResult,
};
use ragtime_api::resource::{Span, raw};
use ragtime_api::{json, limits, parameters};

use super::{RouteResult, rerank};
use crate::bindings::admission::Permit;
use crate::bindings::details::{self, Details};
use crate::bindings::search::{self, Legs, Passage};
use crate::call::Call;
use crate::reply;

/// What is looked for.
pub(super) struct Wanted {
    /// Where.
    pub(super) collection: String,
    /// The user's words.
    pub(super) text: String,
    /// Words and phrases that a passage has to contain.
    pub(super) required: Vec<String>,
    /// Words and phrases that it must not contain.
    pub(super) excluded: Vec<String>,
    /// A filter on metadata, as JSON.
    pub(super) filter: Option<String>,
    /// How what is found is ranked.
    pub(super) ranking: Ranking,
    /// How little it may repeat itself.
    pub(super) diversity: Diversity,
    /// How many of the best are reranked, if any.
    pub(super) rerank: Option<u32>,
}

/// What was found.
pub(super) struct Found {
    /// What the retrievers found.
    pub(super) candidates: Vec<Candidate>,
    /// Passages with their scores, best first.
    pub(super) hits: Vec<(Passage, f64)>,
    /// How they were ranked, in the mode in effect.
    pub(super) ranking: Ranking,
    /// How they were reranked, if they were.
    pub(super) reranked: Option<Reranked>,
}

/// `POST …/search`
pub(super) async fn search(mut call: Call) -> RouteResult {
    let started = Instant::now();
    parameters::none(call.query())?;
    let collection = call.collection().await?;
    let request = api::read(&call.json_body().await?)?;
    let found = answer(&call.permit, collection, request, started).await?;
    Ok(reply::with_type(StatusCode::OK, "application/json", Body::from(found)))
}

/// What a search finds, as JSON.
pub(super) async fn answer(
    permit: &Permit,
    collection: String,
    request: SearchRequest,
    started: Instant,
) -> Result<String, Problem> {
    let ranking = Ranking {
        mode: request.mode,
        vector_weight: Ranking::EQUAL,
        per_document: request.per_document,
        top_k: request.top_k as usize,
        min_score: request.min_score,
        depth: limits::depth(request.top_k) as usize,
    };
    let ParsedQuery { text, required, excluded } = ParsedQuery::parse(&request.query);
    let asked = request.highlight.then(|| text.clone());
    let wanted = Wanted {
        collection: collection.clone(),
        text,
        required,
        excluded,
        filter: request.filter,
        ranking,
        diversity: request.diversity,
        rerank: request.rerank,
    };
    let found = retrieve(permit, wanted).await?;
    let mode = found.ranking.mode;
    let explained = request.explain.then_some(&found);
    let shown = match asked {
        Some(asked) => highlights(permit, collection, &asked, &found.hits).await?,
        None => Vec::new(),
    };
    let mut shown = shown.into_iter();
    let results = found.hits.iter().map(|(passage, score)| SearchResult {
        highlights: shown.next(),
        ..result(passage, *score, explained)
    });
    let response = SearchResponse {
        results: results.collect(),
        mode: mode.name(),
        degraded: mode != request.mode,
        reranked: found.reranked.as_ref(),
        took_ms: took_ms(started),
    };
    Ok(json::encode(&response))
}

/// Where passages say the words of a query, each in the language of its document.
async fn highlights(
    permit: &Permit,
    collection: String,
    query: &str,
    hits: &[(Passage, f64)],
) -> Result<Vec<Vec<Span>>, Problem> {
    let ids = hits.iter().map(|(passage, _)| passage.document_id.clone()).collect();
    let known = details::of_documents(permit, collection, ids).await?;
    let of = |((passage, _), details): (&(Passage, f64), &Details)| {
        api::highlights(query, &passage.text, passage.span.start, details.language.as_deref())
    };
    Ok(hits.iter().zip(&known).map(of).collect())
}

/// Finds the best passages.
pub(super) async fn retrieve(permit: &Permit, wanted: Wanted) -> Result<Found, Problem> {
    let Wanted { collection, text, required, excluded, filter, mut ranking, diversity, rerank } =
        wanted;
    let asked = text.clone();
    let depth = u32::try_from(ranking.depth).unwrap_or(limits::MIN_DEPTH);
    let legs = retrievers(ranking.mode);
    let mut query = search::Query {
        collection: collection.clone(),
        text,
        legs,
        depth,
        filter,
        required,
        excluded,
        feedback: Vec::new(),
    };
    let mut found = search::find_candidates(permit, query.clone()).await?;
    ranking.mode = effective(ranking.mode, found.legs)?;
    if ranking.mode == Mode::Hybrid {
        query.feedback = fusion::feedback(&candidates(&found), &ranking);
        found = search::find_candidates(permit, query).await?;
    }
    let mut candidates = candidates(&found);
    let wide = match rerank {
        // What is good enough is what the reranker finds so.
        Some(depth) => {
            let top_k = pool_of(&ranking, diversity).max(depth as usize);
            Ranking { top_k, min_score: None, ..ranking }
        }
        None => Ranking { top_k: pool_of(&ranking, diversity), ..ranking },
    };
    let mut hits = read(permit, &collection, &mut candidates, &wide).await?;
    let mut reranked = None;
    if let Some(depth) = rerank {
        let (ordered, how) = rerank::hits(permit, asked, depth, hits).await?;
        hits = ordered;
        hits.retain(|(_, score)| ranking.min_score.is_none_or(|least| *score >= least));
        hits.truncate(pool_of(&ranking, diversity));
        reranked = Some(how);
    }
    if diversity.is_wanted() {
        hits = varied(hits, diversity, ranking.top_k);
    }
    Ok(Found { candidates, hits, ranking, reranked })
}

/// Reads the texts of the best candidates. A document may be deleted or rechunked between
/// finding and reading: the next best then take the places of its chunks, which leave the
/// candidates.
async fn read(
    permit: &Permit,
    collection: &str,
    candidates: &mut Vec<Candidate>,
    ranking: &Ranking,
) -> Result<Vec<(Passage, f64)>, Problem> {
    loop {
        let ranked = fusion::rank(candidates, ranking);
        if ranked.is_empty() {
            return Ok(Vec::new());
        }
        let chunks: Vec<_> = ranked.iter().map(|ranked| ranked.chunk).collect();
        let passages = search::passages(permit, collection.to_owned(), chunks.clone()).await?;
        if passages.len() == chunks.len() {
            // They come in the order asked.
            let scores = ranked.iter().map(|ranked| ranked.score);
            return Ok(passages.into_iter().zip(scores).collect());
        }
        let read: HashSet<_> = passages.iter().map(|passage| passage.chunk).collect();
        let gone: HashSet<_> = chunks.into_iter().filter(|chunk| !read.contains(chunk)).collect();
        candidates.retain(|candidate| !gone.contains(&candidate.chunk));
    }
}

/// How many passages are looked at for those that are returned.
fn pool_of(ranking: &Ranking, diversity: Diversity) -> usize {
    if diversity.is_wanted() { pool(ranking.top_k) } else { ranking.top_k }
}

fn pool(top_k: usize) -> usize {
    limits::pool(u32::try_from(top_k).unwrap_or(limits::MAX_TOP_K)) as usize
}

/// Those of the passages that repeat each other little, in the order picked.
fn varied(hits: Vec<(Passage, f64)>, diversity: Diversity, limit: usize) -> Vec<(Passage, f64)> {
    let texts: Vec<_> =
        hits.iter().map(|(passage, score)| (passage.text.as_str(), *score)).collect();
    let picked = diversity::pick(&texts, diversity, limit);
    let mut hits: Vec<_> = hits.into_iter().map(Some).collect();
    picked.into_iter().filter_map(|place| hits.get_mut(place)?.take()).collect()
}

fn candidates(found: &search::Candidates) -> Vec<Candidate> {
    found.items.iter().map(|candidate| Candidate::from(*candidate)).collect()
}

fn retrievers(mode: Mode) -> Legs {
    match mode {
        Mode::Hybrid => Legs::LEXICAL | Legs::VECTOR,
        Mode::Lexical => Legs::LEXICAL,
        Mode::Vector => Legs::VECTOR,
    }
}

/// The mode that the retrievers which ran allow.
fn effective(asked: Mode, ran: Legs) -> Result<Mode, Problem> {
    match asked {
        Mode::Vector if !ran.contains(Legs::VECTOR) => Err(Code::EmbeddingUnavailable.into()),
        Mode::Hybrid if !ran.contains(Legs::VECTOR) => Ok(Mode::Lexical),
        asked => Ok(asked),
    }
}

fn result<'a>(passage: &'a Passage, score: f64, explained: Option<&Found>) -> SearchResult<'a> {
    let explain = |found: &Found| {
        let explained = fusion::explain(&found.candidates, &found.ranking, passage.chunk)?;
        // One that was not scored has the score 0.
        let rerank = found.reranked.as_ref().map(|_| score).filter(|score| *score > 0.0);
        Some(Explanation { rerank, ..explained })
    };
    SearchResult {
        document_id: &passage.document_id,
        chunk_id: chunk_id(&passage.document_id, passage.span.into()),
        score,
        title: passage.title.as_deref(),
        headings: &passage.headings,
        page: passage.page,
        text: &passage.text,
        span: passage.span.into(),
        metadata: raw(&passage.metadata),
        highlights: None,
        explain: explained.and_then(explain),
    }
}

/// Milliseconds since.
pub(super) fn took_ms(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl From<search::Candidate> for Candidate {
    fn from(candidate: search::Candidate) -> Self {
        Self {
            chunk: candidate.chunk,
            document: candidate.document,
            lexical: candidate.lexical,
            vector: candidate.vector,
        }
    }
}
