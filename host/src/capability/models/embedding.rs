//! `ragtime:models/embedding@0.2.0`

use std::sync::Arc;

use ragtime_embed::Role;
use ragtime_text::{Language, detect};
use wasmtime::component::{Accessor, Resource};

use crate::capability::bindings::ragtime::models0_1_0::embedding as first;
use crate::capability::bindings::ragtime::models0_2_0::embedding as wit;
use crate::capability::embedding::{Failed, NO_BUDGET, allowed, counted, embed_by, token_starts};
use crate::capability::rate_limit::Permit;
use crate::capability::{Call, GONE, call};
use crate::model::{EmbeddingModel, LoadState, ModelError};
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {
    fn models(&mut self) -> wasmtime::Result<Vec<wit::Model>> {
        let embeddings = &self.services.embeddings;
        let default = embeddings.default_name();
        let mut models: Vec<_> = embeddings.all().collect();
        models.sort_by_key(|model| Some(model.name()) != default);
        Ok(models.into_iter().map(|model| model_to_wit(model)).collect())
    }
}

fn model_to_wit(model: &EmbeddingModel) -> wit::Model {
    let number = |number: usize| u32::try_from(number).ok();
    wit::Model {
        name: model.name().to_owned(),
        state: match model.state() {
            LoadState::Coming => wit::State::Loading,
            LoadState::Ready => wit::State::Ready,
            LoadState::Off | LoadState::Failed(_) => wit::State::Failed,
        },
        dimensions: model.dimensions().and_then(number),
        max_tokens: model.max_tokens().and_then(number),
    }
}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn embed(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        model: Option<String>,
        role: wit::Role,
        texts: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<Vec<f32>>, wit::Error>> {
        let call = match allowed(call(accessor, &permit)?, texts.len()) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error_of(error))),
        };
        let role = match role {
            wit::Role::Query => Role::Query,
            wit::Role::Passage => Role::Passage,
        };
        let embedded = call.blocking(move |call| {
            let model = named(call, model.as_deref())?;
            embed_by(call, model, role, &texts).map_err(|failed| match failed {
                Failed::Budget => wit::Error::Invalid(NO_BUDGET.into()),
                Failed::Model(ModelError::NotLoaded) => wit::Error::Unavailable,
                Failed::Model(error) => wit::Error::Other(Some(error.to_string())),
            })
        });
        let gone = || wit::Error::Other(Some(GONE.into()));
        Ok(embedded.await.unwrap_or_else(|| Err(gone())))
    }

    async fn tokens(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        model: Option<String>,
        texts: Vec<wit::Measured>,
    ) -> wasmtime::Result<Result<Vec<Vec<u32>>, wit::Error>> {
        let call = match allowed(call(accessor, &permit)?, texts.len()) {
            Ok(call) => call,
            Err(error) => return Ok(Err(error_of(error))),
        };
        if let Some(name) = &model
            && call.services.embeddings.get(name).is_none()
        {
            return Ok(Err(wit::Error::UnknownModel));
        }
        let starts = counted(call, move |call| {
            let model = named(call, model.as_deref()).ok().map(Arc::as_ref);
            let of = |one: &wit::Measured| {
                let given = one.language.as_deref().and_then(Language::parse);
                let language = given.or_else(|| detect(&one.text, None));
                let knows = model.filter(|model| model.languages().knows(language));
                token_starts(knows, &one.text)
            };
            texts.iter().map(of).collect()
        });
        Ok(starts.await.map_err(error_of))
    }
}

fn named<'a>(call: &'a Call, name: Option<&str>) -> Result<&'a Arc<EmbeddingModel>, wit::Error> {
    let embeddings = &call.services.embeddings;
    match name {
        Some(name) => embeddings.get(name).ok_or(wit::Error::UnknownModel),
        None => embeddings.default_model().ok_or(wit::Error::Unavailable),
    }
}

/// Both versions refuse alike.
fn error_of(error: first::Error) -> wit::Error {
    match error {
        first::Error::Unavailable => wit::Error::Unavailable,
        first::Error::ScopeRequired => wit::Error::ScopeRequired,
        first::Error::Invalid(detail) => wit::Error::Invalid(detail),
        first::Error::Other(text) => wit::Error::Other(text),
    }
}
