//! `ragtime:models/embedding`

use std::sync::Arc;

use ragtime_embed::{Embedder, Role};
use ragtime_extractive::estimated_token_starts;
use ragtime_policy::scope::Scope;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::models0_1_0::embedding as wit;
use super::rate_limit::Permit;
use super::{Call, GONE, call};
use crate::model::{EmbeddingModel, ModelError};
use crate::runtime::state::{Capabilities, CapabilityView};

/// Texts of one call. A handler that has more asks again, so that one request
/// cannot hold the model for minutes.
const MAX_TEXTS: usize = 1_024;

/// Tokens of embedding for a unit of a key's budget: one text of the longest that
/// the model reads, some 100 ms of two cores. A handler that has been admitted at
/// less pays the difference.
const TOKENS_PER_UNIT: usize = Embedder::MAX_TOKENS;

/// Tokens that a text is said to have room for where an endpoint does not say.
pub(super) const UNSAID_TOKENS: usize = 8_192;

impl wit::Host for CapabilityView<'_> {
    fn current(&mut self) -> wasmtime::Result<Option<wit::Model>> {
        let model = self.services.embeddings.default_model().filter(|model| model.is_ready());
        Ok(model.map(|model| {
            let number = |number: Option<usize>| u32::try_from(number.unwrap_or(0)).unwrap_or(0);
            wit::Model {
                name: model.name().to_owned(),
                dimensions: number(model.dimensions()),
                max_tokens: number(model.max_tokens().or(Some(UNSAID_TOKENS))),
            }
        }))
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn embed(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        texts: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Vec<f32>>, wit::Error>> {
        let call = match allowed(call(accessor, &permit)?, texts.len()) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        Ok(call.blocking(move |call| embed(call, &texts)).await.unwrap_or_else(|| Err(gone())))
    }

    async fn tokens(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        texts: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Vec<u32>>, wit::Error>> {
        let call = match allowed(call(accessor, &permit)?, texts.len()) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error)),
        };
        let starts = counted(call, move |call| {
            let model = call.services.embeddings.default_model();
            texts.iter().map(|text| token_starts(model.map(Arc::as_ref), text)).collect()
        });
        Ok(starts.await)
    }
}

/// Counts tokens when it is the call's turn to: what runs at once is bounded, as it
/// takes memory by the length of the texts.
pub(super) async fn counted(
    call: Call,
    count: impl FnOnce(&Call) -> Result<Vec<Vec<u32>>, wit::Error> + Send + 'static,
) -> Result<Vec<Vec<u32>>, wit::Error> {
    let tokenising = &call.services.embeddings.tokenising;
    let Some(turn) = call.until_gone(tokenising.acquire()).await else {
        return Err(gone());
    };
    let starts = call.blocking(count).await.unwrap_or_else(|| Err(gone()));
    drop(turn);
    starts
}

/// Embeds texts by the default model, for as long as the client waits and its budget
/// lasts.
fn embed(call: &Call, texts: &[String]) -> Result<Vec<Vec<f32>>, wit::Error> {
    let model = call.services.embeddings.default_model().ok_or(wit::Error::Unavailable)?;
    let embedded = embed_by(call, model, Role::Passage, texts);
    embedded.map_err(|failed| match failed {
        Failed::Budget => wit::Error::Invalid(NO_BUDGET.into()),
        Failed::Model(ModelError::NotLoaded) => wit::Error::Unavailable,
        Failed::Model(error) => wit::Error::Other(Some(error.to_string())),
    })
}

/// Said of texts that a key cannot pay for.
pub(super) const NO_BUDGET: &str = "the key's budget does not cover these texts";

/// Why texts were not embedded.
pub(super) enum Failed {
    /// The key does not pay for them.
    Budget,
    /// The model.
    Model(ModelError),
}

/// Embeds texts by a model, for as long as the client waits and its budget lasts.
pub(super) fn embed_by(
    call: &Call,
    model: &EmbeddingModel,
    role: Role,
    texts: &[String],
) -> Result<Vec<Vec<f32>>, Failed> {
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let tokens: usize = match model.local() {
        Some(local) => {
            let tokens = local.tokens_as(role, &texts).map_err(ModelError::from);
            tokens.map_err(Failed::Model)?.iter().map(Vec::len).sum()
        }
        None => texts.iter().map(|text| estimated_token_starts(text).len()).sum(),
    };
    let work = tokens.div_ceil(TOKENS_PER_UNIT);
    if !call.pay_for_work(u32::try_from(work).unwrap_or(u32::MAX)) {
        return Err(Failed::Budget);
    }
    let wanted = || !call.request.cancelled.is_cancelled();
    model.embed(role, &texts, &wanted).map_err(Failed::Model)
}

pub(super) fn allowed(call: Option<Call>, texts: usize) -> Result<Call, wit::Error> {
    let call = call.ok_or_else(gone)?;
    let permit = &call.permit;
    if permit.allows(Scope::Read).is_err() && permit.allows(Scope::Write).is_err() {
        return Err(wit::Error::ScopeRequired);
    }
    if texts > MAX_TEXTS {
        return Err(wit::Error::Invalid(format!("at most {MAX_TEXTS} texts in one call")));
    }
    Ok(call)
}

fn gone() -> wit::Error {
    wit::Error::Other(Some(GONE.into()))
}

pub(super) fn token_starts(
    model: Option<&EmbeddingModel>,
    text: &str,
) -> Result<Vec<u32>, wit::Error> {
    match model {
        Some(model) => {
            model.token_starts(text).map_err(|error| wit::Error::Other(Some(error.to_string())))
        }
        None => Ok(estimated_token_starts(text)),
    }
}
