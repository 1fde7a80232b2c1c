//! What each route takes and answers.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

use crate::extract::WarningEntry;
use crate::json::{Field, Rule, lenient_object, object};
use crate::limits;
use crate::problem::{Code, Entry, Problem};
use crate::resource::openai::{chat, completions, embeddings, models, response, responses};
use crate::resource::{collections, documents, health, keys, query, rerank, rules, search};
use crate::routes::{Access, Open, Operation};

/// One route, described.
pub(super) struct Description {
    pub(super) id: &'static str,
    pub(super) summary: &'static str,
    /// What else there is to say.
    pub(super) note: &'static str,
    pub(super) tag: &'static str,
    pub(super) query: &'static [Query],
    pub(super) body: Option<Body>,
    pub(super) answers: Vec<Answer>,
    /// The problems that this route has beside those of its kind.
    pub(super) problems: &'static [Code],
}

/// A parameter of the query string.
#[derive(Debug, Clone, Copy)]
pub struct Query {
    /// Its name.
    pub name: &'static str,
    /// One sentence.
    pub description: &'static str,
    /// As JSON Schema.
    pub schema: fn() -> Value,
}

/// A media type and its JSON Schema.
type MediaType = (&'static str, fn() -> Value);

/// A request body.
pub(super) struct Body {
    pub(super) required: bool,
    pub(super) media_types: Vec<MediaType>,
    /// In JSON; passes `read`.
    pub(super) example: &'static str,
    #[cfg_attr(not(test), expect(dead_code, reason = "the test of the examples reads with it"))]
    pub(super) read: fn(&[u8]) -> Result<(), Problem>,
}

/// A response.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) description: &'static str,
    pub(super) headers: &'static [Place],
    pub(super) content: Vec<Content>,
}

/// The body of a response.
pub(super) enum Content {
    /// JSON of a type.
    Json(fn(&mut SchemaGenerator) -> Schema),
    /// Text of a media type.
    Text(&'static str),
}

/// A header of a response.
#[derive(Clone, Copy)]
pub(super) enum Place {
    RequestId,
    RateLimit,
    RateLimitPolicy,
    RetryAfter,
    Challenge,
    Location,
    Etag,
}

impl Place {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::RequestId => "X-Request-Id",
            Self::RateLimit => "RateLimit",
            Self::RateLimitPolicy => "RateLimit-Policy",
            Self::RetryAfter => "Retry-After",
            Self::Challenge => "WWW-Authenticate",
            Self::Location => "Location",
            Self::Etag => "ETag",
        }
    }

    pub(super) fn header(self) -> Value {
        let description = match self {
            Self::RequestId => "The request's id, which stands in the server's log.",
            Self::RateLimit => "What is left of the key's budget.",
            Self::RateLimitPolicy => "What the key's budget is.",
            Self::RetryAfter => "Seconds after which another try makes sense.",
            Self::Challenge => "How to authenticate (RFC 6750).",
            Self::Location => "Where what was made can be found.",
            Self::Etag => "The version of the document.",
        };
        let kind = if matches!(self, Self::RetryAfter) { "integer" } else { "string" };
        json!({"description": description, "schema": {"type": kind}})
    }
}

impl Description {
    pub(super) fn new(id: &'static str, tag: &'static str, summary: &'static str) -> Self {
        let (query, problems): (&[_], &[_]) = (&[], &[]);
        Self { id, summary, note: "", tag, query, body: None, answers: Vec::new(), problems }
    }

    pub(super) fn note(self, note: &'static str) -> Self {
        Self { note, ..self }
    }

    pub(super) fn query(self, query: &'static [Query]) -> Self {
        Self { query, ..self }
    }

    pub(super) fn problems(self, problems: &'static [Code]) -> Self {
        Self { problems, ..self }
    }

    pub(super) fn body(
        self,
        schema: fn() -> Value,
        example: &'static str,
        read: fn(&[u8]) -> Result<(), Problem>,
    ) -> Self {
        let media_types: Vec<MediaType> = vec![("application/json", schema)];
        Self { body: Some(Body { required: true, media_types, example, read }), ..self }
    }

    pub(super) fn answer(
        mut self,
        status: u16,
        description: &'static str,
        content: Vec<Content>,
    ) -> Self {
        self.answers.push(Answer { status, description, headers: &[], content });
        self
    }

