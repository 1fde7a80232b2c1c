//! `/v1/collections`

use http::StatusCode;
use ragtime_api::problem::Problem;
use ragtime_api::resource::collections::{self, Change, Chunking, Collection, List, NewCollection};
use ragtime_api::{parameters, time};

use super::Answer;
use crate::bindings::admission::Permit;
use crate::bindings::{details, store};
use crate::call::Call;
use crate::reply;

/// `GET /v1/collections`
pub(super) async fn list(call: Call) -> Answer {
    parameters::none(call.query())?;
    let collections = store::collections(&call.permit).await?;
    let names = collections.iter().map(|collection| collection.name.clone()).collect();
    let languages = languages(&call.permit, names).await?;
    let collections = collections.into_iter().zip(languages);
    let collections = collections.map(|(one, language)| described(one, language)).collect();
    Ok(reply::json(StatusCode::OK, &List { collections }))
}

/// `POST /v1/collections`
pub(super) async fn create(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let NewCollection { name, chunking, language } = collections::read(&call.json_body().await?)?;
    let chunking = chunking.map(store::Chunking::from);
    let collection = store::create_collection(&call.permit, name.clone(), chunking).await?;
    if language.is_some() {
        details::set_collection_language(&call.permit, name, language.clone()).await?;
    }
    let path = format!("/v1/collections/{}", collection.name);
    let mut response = reply::json(StatusCode::CREATED, &described(collection, language));
    reply::add_location(&mut response, &path);
    Ok(response)
}

/// `GET /v1/collections/{collection}`
pub(super) async fn get(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    let collection = store::get_collection(&call.permit, name.clone()).await?;
    Ok(reply::json(StatusCode::OK, &with_language(&call.permit, collection).await?))
}

/// `PATCH /v1/collections/{collection}`
pub(super) async fn update(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    let Change { chunking, language } = collections::read_change(&call.json_body().await?)?;
    if let Some(language) = language {
        details::set_collection_language(&call.permit, name.clone(), language).await?;
    }
    let collection = match chunking {
        Some(chunking) => store::update_collection(&call.permit, name, chunking.into()).await?,
        None => store::get_collection(&call.permit, name).await?,
    };
    Ok(reply::json(StatusCode::OK, &with_language(&call.permit, collection).await?))
}

/// `DELETE /v1/collections/{collection}`
pub(super) async fn delete(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    store::delete_collection(&call.permit, name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

/// Collections whose languages the host tells in one call.
const NAMES_PER_CALL: usize = 1_000;

/// The languages that were set for collections, in order.
async fn languages(permit: &Permit, names: Vec<String>) -> Result<Vec<Option<String>>, Problem> {
    let mut languages = Vec::with_capacity(names.len());
    for names in names.chunks(NAMES_PER_CALL) {
        languages.extend(details::collection_languages(permit, names.to_vec()).await?);
    }
    Ok(languages)
}

async fn with_language(
    permit: &Permit,
    collection: store::Collection,
) -> Result<Collection, Problem> {
    let known = languages(permit, vec![collection.name.clone()]).await?;
    Ok(described(collection, known.into_iter().next().flatten()))
}

fn described(collection: store::Collection, language: Option<String>) -> Collection {
    Collection {
        name: collection.name,
        documents: collection.documents,
        chunks: collection.chunks,
        chunking: Chunking {
            tokens: collection.chunking.tokens,
            overlap: collection.chunking.overlap,
        },
        language,
        uncut_documents: collection.uncut,
        created_at: time::rfc3339(collection.created_at),
    }
}

impl From<Chunking> for store::Chunking {
    fn from(chunking: Chunking) -> Self {
        Self { tokens: chunking.tokens, overlap: chunking.overlap }
    }
}
