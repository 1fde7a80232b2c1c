//! What each route does.

mod answer;
mod collections;
mod describe;
mod documents;
mod events;
mod health;
mod ingest;
mod jobs;
mod keys;
pub(crate) mod mcp;
mod openai;
mod query;
mod rerank;
mod search;

use axum::extract::Request;
use axum::response::Response;
use ragtime_api::problem::Problem;
use ragtime_api::routes::{
    Collections, Documents, Files, Jobs, Keys, OpenAi, Operation, Questions, Server, StoreFiles,
    VectorStores,
};

use crate::call::{Call, path_parameter};
use crate::pages;

/// What a route answers.
pub(crate) type RouteResult = Result<Response, Problem>;

/// Serves a route that needs no key.
pub(crate) async fn open(operation: Server, request: Request) -> RouteResult {
    match operation {
        Server::Live => Ok(health::live()),
        Server::Ready => Ok(health::ready()),
        Server::ExplainProblem => health::explain_problem(request).await,
        Server::ExplainWarning => health::explain_warning(request).await,
        Server::Describe => Ok(describe::document(&request)),
        Server::Playground => Ok(pages::playground()),
        Server::Docs => Ok(pages::docs()),
        Server::Asset => {
            let (mut parts, _) = request.into_parts();
            pages::asset(&path_parameter(&mut parts, "name").await?)
        }
    }
}

/// Serves a route for a caller that was admitted: each operation has its function here.
pub(crate) async fn keyed(operation: Operation, call: Call) -> RouteResult {
    match operation {
        Operation::Collections(operation) => match operation {
            Collections::List => collections::list(call).await,
            Collections::Create => collections::create(call).await,
            Collections::Get => collections::get(call).await,
            Collections::Update => collections::update(call).await,
            Collections::Delete => collections::delete(call).await,
            Collections::Rechunk => ingest::rechunk(call).await,
        },
        Operation::Documents(operation) => match operation {
            Documents::List => documents::list(call).await,
            Documents::Ingest => ingest::batch(call).await,
            Documents::Put => ingest::put(call).await,
            Documents::Get => documents::get(call).await,
            Documents::Delete => documents::delete(call).await,
            Documents::ListChunks => documents::chunks(call).await,
        },
        Operation::Jobs(operation) => match operation {
            Jobs::List => jobs::list(call).await,
            Jobs::Get => jobs::get(call).await,
            Jobs::Cancel => jobs::cancel(call).await,
            Jobs::Retry => jobs::retry(call).await,
        },
        Operation::Questions(operation) => match operation {
            Questions::Search => search::search(call).await,
            Questions::Query => query::query(call).await,
            Questions::Rerank => rerank::rerank(call).await,
        },
        Operation::OpenAi(operation) => match operation {
            OpenAi::CompleteChat => openai::chat::complete(call).await,
            OpenAi::CompleteText => openai::chat::complete_text(call).await,
            OpenAi::CreateResponse => openai::responses::create(call).await,
            OpenAi::ListModels => openai::models::list(call).await,
            OpenAi::GetModel => openai::models::get(call).await,
            OpenAi::GetCollectionModel => openai::models::get_collection(call).await,
            OpenAi::CreateEmbeddings => openai::embeddings::create(call).await,
        },
        Operation::Files(operation) => match operation {
            Files::List => openai::files::list(call).await,
            Files::Upload => openai::files::upload(call).await,
            Files::Get => openai::files::get(call).await,
            Files::Delete => openai::files::delete(call).await,
            Files::GetContent => openai::files::content(call).await,
        },
        Operation::VectorStores(operation) => match operation {
            VectorStores::List => openai::stores::list(call).await,
            VectorStores::Create => openai::stores::create(call).await,
            VectorStores::Get => openai::stores::get(call).await,
            VectorStores::Update => openai::stores::update(call).await,
            VectorStores::Delete => openai::stores::delete(call).await,
            VectorStores::Search => openai::stores::search(call).await,
        },
        Operation::StoreFiles(operation) => match operation {
            StoreFiles::List => openai::store_files::list(call).await,
            StoreFiles::Attach => openai::store_files::attach(call).await,
            StoreFiles::Get => openai::store_files::get(call).await,
            StoreFiles::Update => openai::store_files::update(call).await,
            StoreFiles::Detach => openai::store_files::detach(call).await,
            StoreFiles::GetContent => openai::store_files::content(call).await,
            StoreFiles::AttachBatch => openai::batches::create(call).await,
            StoreFiles::GetBatch => openai::batches::get(call).await,
            StoreFiles::ListBatch => openai::batches::list(call).await,
            StoreFiles::CancelBatch => openai::batches::cancel(call).await,
        },
        Operation::Keys(operation) => match operation {
            Keys::List => keys::list(call).await,
            Keys::Create => keys::create(call).await,
            Keys::Current => keys::current(call).await,
            Keys::Update => keys::update(call).await,
            Keys::Revoke => keys::revoke(call).await,
            Keys::Rotate => keys::rotate(call).await,
        },
    }
}
