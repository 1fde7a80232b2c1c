//! `ragtime:models/embedding`: vectors from an endpoint when one is set, and an
//! estimate of tokens.

use ragtime_extractive::estimated_token_starts;
use ragtime_policy::scope::Scope;

use super::{Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::embedding as wit;
use crate::log::log;
use crate::state::embedder;

/// Texts of one call, as the host allows.
const MAX_TEXTS: usize = 1_024;

impl wit::Guest for Provider {
    fn current() -> Option<wit::Model> {
        let embedder = embedder()?;
        Some(wit::Model {
            name: embedder.settings.endpoint.model.clone(),
            dimensions: u32::try_from(embedder.dimensions()).unwrap_or(u32::MAX),
            max_tokens: embedder.settings.max_tokens,
        })
    }

    async fn embed(
        permit: PermitBorrow<'_>,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, wit::Error> {
        allowed(&permit, texts.len())?;
        let embedder = embedder().ok_or(wit::Error::Unavailable)?;
        embedder.embed(&texts).await.map_err(|error| {
            log("warn", "the embedding model did not answer", &error.to_string());
            wit::Error::Unavailable
        })
    }

    async fn tokens(
        permit: PermitBorrow<'_>,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<u32>>, wit::Error> {
        allowed(&permit, texts.len())?;
        Ok(texts.iter().map(|text| estimated_token_starts(text)).collect())
    }
}

pub(super) fn allowed(permit: &PermitBorrow<'_>, texts: usize) -> Result<(), wit::Error> {
    let key = &permit.get::<Permit>().key;
    if covers(key, Scope::Read, None).is_err() && covers(key, Scope::Write, None).is_err() {
        return Err(wit::Error::ScopeRequired);
    }
    match texts {
        0..=MAX_TEXTS => Ok(()),
        _ => Err(wit::Error::Invalid(format!("at most {MAX_TEXTS} texts in one call"))),
    }
}