    pub(super) fn json<T: JsonSchema>(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, vec![json_of::<T>()])
    }

    pub(super) fn nothing(self, status: u16, description: &'static str) -> Self {
        self.answer(status, description, Vec::new())
    }

    /// Headers of the response described last.
    fn headers(mut self, headers: &'static [Place]) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers = headers;
        }
        self
    }
}

pub(super) fn json_of<T: JsonSchema>() -> Content {
    Content::Json(|schemas| schemas.subschema_for::<T>())
}

const PAGE: &[Query] = &[
    Query {
        name: "cursor",
        description: "`next_cursor` of the page before.",
        schema: || json!({"type": "string", "maxLength": limits::MAX_CURSOR_BYTES}),
    },
    Query {
        name: "limit",
        description: "Items of the page.",
        schema: || {
            json!({
                "type": "integer", "minimum": 1, "maximum": limits::MAX_PAGE_ITEMS,
                "default": limits::DEFAULT_PAGE_ITEMS,
            })
        },
    },
];
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

/// A parameter of a path, as JSON Schema.
pub(super) fn path_schema(path: &str, name: &str) -> Value {
    let rule: Option<&Rule> = match name {
        "collection" => Some(&rules::COLLECTION),
        "id" if path.starts_with("/v1/collections/") => Some(&rules::DOCUMENT_ID),
        _ => None,
    };
    rule.map_or_else(|| json!({"type": "string", "minLength": 1}), Rule::schema)
}

macro_rules! fields {
    ($fields:expr) => {{
        const FIELDS: &[Field] = $fields;
        || object(FIELDS)
    }};
}

/// What a route takes and answers.
pub(super) fn describe(access: Access) -> Description {
    match access {
        Access::Open(operation) => open(operation),
        Access::Key { operation, .. } => keyed(operation),
    }
}

fn open(operation: Open) -> Description {
    let about = |id, summary| Description::new(id, "server", summary);
    match operation {
        Open::Live => {
            about("live", "Whether the handler answers").json::<health::Live>(200, "It does.")
        }
        Open::Ready => about("ready", "How the parts of the host are")
            .json::<health::Ready>(200, "Requests are served.")
            .json::<health::Ready>(503, "A part does not serve."),
        Open::ExplainProblem => about("explainProblem", "What a problem's code means")
            .json::<Entry>(200, "The explanation.")
            .problems(&[Code::NotFound]),
        Open::ExplainWarning => {
            about("explainWarning", "What the code of a document's warning means")
                .json::<WarningEntry>(200, "The explanation.")
                .problems(&[Code::NotFound])
        }
        Open::Playground => about("playground", "A page to try it").answer(
            200,
            "The page.",
            vec![Content::Text("text/html")],
        ),
        Open::Docs => about("docs", "This document as a page").answer(
            200,
            "The page.",
            vec![Content::Text("text/html")],
        ),
        Open::Asset => about("asset", "Scripts and styles of the pages")
            .answer(
                200,
                "The file.",
                vec![Content::Text("text/css"), Content::Text("text/javascript")],
            )
            .problems(&[Code::NotFound]),
        Open::Describe => about("describe", "This document").answer(
            200,
            "The document.",
            vec![Content::Json(|_| schemars::json_schema!({"type": "object"}))],
        ),
    }
}

fn keyed(operation: Operation) -> Description {
    use Operation as Do;
    match operation {
        Do::ListCollections
        | Do::CreateCollection
        | Do::GetCollection
        | Do::UpdateCollection
        | Do::RecutCollection
        | Do::DeleteCollection => of_collections(operation),
        Do::Search | Do::Query | Do::Rerank => of_questions(operation),
        Do::SpeakMcp => of_tools(),
        Do::CompleteChat
        | Do::CompleteText
        | Do::CreateResponse
        | Do::ListModels
        | Do::GetModel
        | Do::GetCollectionModel
        | Do::CreateEmbeddings => of_openai(operation),
        Do::ListFiles
        | Do::UploadFile
        | Do::GetFile
        | Do::DeleteFile
        | Do::GetFileContent
        | Do::ListVectorStores
        | Do::CreateVectorStore
        | Do::GetVectorStore
        | Do::UpdateVectorStore
        | Do::DeleteVectorStore
        | Do::SearchVectorStore
        | Do::ListStoreFiles
        | Do::AttachFile
        | Do::GetStoreFile
        | Do::UpdateStoreFile
        | Do::DetachFile
        | Do::GetStoreFileContent
        | Do::AttachFiles
        | Do::GetFileBatch
        | Do::ListBatchFiles
        | Do::CancelFileBatch => super::files::describe(operation),
        Do::ListKeys
        | Do::CreateKey
        | Do::CurrentKey
        | Do::UpdateKey
        | Do::RevokeKey
        | Do::RotateKey => of_keys(operation),
        _ => of_documents(operation),
    }
}

