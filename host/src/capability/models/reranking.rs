//! `ragtime:models/reranking@0.2.0`

use ragtime_embed::{EmbedError, Embedder};
use ragtime_policy::scope::Scope;
use wasmtime::component::{Accessor, Resource};

use crate::capability::bindings::ragtime::models0_2_0::reranking as wit;
use crate::capability::call::Call;
use crate::capability::error::ImportError;
use crate::capability::rate_limit::Permit;
use crate::model::RerankError;
use crate::runtime::state::{Capabilities, CapabilityView};

/// Passages of one call: more than any search reranks, so that one call cannot hold the
/// model for minutes.
const MAX_PASSAGES: usize = 1_000;

/// Tokens of reranking for a unit of a key's budget, as of embedding.
const TOKENS_PER_UNIT: usize = Embedder::MAX_TOKENS;

impl wit::Host for CapabilityView<'_> {
    fn convert_error(&mut self, error: ImportError<wit::Error>) -> wasmtime::Result<wit::Error> {
        error.into_error()
    }

    fn rerankers(&mut self) -> wasmtime::Result<Vec<String>> {
        Ok(self.services.rerankers.names())
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn rerank(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        request: wit::Request,
    ) -> Result<wit::Reranked, ImportError<wit::Error>> {
        let call = Call::of(accessor, &permit)?.with(Scope::Read)?;
        Ok(call.blocking(move |call| rerank(call, &request)).await??)
    }
}

fn rerank(call: &Call, request: &wit::Request) -> Result<wit::Reranked, wit::Error> {
    let rerankers = &call.services.rerankers;
    let model = rerankers.get(request.model.as_deref()).ok_or(wit::Error::UnknownModel)?;
    if request.passages.len() > MAX_PASSAGES {
        let detail = format!("at most {MAX_PASSAGES} passages are reranked at once");
        return Err(wit::Error::Invalid(detail));
    }
    let passages: Vec<_> = request.passages.iter().map(String::as_str).collect();
    let tokens = model.tokens(&request.query, &passages)?;
    let units = u32::try_from(tokens.div_ceil(TOKENS_PER_UNIT)).unwrap_or(u32::MAX);
    if !call.pay_for_work(units) {
        let detail = "the key's budget does not cover reranking these passages";
        return Err(wit::Error::Invalid(detail.into()));
    }
    let wanted = || !call.request.cancelled.is_cancelled();
    let reranked = model.rerank(&request.query, &passages, &wanted)?;
    Ok(wit::Reranked {
        model: model.name().to_owned(),
        relevance: reranked.relevance,
        cut: reranked.cut,
    })
}

impl From<RerankError> for wit::Error {
    fn from(error: RerankError) -> Self {
        match error {
            RerankError::NotLoaded => Self::Unavailable,
            RerankError::Local(error @ EmbedError::QueryTooLong { .. }) => {
                Self::Invalid(error.to_string())
            }
            RerankError::Endpoint(error) => {
                tracing::warn!(%error, "a reranking model did not answer");
                Self::Unavailable
            }
            RerankError::Local(error) => Self::Other(Some(error.to_string())),
        }
    }
}
