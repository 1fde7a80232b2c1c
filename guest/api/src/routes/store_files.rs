//! OpenAI's API: documents as files of a vector store.

use serde_json::json;

use super::Method::{Delete, Get, Post};
use super::description::{Description, Query, json_of};
use super::parameters::{AFTER, BEFORE, LIMIT, ORDER};
use super::vector_stores::OF_STORES;
use super::{BY_BYTES, Described, Operation, PLAIN, READ, WRITE, keyed};
use crate::json::lenient_object;
use crate::problem::Code;
use crate::resource::openai::files::{Deleted, List};
use crate::resource::openai::listing::STATES;
use crate::resource::openai::store::{ContentPage, FileBatch, StoreFile};
use crate::resource::openai::stores;
use StoreFiles as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum StoreFiles {
    List,
    Attach,
    Get,
    Update,
    Detach,
    GetContent,
    AttachBatch,
    GetBatch,
    ListBatch,
    CancelBatch,
}

const STORE_FILES: &str = "/v1/vector_stores/{id}/files";
const STORE_FILE: &str = "/v1/vector_stores/{id}/files/{file}";
const STORE_FILE_CONTENT: &str = "/v1/vector_stores/{id}/files/{file}/content";
const FILE_BATCHES: &str = "/v1/vector_stores/{id}/file_batches";
const FILE_BATCH: &str = "/v1/vector_stores/{id}/file_batches/{batch}";
const FILE_BATCH_FILES: &str = "/v1/vector_stores/{id}/file_batches/{batch}/files";
const FILE_BATCH_CANCEL: &str = "/v1/vector_stores/{id}/file_batches/{batch}/cancel";

const PAGE: &[Query] = &[
    LIMIT,
    ORDER,
    AFTER,
    BEFORE,
    Query {
        name: "filter",
        description: "What has become of the files.",
        schema: || json!({"enum": STATES}),
    },
];

const OF_STORE_FILES: &[Code] =
    &[Code::UnknownVectorStore, Code::UnknownFile, Code::CollectionForbidden, Code::Busy];
const OF_BATCHES: &[Code] =
    &[Code::UnknownVectorStore, Code::UnknownFileBatch, Code::CollectionForbidden, Code::Busy];

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, STORE_FILES, READ, PLAIN, Operation::StoreFiles(Do::List), || {
        about("listStoreFiles", "Documents as files of a store")
            .query(PAGE)
            .json::<List<StoreFile>>(200, "A page, by id.")
            .problems(OF_STORES)
    }),
    keyed(Post, STORE_FILES, WRITE, BY_BYTES, Operation::StoreFiles(Do::Attach), || {
        about("attachFile", "Put an uploaded file into a store")
            .body(
                || lenient_object(stores::ATTACH_FIELDS),
                r#"{"file_id": "file-1", "attributes": {"year": 1958}}"#,
                |body| stores::read_attach(body).map(drop),
            )
            .json::<StoreFile>(200, "The file, `in_progress` until search finds it.")
            .problems(OF_STORE_FILES)
    }),
    keyed(Get, STORE_FILE, READ, PLAIN, Operation::StoreFiles(Do::Get), || {
        about("getStoreFile", "A file of a store")
            .json::<StoreFile>(200, "The file.")
            .problems(OF_STORE_FILES)
    }),
    keyed(Post, STORE_FILE, WRITE, BY_BYTES, Operation::StoreFiles(Do::Update), || {
        about("updateStoreFile", "Give a file other attributes")
            .body(
                || lenient_object(stores::ATTRIBUTES_FIELDS),
                r#"{"attributes": {"year": 1959}}"#,
                |body| stores::read_attributes(body).map(drop),
            )
            .json::<StoreFile>(200, "The file.")
            .problems(OF_STORE_FILES)
    }),
    keyed(Delete, STORE_FILE, WRITE, PLAIN, Operation::StoreFiles(Do::Detach), || {
        about("detachFile", "Take a file out of a store; it stays uploaded")
            .json::<Deleted>(200, "Taken out.")
            .problems(OF_STORE_FILES)
    }),
    keyed(Get, STORE_FILE_CONTENT, READ, PLAIN, Operation::StoreFiles(Do::GetContent), || {
        about("getStoreFileContent", "The text of a file")
            .answer(200, "The text.", vec![json_of::<ContentPage<'_>>()])
            .problems(OF_STORE_FILES)
    }),
    keyed(Post, FILE_BATCHES, WRITE, BY_BYTES, Operation::StoreFiles(Do::AttachBatch), || {
        about("attachFiles", "Put uploaded files into a store, as a job")
            .body(
                stores::batch_schema,
                r#"{"file_ids": ["file-1", "file-2"], "attributes": {"year": 1958}}"#,
                |body| stores::read_batch(body).map(drop),
            )
            .json::<FileBatch>(200, "The batch.")
            .problems(OF_STORE_FILES)
    }),
    keyed(Get, FILE_BATCH, WRITE, PLAIN, Operation::StoreFiles(Do::GetBatch), || {
        about("getFileBatch", "What has become of a batch")
            .json::<FileBatch>(200, "The batch.")
            .problems(OF_BATCHES)
    }),
    keyed(Get, FILE_BATCH_FILES, WRITE, PLAIN, Operation::StoreFiles(Do::ListBatch), || {
        about("listBatchFiles", "The files of a batch")
            .query(PAGE)
            .json::<List<StoreFile>>(200, "A page, by id.")
            .problems(OF_BATCHES)
    }),
    keyed(Post, FILE_BATCH_CANCEL, WRITE, PLAIN, Operation::StoreFiles(Do::CancelBatch), || {
        about("cancelFileBatch", "Take out of a batch what search does not find yet")
            .json::<FileBatch>(200, "The batch.")
            .problems(OF_BATCHES)
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "openai", summary)
}
