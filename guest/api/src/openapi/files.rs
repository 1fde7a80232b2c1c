//! What the routes of files and vector stores take and answer.

use serde_json::json;

use super::operation::{Body, Content, Description, Query, binary, json_of};
use crate::json::lenient_object;
use crate::limits;
use crate::problem::Code;
use crate::resource::openai::files::{Deleted, File, List, PURPOSES};
use crate::resource::openai::listing::STATES;
use crate::resource::openai::store::{ContentPage, FileBatch, Results, Store, StoreFile};
use crate::resource::openai::stores;
use crate::routes::Operation;

const LIMIT: Query = Query {
    name: "limit",
    description: "Items of the page, at most 100, whatever is asked for.",
    schema: || limit(limits::OPENAI_PAGE_ITEMS.1),
};
const LIMIT_OF_FILES: Query = Query {
    name: "limit",
    description: "Items of the page, at most 10,000, whatever is asked for.",
    schema: || limit(limits::OPENAI_PAGE_FILES.1),
};
fn limit(default: u32) -> serde_json::Value {
    json!({"type": "integer", "minimum": 1, "maximum": u32::MAX, "default": default})
}

const ORDER: Query = Query {
    name: "order",
    description: "`desc` has the last one first.",
    schema: || json!({"enum": ["asc", "desc"], "default": "desc"}),
};
const AFTER: Query = Query {
    name: "after",
    description: "The id after which the page begins.",
    schema: || json!({"type": "string"}),
};
const BEFORE: Query = Query {
    name: "before",
    description: "The id before which the page ends.",
    schema: || json!({"type": "string"}),
};
const PAGE: &[Query] = &[LIMIT, ORDER, AFTER, BEFORE];
const FILES: &[Query] = &[
    LIMIT_OF_FILES,
    ORDER,
    AFTER,
    BEFORE,
    Query {
        name: "purpose",
        description: "What the files are for.",
        schema: || json!({"type": "string"}),
    },
];
const STORE_FILES: &[Query] = &[
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

/// Nobody's files: a key that is limited to collections has none.
const OF_FILES: &[Code] = &[Code::UnknownFile, Code::CollectionForbidden];
const OF_STORES: &[Code] = &[Code::UnknownVectorStore, Code::CollectionForbidden, Code::Busy];
const OF_STORE_FILES: &[Code] =
    &[Code::UnknownVectorStore, Code::UnknownFile, Code::CollectionForbidden, Code::Busy];
const OF_BATCHES: &[Code] =
    &[Code::UnknownVectorStore, Code::UnknownFileBatch, Code::CollectionForbidden, Code::Busy];

/// What such a route takes and answers.
pub(super) fn describe(operation: Operation) -> Description {
    use Operation as Do;
    match operation {
        Do::ListFiles | Do::UploadFile | Do::GetFile | Do::DeleteFile | Do::GetFileContent => {
            of_files(operation)
        }
        Do::ListVectorStores
        | Do::CreateVectorStore
        | Do::GetVectorStore
        | Do::UpdateVectorStore
        | Do::DeleteVectorStore
        | Do::SearchVectorStore => of_stores(operation),
        _ => of_store_files(operation),
    }
}

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "openai", summary)
}

fn of_files(operation: Operation) -> Description {
    match operation {
        Operation::ListFiles => about("listFiles", "Uploaded files")
            .query(FILES)
            .json::<List<File>>(200, "A page, by id.")
            .problems(&[Code::CollectionForbidden]),
        Operation::UploadFile => upload(about("uploadFile", "Upload a file")),
        Operation::GetFile => {
            about("getFile", "An uploaded file").json::<File>(200, "The file.").problems(OF_FILES)
        }
        Operation::DeleteFile => {
            about("deleteFile", "Delete a file, and take it out of all stores")
                .json::<Deleted>(200, "Deleted.")
                .problems(&[Code::UnknownFile, Code::CollectionForbidden, Code::Busy])
        }
        _ => about("getFileContent", "An uploaded file, as it came")
            .answer(200, "The file.", vec![Content::Text("application/octet-stream")])
            .problems(OF_FILES),
    }
}

fn upload(mut description: Description) -> Description {
    description.body = Some(Body {
        required: true,
        media_types: vec![("multipart/form-data", || {
            json!({
                "type": "object",
                "properties": {"file": binary(), "purpose": {"enum": PURPOSES}},
                "required": ["file", "purpose"],
            })
        })],
        example: "{}",
        read: |_| Ok(()),
    });
    description
        .note("The file is kept as it came until it is deleted; search finds what is attached to a store.")
        .json::<File>(200, "The file.")
        .problems(&[Code::CollectionForbidden, Code::Busy])
}