fn of_collections(operation: Operation) -> Description {
    let about = |id, summary| Description::new(id, "collections", summary);
    match operation {
        Operation::ListCollections => about("listCollections", "Every collection with its size")
            .json::<collections::List>(200, "By name."),
        Operation::CreateCollection => about("createCollection", "Make a collection")
            .body(fields!(collections::FIELDS), r#"{"name": "papers", "chunking": {"tokens": 120}}"#, |body| {
                collections::read(body).map(drop)
            })
            .json::<collections::Collection>(201, "Made.")
            .headers(&[Place::Location])
            .problems(&[Code::CollectionExists]),
        Operation::GetCollection => about("getCollection", "A collection with its size")
            .json::<collections::Collection>(200, "The collection."),
        Operation::UpdateCollection => about("updateCollection", "Change how texts are cut")
            .note("The documents it has are found as they are while they are cut anew, which the host does by itself.")
            .body(
                fields!(collections::CHANGE_FIELDS),
                r#"{"chunking": {"tokens": 120, "overlap": 20}}"#,
                |body| collections::read_change(body).map(drop),
            )
            .json::<collections::Collection>(200, "The collection."),
        Operation::RecutCollection => about("recutCollection", "Cut some documents anew")
            .note("Those that are not cut as the collection wants them, at most 32 a call.")
            .query(PAGE)
            .json::<collections::Recut>(200, "So many were.")
            .problems(&[Code::InvalidCursor]),
        _ => about("deleteCollection", "Delete a collection and its documents")
            .nothing(204, "Deleted.")
            .problems(&[Code::CollectionProtected]),
    }
}

fn of_documents(operation: Operation) -> Description {
    let about = |id, summary| Description::new(id, "documents", summary);
    match operation {
        Operation::IngestDocuments => {
            let mut description = about("ingestDocuments", "Put many documents in")
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
                .problems(&[Code::Busy]);
            if let Some(body) = &mut description.body {
                body.media_types.extend(BATCH_FILES);
            }
            description
        }
        Operation::PutDocument => {
            let mut description =
                put_document(about("putDocument", "Put a document in, or replace it"));
            if let Some(body) = &mut description.body {
                body.media_types.extend(FILES);
            }
            description
        }
        Operation::ListDocuments => about("listDocuments", "Documents without their text")
            .query(PAGE)
            .json::<documents::DocumentPage<'_>>(200, "A page, by id.")
            .problems(&[Code::InvalidCursor]),
        Operation::GetDocument => about("getDocument", "A document")
            .json::<documents::Document<'_>>(200, "The document.")
            .headers(&[Place::Etag])
            .nothing(304, "The caller has this version (`If-None-Match`).")
            .headers(&[Place::Etag])
            .note("Takes `If-None-Match` with an `ETag` that is known.")
            .problems(&[
                Code::UnknownDocument,
                Code::PreconditionFailed,
                Code::InvalidPrecondition,
            ]),
        Operation::DeleteDocument => about("deleteDocument", "Delete a document")
            .nothing(204, "Deleted; search does not find it.")
            .note(CONDITIONAL)
            .problems(&[
                Code::UnknownDocument,
                Code::PreconditionFailed,
                Code::InvalidPrecondition,
                Code::Busy,
            ]),
        Operation::ListChunks => about("listChunks", "The pieces that search finds")
            .query(PAGE)
            .json::<documents::ChunkPage<'_>>(200, "A page, in the order of the text.")
            .problems(&[Code::UnknownDocument, Code::InvalidCursor]),
        Operation::ListJobs => about("listJobs", "Batches on their way into the index")
            .query(PAGE)
            .json::<documents::JobPage>(200, "A page, newest first.")
            .problems(&[Code::InvalidCursor]),
        Operation::CancelJob => {
            about("cancelJob", "Take out of a batch what search does not find yet")
                .json::<documents::Job>(
                    200,
                    "The job; what was taken out has failed as `cancelled` and is gone.",
                )
                .problems(&[Code::UnknownJob, Code::Busy])
        }
        Operation::RetryJob => about("retryJob", "Try again what failed after it was stored")
            .json::<documents::Job>(200, "The job; what was never stored stays failed.")
            .problems(&[Code::UnknownJob, Code::Busy]),
        _ => about("getJob", "A batch on its way into the index")
            .json::<documents::Job>(200, "The job.")
            .problems(&[Code::UnknownJob]),
    }
}

