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
use ragtime_api::problem::{Code, Problem};
use ragtime_api::routes::{Open, Operation};

use crate::call::{Call, path_parameter};
use crate::pages;

/// What a route answers.
pub(crate) type Answer = Result<Response, Problem>;

/// Serves a route that needs no key.
pub(crate) async fn open(operation: Open, request: Request) -> Answer {
    match operation {
        Open::Live => Ok(health::live()),
        Open::Ready => Ok(health::ready()),
        Open::ExplainProblem => health::explain_problem(request).await,
        Open::ExplainWarning => health::explain_warning(request).await,
        Open::Describe => Ok(describe::document(&request)),
        Open::Playground => Ok(pages::playground()),
        Open::Docs => Ok(pages::docs()),
        Open::Asset => {
            let (mut parts, _) = request.into_parts();
            pages::asset(&path_parameter(&mut parts, "name").await?)
        }
    }
}

/// Serves a route for a caller that was admitted.
pub(crate) async fn keyed(operation: Operation, call: Call) -> Answer {
    match operation {
        Operation::ListCollections => collections::list(call).await,
        Operation::CreateCollection => collections::create(call).await,
        Operation::GetCollection => collections::get(call).await,
        Operation::UpdateCollection => collections::update(call).await,
        Operation::RecutCollection => ingest::recut(call).await,
        Operation::DeleteCollection => collections::delete(call).await,
        Operation::ListDocuments => documents::list(call).await,
        Operation::IngestDocuments => ingest::batch(call).await,
        Operation::PutDocument => ingest::put(call).await,
        Operation::GetDocument => documents::get(call).await,
        Operation::DeleteDocument => documents::delete(call).await,
        Operation::ListChunks => documents::chunks(call).await,
        Operation::ListJobs => jobs::list(call).await,
        Operation::GetJob => jobs::get(call).await,
        Operation::CancelJob => jobs::cancel(call).await,
        Operation::RetryJob => jobs::retry(call).await,
        Operation::Search => search::search(call).await,
        Operation::Query => query::query(call).await,
        Operation::CompleteChat => openai::chat::complete(call).await,
        Operation::CompleteText => openai::chat::complete_text(call).await,
        Operation::CreateResponse => openai::responses::create(call).await,
        Operation::ListModels => openai::models::list(call).await,
        Operation::GetModel => openai::models::get(call).await,
        Operation::GetCollectionModel => openai::models::get_collection(call).await,
        Operation::CreateEmbeddings => openai::embeddings::create(call).await,
        Operation::Rerank => rerank::rerank(call).await,
        Operation::ListFiles => openai::files::list(call).await,
        Operation::UploadFile => openai::files::upload(call).await,
        Operation::GetFile => openai::files::get(call).await,
        Operation::DeleteFile => openai::files::delete(call).await,
        Operation::GetFileContent => openai::files::content(call).await,
        Operation::ListVectorStores => openai::stores::list(call).await,
        Operation::CreateVectorStore => openai::stores::create(call).await,
        Operation::GetVectorStore => openai::stores::get(call).await,
        Operation::UpdateVectorStore => openai::stores::update(call).await,
        Operation::DeleteVectorStore => openai::stores::delete(call).await,
        Operation::SearchVectorStore => openai::stores::search(call).await,
        Operation::ListStoreFiles => openai::store_files::list(call).await,
        Operation::AttachFile => openai::store_files::attach(call).await,
        Operation::GetStoreFile => openai::store_files::get(call).await,
        Operation::UpdateStoreFile => openai::store_files::update(call).await,
        Operation::DetachFile => openai::store_files::detach(call).await,
        Operation::GetStoreFileContent => openai::store_files::content(call).await,
        Operation::AttachFiles => openai::batches::create(call).await,
        Operation::GetFileBatch => openai::batches::get(call).await,
        Operation::ListBatchFiles => openai::batches::list(call).await,
        Operation::CancelFileBatch => openai::batches::cancel(call).await,
        // Served as soon as its cost is known, which stands in its body.
        Operation::SpeakMcp => Err(Code::NotFound.into()),
        Operation::ListKeys => keys::list(call).await,
        Operation::CreateKey => keys::create(call).await,
        Operation::CurrentKey => keys::current(call).await,
        Operation::UpdateKey => keys::update(call).await,
        Operation::RevokeKey => keys::revoke(call).await,
        Operation::RotateKey => keys::rotate(call).await,
    }
}
