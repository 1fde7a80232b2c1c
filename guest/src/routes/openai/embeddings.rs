//! `POST /v1/embeddings`

use http::StatusCode;
use ragtime_api::parameters;
use ragtime_api::problem::Code;
use ragtime_api::resource::openai::embeddings::{self as api, Embedding, List, Usage, Vector};
use ragtime_api::routes::Work;

use crate::bindings::embedding;
use crate::call::Call;
use crate::reply;
use crate::routes::Answer;

/// `POST /v1/embeddings`
pub(in crate::routes) async fn create(mut call: Call) -> Answer {
    parameters::none(call.query())?;
    let request = api::read(&call.json_body().await?)?;
    let model = embedding::current().ok_or(Code::EmbeddingUnavailable)?;
    if model.name != request.model {
        return Err(Code::UnknownModel.into());
    }
    let tokens = embedding::tokens(&call.permit, request.input.clone()).await?;
    // With the two that stand around each text; the model reads no more than this.
    let read = |tokens: &Vec<u32>| (tokens.len() + 2).min(model.max_tokens as usize);
    call.pay(Work::Tokens, tokens.iter().map(read).sum()).await?;
    let tokens = tokens.iter().map(Vec::len).sum();
    let vectors = embedding::embed(&call.permit, request.input).await?;
    let data = vectors.into_iter().enumerate().map(|(index, floats)| Embedding {
        object: "embedding",
        index,
        embedding: Vector::new(floats, request.base64),
    });
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let list = List { object: "list", data: data.collect(), model: &model.name, usage };
    Ok(reply::json(StatusCode::OK, &list))
}