fn of_stores(operation: Operation) -> Description {
    match operation {
        Operation::ListVectorStores => about("listVectorStores", "Collections as vector stores")
            .query(PAGE)
            .json::<List<Store>>(200, "A page, by the time at which they were made.")
            .problems(&[Code::CollectionForbidden]),
        Operation::CreateVectorStore => {
            let mut description = about("createVectorStore", "Make a vector store: a collection")
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
                ]);
            not_required(&mut description);
            description
        }
        Operation::GetVectorStore => about("getVectorStore", "A vector store")
            .json::<Store>(200, "The store.")
            .problems(OF_STORES),
        Operation::UpdateVectorStore => {
            let mut description = about("updateVectorStore", "Name a vector store anew")
                .body(
                    || lenient_object(stores::CHANGE_FIELDS),
                    r#"{"name": "Papers of 1958"}"#,
                    |body| stores::read_change(body).map(drop),
                )
                .json::<Store>(200, "The store.")
                .problems(OF_STORES);
            not_required(&mut description);
            description
        }
        Operation::DeleteVectorStore => {
            about("deleteVectorStore", "Delete a vector store; uploaded files stay")
                .json::<Deleted>(200, "Deleted.")
                .problems(&[
                    Code::UnknownVectorStore,
                    Code::CollectionForbidden,
                    Code::CollectionProtected,
                    Code::Busy,
                ])
        }
        _ => about("searchVectorStore", "Find passages in OpenAI's format")
            .body(
                || lenient_object(stores::SEARCH_FIELDS),
                r#"{"query": "lift", "max_num_results": 3, "filters": {"type": "eq", "key": "year", "value": 1958}}"#,
                |body| stores::read_search(body).map(drop),
            )
            .json::<Results<'_>>(200, "Passages, best first.")
            .problems(OF_STORES),
    }
}

fn of_store_files(operation: Operation) -> Description {
    match operation {
        Operation::ListStoreFiles => about("listStoreFiles", "Documents as files of a store")
            .query(STORE_FILES)
            .json::<List<StoreFile>>(200, "A page, by id.")
            .problems(OF_STORES),
        Operation::AttachFile => about("attachFile", "Put an uploaded file into a store")
            .body(
                || lenient_object(stores::ATTACH_FIELDS),
                r#"{"file_id": "file-1", "attributes": {"year": 1958}}"#,
                |body| stores::read_attach(body).map(drop),
            )
            .json::<StoreFile>(200, "The file, `in_progress` until search finds it.")
            .problems(OF_STORE_FILES),
        Operation::GetStoreFile => about("getStoreFile", "A file of a store")
            .json::<StoreFile>(200, "The file.")
            .problems(OF_STORE_FILES),
        Operation::UpdateStoreFile => about("updateStoreFile", "Give a file other attributes")
            .body(
                || lenient_object(stores::ATTRIBUTES_FIELDS),
                r#"{"attributes": {"year": 1959}}"#,
                |body| stores::read_attributes(body).map(drop),
            )
            .json::<StoreFile>(200, "The file.")
            .problems(OF_STORE_FILES),
        Operation::DetachFile => {
            about("detachFile", "Take a file out of a store; it stays uploaded")
                .json::<Deleted>(200, "Taken out.")
                .problems(OF_STORE_FILES)
        }
        Operation::GetStoreFileContent => about("getStoreFileContent", "The text of a file")
            .answer(200, "The text.", vec![json_of::<ContentPage<'_>>()])
            .problems(OF_STORE_FILES),
        Operation::AttachFiles => about("attachFiles", "Put uploaded files into a store, as a job")
            .body(
                stores::batch_schema,
                r#"{"file_ids": ["file-1", "file-2"], "attributes": {"year": 1958}}"#,
                |body| stores::read_batch(body).map(drop),
            )
            .json::<FileBatch>(200, "The batch.")
            .problems(OF_STORE_FILES),
        Operation::ListBatchFiles => about("listBatchFiles", "The files of a batch")
            .query(STORE_FILES)
            .json::<List<StoreFile>>(200, "A page, by id.")
            .problems(OF_BATCHES),
        Operation::CancelFileBatch => {
            about("cancelFileBatch", "Take out of a batch what search does not find yet")
                .json::<FileBatch>(200, "The batch.")
                .problems(OF_BATCHES)
        }
        _ => about("getFileBatch", "What has become of a batch")
            .json::<FileBatch>(200, "The batch.")
            .problems(OF_BATCHES),
    }
}

fn not_required(description: &mut Description) {
    if let Some(body) = &mut description.body {
        body.required = false;
    }
}
