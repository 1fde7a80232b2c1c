//! `ragtime:models/embedding@0.2.0`

use std::sync::Arc;

use ragtime_embed::Role;
use ragtime_text::{Language, detect};
use wasmtime::component::{Accessor, Resource};

use crate::capability::bindings::ragtime::models0_2_0::embedding as wit;
use crate::capability::call::Call;
use crate::capability::embedding::{counted, embed_by, token_starts, with_texts};
use crate::capability::error::ImportError;
use crate::capability::rate_limit::Permit;
use crate::model::{EmbeddingModel, LoadState};
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {
    fn convert_error(&mut self, error: ImportError<wit::Error>) -> wasmtime::Result<wit::Error> {
        error.into_error()
    }

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
    ) -> Result<Vec<Vec<f32>>, ImportError<wit::Error>> {
        let call = with_texts(Call::of(accessor, &permit)?, texts.len())?;
        let role = match role {
            wit::Role::Query => Role::Query,
            wit::Role::Passage => Role::Passage,
        };
        let embedded = call.blocking(move |call| {
            let model = named(call, model.as_deref())?;
            Ok::<_, wit::Error>(embed_by(call, model, role, &texts)?)
        });
        Ok(embedded.await??)
    }

    async fn tokens(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        model: Option<String>,
        texts: Vec<wit::Measured>,
    ) -> Result<Vec<Vec<u32>>, ImportError<wit::Error>> {
        let call = with_texts(Call::of(accessor, &permit)?, texts.len())?;
        if let Some(name) = &model
            && call.services.embeddings.get(name).is_none()
        {
            return Err(wit::Error::UnknownModel.into());
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
        starts.await
    }
}

fn named<'a>(call: &'a Call, name: Option<&str>) -> Result<&'a Arc<EmbeddingModel>, wit::Error> {
    let embeddings = &call.services.embeddings;
    match name {
        Some(name) => embeddings.get(name).ok_or(wit::Error::UnknownModel),
        None => embeddings.default_model().ok_or(wit::Error::Unavailable),
    }
}
