//! `/v1/models`

use http::StatusCode;
use ragtime_api::problem::{Code, Problem};
use ragtime_api::resource::openai::models::{List, Model};
use ragtime_api::resource::openai::{self, files};

use crate::bindings::{embedding, store};
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;

/// `GET /v1/models`
pub(in crate::routes) async fn list(call: Call) -> RouteResult {
    let collections = store::collections(&call.permit).await?.into_iter();
    // Nothing can be asked of files as they came.
    let collections = collections.filter(|collection| collection.name != files::COLLECTION);
    let data = collections.map(model).chain(embedding_models()).collect();
    Ok(reply::json(StatusCode::OK, &List { object: "list", data }))
}

/// `GET /v1/models/{id}`
pub(in crate::routes) async fn get(mut call: Call) -> RouteResult {
    let id = call.id().await?;
    if let Some(model) = embedding_models().find(|model| model.id == id) {
        return Ok(reply::json(StatusCode::OK, &model));
    }
    let collection = openai::collection(&id).ok_or(Code::UnknownModel)?.to_owned();
    answer(call, collection).await
}

/// `GET /v1/models/ragtime/{collection}`
pub(in crate::routes) async fn get_collection(mut call: Call) -> RouteResult {
    let collection = call.collection().await?;
    answer(call, collection).await
}

async fn answer(call: Call, collection: String) -> RouteResult {
    let found = store::get_collection(&call.permit, collection).await.map_err(unknown)?;
    Ok(reply::json(StatusCode::OK, &model(found)))
}

/// A collection that is missing is a model that is missing.
pub(super) fn unknown(error: store::Error) -> Problem {
    match error {
        store::Error::UnknownCollection => Code::UnknownModel.into(),
        error => error.into(),
    }
}

fn model(collection: store::Collection) -> Model {
    Model::new(openai::model(&collection.name), collection.created_at)
}

/// Those that embed now.
fn embedding_models() -> impl Iterator<Item = Model> {
    let ready = |model: &embedding::Model| matches!(model.state, embedding::State::Ready);
    let models = embedding::models().into_iter().filter(ready);
    models.map(|model| Model::new(model.name, 0))
}
