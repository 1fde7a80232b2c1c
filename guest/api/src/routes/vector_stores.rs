//! OpenAI's API: collections as vector stores.

use super::Method::{Delete, Get, Post};
use super::description::Description;
use super::parameters::OPENAI_PAGE;
use super::{BY_BYTES, Described, Operation, PLAIN, READ, WRITE, keyed};
use crate::json::lenient_object;
use crate::problem::Code;
use crate::resource::openai::files::{Deleted, List};
use crate::resource::openai::store::{Results, Store};
use crate::resource::openai::stores;
use VectorStores as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum VectorStores {
    List,
    Create,
    Get,
    Update,
    Delete,
    Search,
}

const STORES: &str = "/v1/vector_stores";
const STORE: &str = "/v1/vector_stores/{id}";

pub(super) const OF_STORES: &[Code] =
    &[Code::UnknownVectorStore, Code::CollectionForbidden, Code::Busy];

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, STORES, READ, PLAIN, Operation::VectorStores(Do::List), || {
        about("listVectorStores", "Collections as vector stores")
            .query(OPENAI_PAGE)
            .json::<List<Store>>(200, "A page, by the time at which they were made.")
            .problems(&[Code::CollectionForbidden])
    }),
    keyed(Post, STORES, WRITE, BY_BYTES, Operation::VectorStores(Do::Create), || {
        about("createVectorStore", "Make a vector store: a collection")
            .body(
                || lenient_object(stores::FIELDS),
                r#"{"name": "Papers", "metadata": {"team": "lift"}}"#,
                |body| stores::read(body).map(drop),
            )
            .json::<Store>(200, "The store.")
            .problems(&[
                Code::UnknownFile,
                Code::UnknownVectorStore,
                Code::CollectionForbidden,
                Code::CollectionExists,
                Code::Busy,
            ])
            .with_optional_body()
    }),
    keyed(Get, STORE, READ, PLAIN, Operation::VectorStores(Do::Get), || {
        about("getVectorStore", "A vector store")
            .json::<Store>(200, "The store.")
            .problems(OF_STORES)
    }),
    keyed(Post, STORE, WRITE, PLAIN, Operation::VectorStores(Do::Update), || {
        about("updateVectorStore", "Name a vector store anew")
            .body(
                || lenient_object(stores::CHANGE_FIELDS),
                r#"{"name": "Papers of 1958"}"#,
                |body| stores::read_change(body).map(drop),
            )
            .json::<Store>(200, "The store.")
            .problems(OF_STORES)
            .with_optional_body()
    }),
    keyed(Delete, STORE, WRITE, PLAIN, Operation::VectorStores(Do::Delete), || {
        about("deleteVectorStore", "Delete a vector store; uploaded files stay")
            .json::<Deleted>(200, "Deleted.")
            .problems(&[
                Code::UnknownVectorStore,
                Code::CollectionForbidden,
                Code::CollectionProtected,
                Code::Busy,
            ])
    }),
    keyed(
        Post,
        "/v1/vector_stores/{id}/search",
        READ,
        PLAIN,
        Operation::VectorStores(Do::Search),
        || {
            about("searchVectorStore", "Find passages in OpenAI's format")
            .body(
                || lenient_object(stores::SEARCH_FIELDS),
                r#"{"query": "lift", "max_num_results": 3, "filters": {"type": "eq", "key": "year", "value": 1958}}"#,
                |body| stores::read_search(body).map(drop),
            )
            .json::<Results<'_>>(200, "Passages, best first.")
            .problems(OF_STORES)
        },
    ),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "openai", summary)
}
