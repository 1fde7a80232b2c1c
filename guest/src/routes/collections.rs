//! `/v1/collections`

use http::StatusCode;
use ragtime_api::resource::collections::{self, Chunking, Collection, List, NewCollection};
use ragtime_api::{parameters, time};

use super::Answer;
use crate::bindings::store;
use crate::call::Call;
use crate::reply;

/// `GET /v1/collections`
pub(super) async fn list(call: Call) -> Answer {
    parameters::none(call.query())?;
    let collections = store::collections(&call.permit).await?;
    let collections = collections.into_iter().map(Collection::from).collect();
    Ok(reply::json(StatusCode::OK, &List { collections }))
}

/// `POST /v1/collections`
pub(super) async fn create(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let NewCollection { name, chunking } = collections::read(&call.json_body().await?)?;
    let chunking = chunking.map(store::Chunking::from);
    let collection = store::create_collection(&call.permit, name, chunking).await?;
    let path = format!("/v1/collections/{}", collection.name);
    let mut response = reply::json(StatusCode::CREATED, &Collection::from(collection));
    reply::add_location(&mut response, &path);
    Ok(response)
}

/// `GET /v1/collections/{collection}`
pub(super) async fn get(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    let collection = store::get_collection(&call.permit, name).await?;
    Ok(reply::json(StatusCode::OK, &Collection::from(collection)))
}

/// `PATCH /v1/collections/{collection}`
pub(super) async fn update(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    let chunking = collections::read_change(&call.json_body().await?)?;
    let collection = store::update_collection(&call.permit, name, chunking.into()).await?;
    Ok(reply::json(StatusCode::OK, &Collection::from(collection)))
}

/// `DELETE /v1/collections/{collection}`
pub(super) async fn delete(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let name = call.collection().await?;
    store::delete_collection(&call.permit, name).await?;
    Ok(reply::empty(StatusCode::NO_CONTENT))
}

impl From<store::Collection> for Collection {
    fn from(collection: store::Collection) -> Self {
        Self {
            name: collection.name,
            documents: collection.documents,
            chunks: collection.chunks,
            chunking: Chunking {
                tokens: collection.chunking.tokens,
                overlap: collection.chunking.overlap,
            },
            uncut_documents: collection.uncut,
            created_at: time::rfc3339(collection.created_at),
        }
    }
}

impl From<Chunking> for store::Chunking {
    fn from(chunking: Chunking) -> Self {
        Self { tokens: chunking.tokens, overlap: chunking.overlap }
    }
}
