//! `ragtime:models/measure`

use std::sync::Arc;

use ragtime_text::{Language, detect};
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::models0_1_0::embedding::Error;
use super::bindings::ragtime::models0_1_0::measure as wit;
use super::call::Call;
use super::embedding::{counted, token_starts, with_texts};
use super::error::ImportError;
use super::rate_limit::Permit;
use crate::runtime::state::{Capabilities, CapabilityView};

impl wit::Host for CapabilityView<'_> {}

impl<T: Send + 'static> wit::HostWithStore<T> for Capabilities {
    async fn tokens(
        accessor: &Accessor<T, Self>,
        permit: Resource<Permit>,
        texts: Vec<wit::Measured>,
    ) -> Result<Vec<Vec<u32>>, ImportError<Error>> {
        let call = with_texts(Call::of(accessor, &permit)?, texts.len())?;
        let starts = counted(call, move |call| {
            let embeddings = &call.services.embeddings;
            let of = |one: &wit::Measured| {
                let given = one.language.as_deref().and_then(Language::parse);
                let language = given.or_else(|| detect(&one.text, None));
                let model =
                    embeddings.default_model().filter(|model| model.languages().knows(language));
                token_starts(model.map(Arc::as_ref), &one.text)
            };
            texts.iter().map(of).collect()
        });
        starts.await
    }
}
