//! `ragtime:models/embedding`

use std::sync::Arc;

use ragtime_embed::{Embedder, Role};
use ragtime_extractive::estimated_token_starts;
use ragtime_policy::scope::Scope;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::models0_1_0::embedding as wit;
use super::bindings::ragtime::models0_2_0::embedding as named;
use super::call::Call;
use super::error::{Cause, Denied, ImportError};
use super::rate_limit::Permit;
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
    fn convert_error(&mut self, error: ImportError<wit::Error>) -> wasmtime::Result<wit::Error> {
        error.into_error()
    }

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
    ) -> Result<Vec<Vec<f32>>, ImportError<wit::Error>> {
        let call = with_texts(Call::of(accessor, &permit)?, texts.len())?;
        let embedded = call.blocking(move |call| {
            let model = call.services.embeddings.default_model().ok_or(Failed::NoModel)?;
            embed_by(call, model, Role::Passage, &texts)
        });
        Ok(embedded.await??)
    }

    async fn tokens(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<u32>>, ImportError<wit::Error>> {
        let call = with_texts(Call::of(accessor, &permit)?, texts.len())?;
        let starts = counted(call, move |call| {
            let model = call.services.embeddings.default_model();
            texts.iter().map(|text| token_starts(model.map(Arc::as_ref), text)).collect()
        });
        starts.await
    }
}

/// Counts tokens once the call has a slot: what runs at once is bounded, as it
/// takes memory by the length of the texts.
pub(super) async fn counted<E: From<Denied> + From<Failed>>(
    call: Call,
    count: impl FnOnce(&Call) -> Result<Vec<Vec<u32>>, Failed> + Send + 'static,
) -> Result<Vec<Vec<u32>>, ImportError<E>> {
    let tokenising = &call.services.embeddings.tokenising;
    let slot = call.until_gone(tokenising.acquire()).await?;
    let starts = call.blocking(count).await;
    drop(slot);
    Ok(starts??)
}

/// Why texts were not embedded, or their tokens not counted.
pub(super) enum Failed {
    /// There are more of them than one call may have.
    TooMany,
    /// The key does not pay for them.
    Budget,
    /// There is no such model, or no default model.
    NoModel,
    /// The model failed.
    Model(ModelError),
}

impl Cause for Failed {}

/// Both versions of the interface say the same, apart from a name that no model has.
macro_rules! said_of_failed {
    ($error:ty, $no_model:ident) => {
        impl From<Failed> for $error {
            fn from(failed: Failed) -> Self {
                match failed {
                    Failed::TooMany => {
                        Self::Invalid(format!("at most {MAX_TEXTS} texts in one call"))
                    }
                    Failed::Budget => {
                        Self::Invalid("the key's budget does not cover these texts".to_owned())
                    }
                    Failed::NoModel => Self::$no_model,
                    Failed::Model(ModelError::NotLoaded) => Self::Unavailable,
                    Failed::Model(error) => Self::Other(Some(error.to_string())),
                }
            }
        }
    };
}

said_of_failed!(wit::Error, Unavailable);
said_of_failed!(named::Error, UnknownModel);

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

/// The call, if it may have so many texts embedded or counted.
pub(super) fn with_texts<E: From<Denied> + From<Failed>>(
    call: Call,
    texts: usize,
) -> Result<Call, ImportError<E>> {
    let call = call.with_either(Scope::Read, Scope::Write)?;
    if texts > MAX_TEXTS { Err(Failed::TooMany.into()) } else { Ok(call) }
}

pub(super) fn token_starts(model: Option<&EmbeddingModel>, text: &str) -> Result<Vec<u32>, Failed> {
    match model {
        Some(model) => model.token_starts(text).map_err(Failed::Model),
        None => Ok(estimated_token_starts(text)),
    }
}
