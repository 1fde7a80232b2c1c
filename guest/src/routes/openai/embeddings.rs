//! `POST /v1/embeddings`

use http::StatusCode;
use ragtime_api::limits;
use ragtime_api::problem::Code;
use ragtime_api::resource::openai::embeddings::{
    self as api, Embedding, List, Role, Usage, Vector,
};

use crate::bindings::embedding;
use crate::call::Call;
use crate::reply;
use crate::routes::RouteResult;

/// `POST /v1/embeddings`
pub(in crate::routes) async fn create(mut call: Call) -> RouteResult {
    let request = api::read(&call.json_body().await?)?;
    let models = embedding::models();
    if models.is_empty() {
        return Err(Code::EmbeddingUnavailable.into());
    }
    let named = models.into_iter().find(|model| model.name == request.model);
    let model = named.ok_or(Code::UnknownModel)?;
    if let Some(dimensions) = model.dimensions {
        request.check_dimensions(dimensions)?;
    }
    let role = match request.role {
        Role::Query => embedding::Role::Query,
        Role::Passage => embedding::Role::Passage,
    };
    let by = || Some(model.name.clone());
    let (mut tokens, mut data) = (0_usize, Vec::with_capacity(request.input.len()));
    for texts in request.input.chunks(limits::EMBEDDINGS_AT_ONCE) {
        let measured = |text: &String| embedding::Measured { text: text.clone(), language: None };
        let measured = texts.iter().map(measured).collect();
        let starts = embedding::tokens(&call.permit, by(), measured).await?;
        // With the two that stand around each text; the model reads no more than this.
        let most = model.max_tokens.map_or(usize::MAX, |most| most as usize);
        let read = |starts: &Vec<u32>| (starts.len() + 2).min(most);
        call.pay(starts.iter().map(read).sum()).await?;
        tokens += starts.iter().map(Vec::len).sum::<usize>();
        let vectors = embedding::embed(&call.permit, by(), role, texts.to_vec()).await?;
        data.extend((data.len()..).zip(vectors).map(|(index, floats)| Embedding {
            object: "embedding",
            index,
            embedding: Vector::new(floats, request.base64),
        }));
    }
    let usage = Usage { prompt_tokens: tokens, total_tokens: tokens };
    let list = List { object: "list", data, model: &model.name, usage };
    Ok(reply::json(StatusCode::OK, &list))
}