/// Of requests that change a document. No parameters in the document: a client
/// that makes requests up has no version to name.
const CONDITIONAL: &str = "With `If-Match` it is done only if the document still has this `ETag`, \
                           with `If-None-Match: *` only if there is none.";

/// Bodies that are a document.
const FILES: [MediaType; 18] = [
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

pub(super) fn binary() -> Value {
    json!({"type": "string", "format": "binary"})
}

/// Bodies that are many.
const BATCH_FILES: [MediaType; 3] = [
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

fn of_questions(operation: Operation) -> Description {
    let about = |id, summary| Description::new(id, "questions", summary);
    match operation {
        Operation::Search => about("search", "Find passages")
            .body(
                fields!(search::FIELDS),
                r#"{"query": "lift", "top_k": 3, "mode": "hybrid", "filter": {"year": {"gte": 1950}}, "min_score": 0.1, "explain": true, "highlight": true, "per_document": false}"#,
                |body| search::read(body).map(drop),
            )
            .json::<search::SearchResponse<'_>>(200, "Passages, best first.")
            .problems(&[
                Code::EmbeddingUnavailable,
                Code::UnknownReranker,
                Code::RerankingUnavailable,
            ]),
        Operation::Rerank => about("rerank", "Order texts by how well they answer")
            .body(
                || lenient_object(rerank::FIELDS),
                r#"{"query": "What holds an aircraft in the air?", "documents": ["Lift does.", {"text": "Nothing."}], "top_n": 1, "return_documents": true}"#,
                |body| rerank::read(body).map(drop),
            )
            .json::<rerank::RerankResponse<'_>>(200, "Best first.")
            .problems(&[Code::UnknownReranker, Code::RerankingUnavailable]),
        _ => about("query", "Ask, and get an answer with citations")
            .body(
                fields!(query::FIELDS),
                r#"{"query": "What holds an aircraft in the air?", "top_k": 6, "stream": false, "filter": {"year": 1958}, "generator": "extractive"}"#,
                |body| query::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events `sources`, `delta`, `citation`, `usage`, `done`, `error`.",
                vec![json_of::<query::QueryResponse<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(&[
                Code::UnknownGenerator,
                Code::GeneratorUnavailable,
                Code::GenerationFailed,
                Code::UnknownReranker,
                Code::RerankingUnavailable,
            ]),
    }
}

fn of_openai(operation: Operation) -> Description {
    let about = |id, summary| Description::new(id, "openai", summary);
    match operation {
        Operation::CompleteChat => about("completeChat", "Ask in OpenAI's format")
            .body(
                || lenient_object(chat::FIELDS),
                r#"{"model": "ragtime/default", "messages": [{"role": "user", "content": "What holds an aircraft in the air?"}], "stream": false}"#,
                |body| chat::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events that end with `[DONE]`.",
                vec![json_of::<chat::Completion<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(&[
                Code::UnknownModel,
                Code::CollectionForbidden,
                Code::UnknownGenerator,
                Code::GeneratorUnavailable,
                Code::GenerationFailed,
            ]),
        Operation::CompleteText => about("completeText", "Ask in OpenAI's oldest format")
            .body(
                || lenient_object(completions::FIELDS),
                r#"{"model": "ragtime/default", "prompt": "What holds an aircraft in the air?", "stream": false}"#,
                |body| completions::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events that end with `[DONE]`.",
                vec![json_of::<completions::Completion<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(&[
                Code::UnknownModel,
                Code::CollectionForbidden,
                Code::UnknownGenerator,
                Code::GeneratorUnavailable,
                Code::GenerationFailed,
            ]),
        Operation::CreateResponse => about("createResponse", "Ask in OpenAI's newer format")
            .body(
                || lenient_object(responses::FIELDS),
                r#"{"model": "ragtime/default", "input": "What holds an aircraft in the air?", "stream": false}"#,
                |body| responses::read(body).map(drop),
            )
            .answer(
                200,
                "The answer; with `stream` as events that end with `response.completed`.",
                vec![json_of::<response::Response<'_>>(), Content::Text("text/event-stream")],
            )
            .problems(&[
                Code::UnknownModel,
                Code::UnknownCollection,
                Code::CollectionForbidden,
                Code::UnknownGenerator,
                Code::GeneratorUnavailable,
                Code::GenerationFailed,
            ]),
        Operation::ListModels => about("listModels", "What can be asked in OpenAI's format")
            .json::<models::List>(200, "Collections and the embedding model."),
        Operation::GetModel => about("getModel", "A model, its name as one segment")
            .json::<models::Model>(200, "The model.")
            .problems(&[Code::UnknownModel, Code::CollectionForbidden]),
        Operation::GetCollectionModel => about("getCollectionModel", "A collection as a model")
            .json::<models::Model>(200, "The model.")
            .problems(&[Code::UnknownModel]),
        _ => about("createEmbeddings", "Embed texts in OpenAI's format")
            .body(
                || lenient_object(embeddings::FIELDS),
                r#"{"model": "all-MiniLM-L6-v2", "input": ["Lift holds an aircraft in the air."], "encoding_format": "float"}"#,
                |body| embeddings::read(body).map(drop),
            )
            .json::<embeddings::List<'_>>(200, "Vectors of unit length.")
            .problems(&[Code::UnknownModel, Code::EmbeddingUnavailable]),
    }
}

fn of_tools() -> Description {
    let rpc = || Content::Json(|_| schemars::json_schema!({"type": ["object", "array"]}));
    Description::new("speakMcp", "tools", "The Model Context Protocol, every version since 2024-11-05")
        .body(
            || {
                json!({
                    "type": "object",
                    "description": "A message of JSON-RPC 2.0; in 2025-03-26 also an array of them.",
                    "properties": {
                        "jsonrpc": {"const": "2.0"}, "id": {"type": ["string", "integer"]},
                        "method": {"type": "string"}, "params": {"type": "object"},
                    },
                    "required": ["jsonrpc", "method"],
                })
            },
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {"query": "lift"}}}"#,
            |body| {
                let read = crate::mcp::Message::read(body).map(drop);
                read.map_err(|error| Problem::new(Code::InvalidRequest, error.message))
            },
        )
        .answer(200, "The answer to a request.", vec![rpc()])
        .nothing(202, "A notification was taken.")
        .answer(400, "No message, or one that contradicts its headers.", vec![rpc()])
        .answer(404, "No such method (2026-07-28).", vec![rpc()])
        .problems(&[Code::OriginForbidden])
}

fn of_keys(operation: Operation) -> Description {
    let about = |id, summary| Description::new(id, "keys", summary);
    match operation {
        Operation::ListKeys => about("listKeys", "Every live key, without secrets")
            .json::<keys::List>(200, "Oldest first."),
        Operation::CreateKey => about("createKey", "Make a key")
            .body(
                fields!(keys::FIELDS),
                r#"{"name": "reader", "scopes": ["read"], "collections": ["default"], "expires_at": "2099-01-01T00:00:00Z", "rate_per_minute": 600, "burst": 60}"#,
                |body| keys::read(body).map(drop),
            )
            .json::<keys::IssuedKey>(201, "The key and the one sight of its credential."),
        Operation::CurrentKey => about("currentKey", "The key of this request")
            .json::<keys::Key>(200, "The key."),
        Operation::UpdateKey => about("updateKey", "Change a key, with its next request")
            .body(
                fields!(keys::CHANGE_FIELDS),
                r#"{"rate_per_minute": 1200, "burst": 120}"#,
                |body| keys::read_change(body).map(drop),
            )
            .json::<keys::Key>(200, "The key as it is now.")
            .problems(&[Code::UnknownKey, Code::LastAdminKey]),
        Operation::RevokeKey => about("revokeKey", "End a key at once")
            .nothing(204, "Ended.")
            .problems(&[Code::UnknownKey, Code::LastAdminKey]),
        _ => {
            let mut description = about("rotateKey", "Replace a key by one with the same rights")
                .body(fields!(keys::GRACE_FIELDS), r#"{"grace_seconds": 60}"#, |body| {
                    keys::read_grace(body).map(drop)
                })
                .json::<keys::IssuedKey>(201, "The new key and the one sight of its credential.")
                .problems(&[Code::UnknownKey]);
            if let Some(body) = &mut description.body {
                body.required = false;
            }
            description
        }
    }
}
