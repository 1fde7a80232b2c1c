//! `ragtime:models@0.2.0`: a stock runtime has one embedding model at most, an endpoint,
//! which embeds every collection, and no reranker.

use ragtime_policy::scope::Scope;

use super::documents::error_to_wit as store_error;
use super::{Denied, Permit, Provider, covers};
use crate::bindings::admission::PermitBorrow;
use crate::bindings::embedding as first;
use crate::bindings::named::{collections, embedding, reranking};
use crate::bindings::store;
use crate::state::{embedder, read};

impl embedding::Guest for Provider {
    fn models() -> Vec<embedding::Model> {
        let model = embedder().map(|embedder| embedding::Model {
            name: embedder.settings.endpoint.model.clone(),
            state: match embedder.is_failing() {
                true => embedding::State::Failed,
                false => embedding::State::Ready,
            },
            dimensions: u32::try_from(embedder.dimensions()).ok().filter(|length| *length > 0),
            max_tokens: Some(embedder.settings.max_tokens),
        });
        model.into_iter().collect()
    }

    async fn embed(
        permit: PermitBorrow<'_>,
        model: Option<String>,
        _: embedding::Role,
        texts: Vec<String>,
    ) -> Result<Vec<Vec<f32>>, embedding::Error> {
        known(model.as_deref())?;
        <Self as first::Guest>::embed(permit, texts).await.map_err(error_of)
    }

    async fn tokens(
        permit: PermitBorrow<'_>,
        model: Option<String>,
        texts: Vec<embedding::Measured>,
    ) -> Result<Vec<Vec<u32>>, embedding::Error> {
        known(model.as_deref())?;
        let texts = texts.into_iter().map(|one| one.text).collect();
        <Self as first::Guest>::tokens(permit, texts).await.map_err(error_of)
    }
}

/// Whether a model has this name, if one is named.
fn known(model: Option<&str>) -> Result<(), embedding::Error> {
    let is_ours =
        |name: &str| embedder().is_some_and(|embedder| embedder.settings.endpoint.model == name);
    match model.is_none_or(is_ours) {
        true => Ok(()),
        false => Err(embedding::Error::UnknownModel),
    }
}

/// Both versions refuse alike.
fn error_of(error: first::Error) -> embedding::Error {
    match error {
        first::Error::Unavailable => embedding::Error::Unavailable,
        first::Error::ScopeRequired => embedding::Error::ScopeRequired,
        first::Error::Invalid(detail) => embedding::Error::Invalid(detail),
        first::Error::Other(text) => embedding::Error::Other(text),
    }
}

impl collections::Guest for Provider {
    async fn embedded_by(
        permit: PermitBorrow<'_>,
        names: Vec<String>,
    ) -> Result<Vec<collections::Embedded>, store::Error> {
        for name in &names {
            allowed(&permit, Scope::Read, name)?;
        }
        let serving = embedder().map(|embedder| embedder.settings.endpoint.model.clone());
        let of = |_: &String| collections::Embedded {
            chosen: None,
            serving: serving.clone(),
            next: None,
            next_chunks: 0,
        };
        Ok(names.iter().map(of).collect())
    }

    async fn set_embedding_model(
        permit: PermitBorrow<'_>,
        name: String,
        model: Option<String>,
    ) -> Result<(), store::Error> {
        allowed(&permit, Scope::Write, &name)?;
        read(|library| library.collection(&name).map(drop)).map_err(store_error)?;
        match known(model.as_deref()) {
            Ok(()) => Ok(()),
            Err(_) => Err(store::Error::Invalid(
                "this host has one embedding model, the one that its settings name".into(),
            )),
        }
    }
}

fn allowed(permit: &PermitBorrow<'_>, scope: Scope, name: &str) -> Result<(), store::Error> {
    covers(&permit.get::<Permit>().key, scope, Some(name)).map_err(|denied| match denied {
        Denied::Scope(scope) => store::Error::ScopeRequired(super::auth::scope_to_wit(scope)),
        Denied::Collection => store::Error::CollectionForbidden,
    })
}

impl reranking::Guest for Provider {
    fn rerankers() -> Vec<String> {
        Vec::new()
    }

    async fn rerank(
        _: PermitBorrow<'_>,
        _: reranking::Request,
    ) -> Result<reranking::Reranked, reranking::Error> {
        Err(reranking::Error::UnknownModel)
    }
}
