//! `ragtime:models/embedding`

use ragtime_embed::Embedder;
use ragtime_policy::scope::Scope;
use wasmtime::component::{Accessor, Resource};

use super::bindings::ragtime::models::embedding as wit;
use super::rate_limit::Permit;
use super::{Call, GONE, call};
use crate::runtime::state::{Capabilities, CapabilityView};

/// Texts of one call. A handler that has more asks again, so that one request
/// cannot hold the model for minutes.
const MAX_TEXTS: usize = 1_024;

impl wit::Host for CapabilityView<'_> {
    fn current(&mut self) -> wasmtime::Result<Option<wit::Model>> {
        Ok(self.services.embeddings.model().map(|_| wit::Model {
            name: Embedder::NAME.into(),
            dimensions: Embedder::DIMENSIONS as u32,
            max_tokens: Embedder::MAX_TOKENS as u32,
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
        let vectors = call.blocking(move |call| {
            let model = call.services.embeddings.model().ok_or(wit::Error::Unavailable)?;
            let texts: Vec<_> = texts.iter().map(String::as_str).collect();
            model.embed(&texts).map_err(|error| wit::Error::Other(Some(error.to_string())))
        });
        Ok(vectors.await.unwrap_or_else(|| Err(gone())))
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
        let starts = call.blocking(move |call| {
            let model = call.services.embeddings.model();
            texts.iter().map(|text| token_starts(model, text)).collect()
        });
        Ok(starts.await.unwrap_or_else(|| Err(gone())))
    }
}

fn allowed(call: Option<Call>, texts: usize) -> Result<Call, wit::Error> {
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

fn token_starts(model: Option<&Embedder>, text: &str) -> Result<Vec<u32>, wit::Error> {
    match model {
        Some(model) => {
            model.token_starts(text).map_err(|error| wit::Error::Other(Some(error.to_string())))
        }
        None => Ok(estimated_token_starts(text)),
    }
}

/// Characters of a word that make one token, as a rule of thumb for word
/// pieces of English: shorter words are one token, longer ones break up.
const CHARS_PER_TOKEN: usize = 6;

fn estimated_token_starts(text: &str) -> Vec<u32> {
    let mut starts = Vec::new();
    let mut run = 0;
    for (at, character) in text.char_indices() {
        if character.is_whitespace() {
            run = 0;
            continue;
        }
        if run % CHARS_PER_TOKEN == 0 || !character.is_alphanumeric() {
            starts.extend(u32::try_from(at));
        }
        run = if character.is_alphanumeric() { run + 1 } else { 0 };
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::estimated_token_starts;

    #[test]
    fn an_estimate_starts_every_word_and_breaks_long_ones() {
        assert_eq!(estimated_token_starts("a bc, antidisestablish"), [0, 2, 4, 6, 12, 18]);
    }

    #[test]
    fn an_estimate_lies_on_character_boundaries() {
        let text = "žluťoučký kůň 馬馬馬馬馬馬馬馬";
        assert!(estimated_token_starts(text).iter().all(|at| text.is_char_boundary(*at as usize)));
    }
}
