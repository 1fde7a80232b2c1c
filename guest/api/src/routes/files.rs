//! OpenAI's API: uploaded files.

use serde_json::json;

use super::Method::{Delete, Get, Post};
use super::description::{Body, Content, Description, Query, binary};
use super::parameters::{AFTER, BEFORE, LIMIT_OF_FILES, ORDER};
use super::{BY_BYTES, Described, Operation, PLAIN, READ, WRITE, keyed};
use crate::problem::Code;
use crate::resource::openai::files::{Deleted, File, List, PURPOSES};
use Files as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Files {
    List,
    Upload,
    Get,
    Delete,
    GetContent,
}

const FILES: &str = "/v1/files";

const PAGE: &[Query] = &[
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
/// Nobody's files: a key that is limited to collections has none.
const OF_FILES: &[Code] = &[Code::UnknownFile, Code::CollectionForbidden];

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, FILES, READ, PLAIN, Operation::Files(Do::List), || {
        about("listFiles", "Uploaded files")
            .query(PAGE)
            .json::<List<File>>(200, "A page, by id.")
            .problems(&[Code::CollectionForbidden])
    }),
    keyed(Post, FILES, WRITE, BY_BYTES, Operation::Files(Do::Upload), || {
        upload(about("uploadFile", "Upload a file"))
    }),
    keyed(Get, "/v1/files/{id}", READ, PLAIN, Operation::Files(Do::Get), || {
        about("getFile", "An uploaded file").json::<File>(200, "The file.").problems(OF_FILES)
    }),
    keyed(Delete, "/v1/files/{id}", WRITE, PLAIN, Operation::Files(Do::Delete), || {
        about("deleteFile", "Delete a file, and take it out of all stores")
            .json::<Deleted>(200, "Deleted.")
            .problems(&[Code::UnknownFile, Code::CollectionForbidden, Code::Busy])
    }),
    keyed(Get, "/v1/files/{id}/content", READ, PLAIN, Operation::Files(Do::GetContent), || {
        about("getFileContent", "An uploaded file, as it came")
            .answer(200, "The file.", vec![Content::Text("application/octet-stream")])
            .problems(OF_FILES)
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "openai", summary)
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
