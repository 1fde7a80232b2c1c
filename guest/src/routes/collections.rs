//! `/v1/collections`

use http::StatusCode;
use ragtime_api::problem::Problem;
use ragtime_api::resource::collections::{
    self, Change, Chunking, Collection, Embedding, List, NewCollection, Prompt,
};
use ragtime_api::{parameters, time};

use super::RouteResult;
use crate::bindings::admission::Permit;
use crate::bindings::{details, models, store};
use crate::call::Call;
use crate::reply;

/// `GET /v1/collections`
pub(super) async fn list(call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let collections = store::collections(&call.permit).await?;
    let names: Vec<_> = collections.iter().map(|collection| collection.name.clone()).collect();
    let embedded = embedded(&call.permit, names.clone()).await?;
    let settings = settings(&call.permit, names).await?;
    let collections = collections.into_iter().zip(settings).zip(embedded);
    let described = collections.map(|((one, settings), by)| described(one, settings, by));
    let collections = described.collect();
    Ok(reply::json(StatusCode::OK, &List { collections }))
}

/// `POST /v1/collections`
pub(super) async fn create(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let NewCollection { name, chunking, language, prompt, embedding_model } =
        collections::read(&call.json_body().await?)?;
    let chunking = chunking.map(store::Chunking::from);
    let collection = store::create_collection(&call.permit, name.clone(), chunking).await?;
    if embedding_model.is_some() {
        let chosen = models::set_embedding_model(&call.permit, name.clone(), embedding_model);
        if let Err(error) = chosen.await {
            // Nobody would know that it is there.
            store::delete_collection(&call.permit, name).await?;
            return Err(error.into());
        }
    }
    if language.is_some() {
        details::set_collection_language(&call.permit, name.clone(), language).await?;
    }
    if let Some(prompt) = prompt {
        details::set_collection_prompt(&call.permit, name, prompt.into()).await?;
    }
    let path = format!("/v1/collections/{}", collection.name);
    let described = with_settings(&call.permit, collection).await?;
    let mut response = reply::json(StatusCode::CREATED, &described);
    reply::add_location(&mut response, &path);
    Ok(response)
}

/// `GET /v1/collections/{collection}`
pub(super) async fn get(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    let collection = store::get_collection(&call.permit, name.clone()).await?;
    Ok(reply::json(StatusCode::OK, &with_settings(&call.permit, collection).await?))
}

/// `PATCH /v1/collections/{collection}`
pub(super) async fn update(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    let Change { chunking, language, prompt, embedding_model } =
        collections::read_change(&call.json_body().await?)?;
    if let Some(model) = embedding_model {
        models::set_embedding_model(&call.permit, name.clone(), model).await?;
    }
    if let Some(language) = language {
        details::set_collection_language(&call.permit, name.clone(), language).await?;
    }
    if let Some(prompt) = prompt {
        details::set_collection_prompt(&call.permit, name.clone(), prompt.into()).await?;
    }
    let collection = match chunking {
        Some(chunking) => store::update_collection(&call.permit, name, chunking.into()).await?,
        None => store::get_collection(&call.permit, name).await?,
    };
    Ok(reply::json(StatusCode::OK, &with_settings(&call.permit, collection).await?))
}

/// `DELETE /v1/collections/{collection}`
pub(super) async fn delete(mut call: Call) -> RouteResult {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    store::delete_collection(&call.permit, name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Collections whose settings the host gives in one call.
const NAMES_PER_CALL: usize = 1_000;

/// What was set for collections, in order.
async fn settings(
    permit: &Permit,
    names: Vec<String>,
) -> Result<Vec<details::CollectionSettings>, Problem> {
    let mut settings = Vec::with_capacity(names.len());
    for names in names.chunks(NAMES_PER_CALL) {
        settings.extend(details::collection_settings_of(permit, names.to_vec()).await?);
    }
    Ok(settings)
}

/// The models of collections, in order.
async fn embedded(permit: &Permit, names: Vec<String>) -> Result<Vec<models::Embedded>, Problem> {
    let mut embedded = Vec::with_capacity(names.len());
    for names in names.chunks(NAMES_PER_CALL) {
        embedded.extend(models::embedded_by(permit, names.to_vec()).await?);
    }
    Ok(embedded)
}

/// How language models are asked about a collection.
pub(super) async fn prompt(permit: &Permit, collection: &str) -> Result<Prompt, Problem> {
    let settings = settings(permit, vec![collection.to_owned()]).await?;
    Ok(settings.into_iter().next().map(|one| one.prompt.into()).unwrap_or_default())
}

async fn with_settings(
    permit: &Permit,
    collection: store::Collection,
) -> Result<Collection, Problem> {
    let known = settings(permit, vec![collection.name.clone()]).await?;
    let embedded = embedded(permit, vec![collection.name.clone()]).await?;
    let by = embedded.into_iter().next().unwrap_or(models::Embedded {
        chosen: None,
        serving: None,
        next: None,
        next_chunks: 0,
    });
    let nothing = || details::CollectionSettings {
        language: None,
        prompt: details::Prompt { system: None, template: None },
    };
    Ok(described(collection, known.into_iter().next().unwrap_or_else(nothing), by))
}

fn described(
    collection: store::Collection,
    settings: details::CollectionSettings,
    by: models::Embedded,
) -> Collection {
    Collection {
        name: collection.name,
        documents: collection.documents,
        chunks: collection.chunks,
        chunking: Chunking {
            tokens: collection.chunking.tokens,
            overlap: collection.chunking.overlap,
        },
        language: settings.language,
        prompt: settings.prompt.into(),
        uncut_documents: collection.uncut,
        embedding: Embedding {
            chosen: by.chosen,
            model: by.serving,
            next_model: by.next,
            next_chunks: by.next_chunks,
        },
        created_at: time::rfc3339(collection.created_at),
    }
}

impl From<Chunking> for store::Chunking {
    fn from(chunking: Chunking) -> Self {
        Self { tokens: chunking.tokens, overlap: chunking.overlap }
    }
}

impl From<Prompt> for details::Prompt {
    fn from(prompt: Prompt) -> Self {
        Self { system: prompt.system, template: prompt.template }
    }
}

impl From<details::Prompt> for Prompt {
    fn from(prompt: details::Prompt) -> Self {
        Self { system: prompt.system, template: prompt.template }
    }
}
