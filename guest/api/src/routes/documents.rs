//! Documents and their chunks.

use serde_json::json;

use super::Method::{Delete, Get, Post, Put};
use super::description::{Description, MediaType, Place, Query, binary, fields};
use super::parameters::PAGE;
use super::{BY_BYTES, Described, Operation, PLAIN, READ, WRITE, keyed};
use crate::problem::Code;
use crate::resource::{documents, rules};
use Documents as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Documents {
    List,
    Ingest,
    Put,
    Get,
    Delete,
    ListChunks,
}

const DOCUMENTS: &str = "/v1/collections/{collection}/documents";
const DOCUMENT: &str = "/v1/collections/{collection}/documents/{id}";

const WRITE_PUT: &[Query] = &[
    Query {
        name: "wait",
        description: "When to answer: once it is on disk, or once search finds it.",
        schema: || json!({"enum": ["durable", "searchable"], "default": "searchable"}),
    },
    Query {
        name: "title",
        description: "The title of a document that comes as a file.",
        schema: || rules::TITLE.schema(),
    },
    BOILERPLATE,
    LANGUAGE,
];
const LANGUAGE: Query = Query {
    name: "language",
    description: "The language of texts that do not come with their own, as a BCP 47 tag.",
    schema: || rules::LANGUAGE.schema(),
};
const BOILERPLATE: Query = Query {
    name: "boilerplate",
    description: "Whether navigation, headers, footers and cookie bars of pages are text too.",
    schema: || json!({"enum": ["drop", "keep"], "default": "drop"}),
};
const WAIT_BATCH: &[Query] = &[
    BOILERPLATE,
    LANGUAGE,
    Query {
        name: "wait",
        description: "Answer once search finds all of them.",
        schema: || json!({"enum": ["indexed"]}),
    },
];
const CHUNKS: &str = "/v1/collections/{collection}/documents/{id}/chunks";

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, DOCUMENTS, READ, PLAIN, Operation::Documents(Do::List), || {
        about("listDocuments", "Documents without their text")
            .query(PAGE)
            .json::<documents::DocumentPage<'_>>(200, "A page, by id.")
            .problems(&[Code::InvalidCursor])
    }),
    keyed(Post, DOCUMENTS, WRITE, BY_BYTES, Operation::Documents(Do::Ingest), || {
        about("ingestDocuments", "Put many documents in")
            .query(WAIT_BATCH)
            .body(
                fields!(documents::BATCH_FIELDS),
                r#"{"documents": [{"id": "lift", "text": "Lift holds an aircraft in the air."}]}"#,
                |body| documents::read_batch(body).map(drop),
            )
            .json::<documents::Job>(202, "On disk; the job tells when search finds them.")
            .headers(&[Place::Location])
            .json::<documents::Job>(200, "Search finds them.")
            .headers(&[Place::Location])
            .problems(&[Code::Busy])
            .or_as(BATCH_FILES)
    }),
    keyed(Put, DOCUMENT, WRITE, BY_BYTES, Operation::Documents(Do::Put), || {
        put_document(about("putDocument", "Put a document in, or replace it")).or_as(FILES)
    }),
    keyed(Get, DOCUMENT, READ, PLAIN, Operation::Documents(Do::Get), || {
        about("getDocument", "A document")
            .json::<documents::Document<'_>>(200, "The document.")
            .headers(&[Place::Etag])
            .nothing(304, "The caller has this version (`If-None-Match`).")
            .headers(&[Place::Etag])
            .note("Takes `If-None-Match` with an `ETag` that is known.")
            .problems(&[Code::UnknownDocument, Code::PreconditionFailed, Code::InvalidPrecondition])
    }),
    keyed(Delete, DOCUMENT, WRITE, PLAIN, Operation::Documents(Do::Delete), || {
        about("deleteDocument", "Delete a document")
            .nothing(204, "Deleted; search does not find it.")
            .note(CONDITIONAL)
            .problems(&[
                Code::UnknownDocument,
                Code::PreconditionFailed,
                Code::InvalidPrecondition,
                Code::Busy,
            ])
    }),
    keyed(Get, CHUNKS, READ, PLAIN, Operation::Documents(Do::ListChunks), || {
        about("listChunks", "The pieces that search finds")
            .query(PAGE)
            .json::<documents::ChunkPage<'_>>(200, "A page, in the order of the text.")
            .problems(&[Code::UnknownDocument, Code::InvalidCursor])
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "documents", summary)
}

/// Of requests that change a document. No parameters in the document: a client
/// that makes requests up has no version to name.
const CONDITIONAL: &str = "With `If-Match` it is done only if the document still has this `ETag`, \
                           with `If-None-Match: *` only if there is none.";

/// Bodies that are a document.
const FILES: &[MediaType] = &[
    ("text/plain", || json!({"type": "string", "pattern": "\\S"})),
    ("text/markdown", || json!({"type": "string", "pattern": "\\S"})),
    ("text/html", || json!({"type": "string", "pattern": "\\S"})),
    ("text/csv", || json!({"type": "string", "pattern": "\\S"})),
    ("text/tab-separated-values", || json!({"type": "string", "pattern": "\\S"})),
    ("text/json", || json!({"type": "string", "pattern": "\\S"})),
    ("application/x-ndjson", || json!({"type": "string", "pattern": "\\S"})),
    ("application/pdf", binary),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", binary),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", binary),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", binary),
    ("application/vnd.ms-excel", binary),
    ("application/vnd.oasis.opendocument.text", binary),
    ("application/vnd.oasis.opendocument.spreadsheet", binary),
    ("application/vnd.oasis.opendocument.presentation", binary),
    ("application/epub+zip", binary),
    ("application/rtf", binary),
    ("message/rfc822", binary),
];

/// Bodies that are many.
const BATCH_FILES: &[MediaType] = &[
    ("application/x-ndjson", || json!({"type": "string"})),
    ("text/csv", || json!({"type": "string", "pattern": "^[^\\s]+\\n[^\\s]+"})),
    ("multipart/form-data", || {
        json!({
            "type": "object",
            "properties": {"files": {"type": "array", "items": {"type": "string", "format": "binary"}}},
        })
    }),
];

fn put_document(description: Description) -> Description {
    description
        .query(WRITE_PUT)
        .body(
            fields!(documents::FIELDS),
            r#"{"title": "Lift", "text": "Lift holds an aircraft in the air.", "content_type": "text/plain", "metadata": {"year": 1958}}"#,
            |body| documents::read(body).map(drop),
        )
        .json::<documents::Summary<'_>>(201, "The id was free.")
        .headers(&[Place::Location, Place::Etag])
        .json::<documents::Summary<'_>>(200, "Replaced, or the same as before.")
        .headers(&[Place::Etag])
        .json::<documents::Summary<'_>>(
            202,
            "Stored, and search does not find all of it yet, though `wait` asks for that.",
        )
        .headers(&[Place::Location, Place::Etag])
        .note(CONDITIONAL)
        .problems(&[Code::PreconditionFailed, Code::InvalidPrecondition, Code::Busy])
}
