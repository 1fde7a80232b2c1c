//! Ordering by a reranker: what a search found, and `POST /v1/rerank`.

use http::StatusCode;
use ragtime_api::parameters;
use ragtime_api::problem::Problem;
use ragtime_api::resource::rerank::{self as api, RerankDocument, RerankResponse, RerankResult};
use ragtime_api::resource::search::Reranked;

use super::RouteResult;
use crate::bindings::admission::Permit;
use crate::bindings::reranking;
use crate::bindings::search::Passage;
use crate::call::Call;
use crate::reply;

/// `POST /v1/rerank`
pub(super) async fn rerank(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let request = api::read(&call.json_body().await?)?;
    let asked = reranking::Request {
        model: request.model,
        query: request.query,
        passages: request.documents.clone(),
    };
    let reranked = reranking::rerank(&call.permit, asked).await?;
    let text = |place: usize| request.documents.get(place).filter(|_| request.return_documents);
    let results = api::order(&reranked.relevance, request.top_n).into_iter();
    let results = results.map(|(index, relevance_score)| RerankResult {
        index,
        relevance_score,
        document: text(index).map(|text| RerankDocument { text }),
    });
    let (model, cut) = (reranked.model.as_str(), reranked.cut);
    let response = RerankResponse { results: results.collect(), model, cut };
    Ok(reply::json(StatusCode::OK, &response))
}

/// The first `depth` of what was found, with the scores of the reranker, best first; then
/// those that it did not score, in the order in which they were found.
pub(super) async fn hits(
    permit: &Permit,
    query: String,
    depth: u32,
    mut hits: Vec<(Passage, f64)>,
) -> Result<(Vec<(Passage, f64)>, Reranked), Problem> {
    let rest = hits.split_off(hits.len().min(depth as usize));
    let passages: Vec<_> = hits.iter().map(|(passage, _)| read(passage)).collect();
    let given = u32::try_from(passages.len()).unwrap_or(depth);
    let request = reranking::Request { model: None, query, passages };
    let reranked = reranking::rerank(permit, request).await?;
    let order = api::order(&reranked.relevance, usize::MAX);
    let mut hits: Vec<_> = hits.into_iter().map(Some).collect();
    let mut ordered = Vec::with_capacity(hits.len() + rest.len());
    for (place, relevance) in order {
        if let Some((passage, _)) = hits.get_mut(place).and_then(Option::take) {
            // Six digits: the rest is noise.
            ordered.push((passage, (f64::from(relevance) * 1e6).round() / 1e6));
        }
    }
    let unscored = hits.into_iter().flatten().chain(rest);
    ordered.extend(unscored.map(|(passage, _)| (passage, 0.0)));
    Ok((ordered, Reranked { model: reranked.model, depth: given, cut: reranked.cut }))
}

/// What the reranker reads of a passage: what it is part of belongs to its meaning.
fn read(passage: &Passage) -> String {
    let title = passage.title.as_deref().into_iter();
    let lines = title.chain(passage.headings.iter().map(String::as_str));
    let lines: Vec<_> =
        lines.chain([passage.text.as_str()]).filter(|line| !line.is_empty()).collect();
    lines.join("\n")
}
