//! The one table of routes: dispatch, documentation and `Allow` come from it.

/// What a key must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Search, query, and read documents.
    Read,
    /// Add, replace and delete documents and collections.
    Write,
    /// Manage keys.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// The word for it in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }
}

/// Who may call a route and what a call costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, at no cost.
    Open(Open),
    /// A key, with this scope if any, for `cost` units of its budget.
    Key {
        /// The scope; none means that any key will do.
        scope: Option<Scope>,
        /// Units of the key's budget.
        cost: u32,
        /// What the route does.
        operation: Operation,
    },
}

/// The methods in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `GET`, and `HEAD` with it.
    Get,
    /// `POST`
    Post,
    /// `PUT`
    Put,
    /// `PATCH`
    Patch,
    /// `DELETE`
    Delete,
}

impl Method {
    /// As it stands in a request.
    pub fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// What a route does that needs no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    /// Says that the handler answers.
    Live,
    /// Says how the parts of the host are.
    Ready,
    /// Explains a problem code.
    ExplainProblem,
    /// Explains the code of a warning.
    ExplainWarning,
    /// Describes this API.
    Describe,
    /// Shows the page to try it.
    Playground,
    /// Shows the API as a page.
    Docs,
    /// Serves scripts and styles.
    Asset,
}

/// What a route does for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it, and the table below says the rest")]
pub enum Operation {
    ListCollections,
    CreateCollection,
    GetCollection,
    UpdateCollection,
    RecutCollection,
    DeleteCollection,
    ListDocuments,
    IngestDocuments,
    PutDocument,
    GetDocument,
    DeleteDocument,
    ListChunks,
    ListJobs,
    GetJob,
    CancelJob,
    RetryJob,
    Search,
    Query,
    CompleteChat,
    CompleteText,
    CreateResponse,
    ListModels,
    GetModel,
    GetCollectionModel,
    CreateEmbeddings,
    Rerank,
    ListFiles,
    UploadFile,
    GetFile,
    DeleteFile,
    GetFileContent,
    ListVectorStores,
    CreateVectorStore,
    GetVectorStore,
    UpdateVectorStore,
    DeleteVectorStore,
    SearchVectorStore,
    ListStoreFiles,
    AttachFile,
    GetStoreFile,
    UpdateStoreFile,
    DetachFile,
    GetStoreFileContent,
    AttachFiles,
    GetFileBatch,
    ListBatchFiles,
    CancelFileBatch,
    /// Costs what the tool that is called costs.
    SpeakMcp,
    ListKeys,
    CreateKey,
    CurrentKey,
    RevokeKey,
    /// Change a key.
    UpdateKey,
    RotateKey,
}

/// What a route costs beyond its plain cost, for the work that its body makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// A unit for each further [`BYTES_PER_UNIT`] of the body.
    Bytes,
    /// A unit for each further [`TOKENS_PER_UNIT`] of the texts.
    Tokens,
}

/// Bytes of a body that cost a unit: text that is tokenised, stored, indexed and
/// embedded. The largest body costs 512 units, less than the usual burst.
pub const BYTES_PER_UNIT: usize = 64 * 1024;
/// Tokens that cost a unit: the longest text that the model reads, some 100 ms of
/// two cores.
pub const TOKENS_PER_UNIT: usize = 256;

impl Operation {
    /// What a request for it costs by its size, if it does.
    pub fn work(self) -> Option<Work> {
        match self {
            Self::IngestDocuments
            | Self::PutDocument
            | Self::UploadFile
            | Self::CreateVectorStore
            | Self::AttachFile
            | Self::AttachFiles
            | Self::UpdateStoreFile => Some(Work::Bytes),
            Self::CreateEmbeddings => Some(Work::Tokens),
            _ => None,
        }
    }
}

impl Work {
    /// Units for so many bytes or tokens, the plain cost left out.
    pub fn units(self, amount: usize) -> u32 {
        let each = match self {
            Self::Bytes => BYTES_PER_UNIT,
            Self::Tokens => TOKENS_PER_UNIT,
        };
        u32::try_from(amount.saturating_sub(1) / each).unwrap_or(u32::MAX)
    }

    /// For people.
    pub fn words(self) -> String {
        match self {
            Self::Bytes => format!("one more for each further {} KiB", BYTES_PER_UNIT / 1_024),
            Self::Tokens => format!("one more for each further {TOKENS_PER_UNIT} tokens"),
        }
    }
}

/// One route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// The method.
    pub method: Method,
    /// The path, with parameters in braces.
    pub path: &'static str,
    /// Who may call it, and what it does for them.
    pub access: Access,
}

/// Units of a request that reads or writes one thing.
pub(crate) const PLAIN: u32 = 1;

/// Units of an answer: a search plus a generation.
pub(crate) const ANSWER: u32 = 4;

const COLLECTIONS: &str = "/v1/collections";
const COLLECTION: &str = "/v1/collections/{collection}";
const DOCUMENTS: &str = "/v1/collections/{collection}/documents";
const DOCUMENT: &str = "/v1/collections/{collection}/documents/{id}";
const FILES: &str = "/v1/files";
const STORES: &str = "/v1/vector_stores";
const STORE: &str = "/v1/vector_stores/{id}";
const STORE_FILES: &str = "/v1/vector_stores/{id}/files";
const STORE_FILE: &str = "/v1/vector_stores/{id}/files/{file}";
const FILE_BATCH: &str = "/v1/vector_stores/{id}/file_batches/{batch}";

const fn route(
    method: Method,
    path: &'static str,
    scope: Option<Scope>,
    cost: u32,
    operation: Operation,
) -> Route {
    Route { method, path, access: Access::Key { scope, cost, operation } }
}

const fn open(path: &'static str, operation: Open) -> Route {
    Route { method: Method::Get, path, access: Access::Open(operation) }
}

/// Every route.
pub const ROUTES: &[Route] = {
    use Method::{Delete, Get, Patch, Post, Put};
    use Operation as Do;
    const READ: Option<Scope> = Some(Scope::Read);
    const WRITE: Option<Scope> = Some(Scope::Write);
    const ADMIN: Option<Scope> = Some(Scope::Admin);
    &[
        route(Get, COLLECTIONS, READ, PLAIN, Do::ListCollections),
        route(Post, COLLECTIONS, WRITE, PLAIN, Do::CreateCollection),
        route(Get, COLLECTION, READ, PLAIN, Do::GetCollection),
        route(Patch, COLLECTION, WRITE, PLAIN, Do::UpdateCollection),
        route(Delete, COLLECTION, WRITE, PLAIN, Do::DeleteCollection),
        route(Post, "/v1/collections/{collection}/recut", WRITE, ANSWER, Do::RecutCollection),
        route(Get, DOCUMENTS, READ, PLAIN, Do::ListDocuments),
        route(Post, DOCUMENTS, WRITE, PLAIN, Do::IngestDocuments),
        route(Put, DOCUMENT, WRITE, PLAIN, Do::PutDocument),
        route(Get, DOCUMENT, READ, PLAIN, Do::GetDocument),
        route(Delete, DOCUMENT, WRITE, PLAIN, Do::DeleteDocument),
        route(
            Get,
            "/v1/collections/{collection}/documents/{id}/chunks",
            READ,
            PLAIN,
            Do::ListChunks,
        ),
        route(Get, "/v1/jobs", WRITE, PLAIN, Do::ListJobs),
        route(Get, "/v1/jobs/{id}", WRITE, PLAIN, Do::GetJob),
        route(Post, "/v1/jobs/{id}/cancel", WRITE, PLAIN, Do::CancelJob),
        route(Post, "/v1/jobs/{id}/retry", WRITE, PLAIN, Do::RetryJob),
        route(Post, "/v1/collections/{collection}/search", READ, PLAIN, Do::Search),
        route(Post, "/v1/collections/{collection}/query", READ, ANSWER, Do::Query),
        route(Post, "/v1/chat/completions", READ, ANSWER, Do::CompleteChat),
        route(Post, "/v1/completions", READ, ANSWER, Do::CompleteText),
        route(Post, "/v1/responses", READ, ANSWER, Do::CreateResponse),
        route(Get, "/v1/models", READ, PLAIN, Do::ListModels),
        route(Get, "/v1/models/{id}", READ, PLAIN, Do::GetModel),
        route(Get, "/v1/models/ragtime/{collection}", READ, PLAIN, Do::GetCollectionModel),
        route(Post, "/v1/embeddings", READ, PLAIN, Do::CreateEmbeddings),
        route(Post, "/v1/rerank", READ, PLAIN, Do::Rerank),
        route(Get, FILES, READ, PLAIN, Do::ListFiles),
        route(Post, FILES, WRITE, PLAIN, Do::UploadFile),
        route(Get, "/v1/files/{id}", READ, PLAIN, Do::GetFile),
        route(Delete, "/v1/files/{id}", WRITE, PLAIN, Do::DeleteFile),
        route(Get, "/v1/files/{id}/content", READ, PLAIN, Do::GetFileContent),
        route(Get, STORES, READ, PLAIN, Do::ListVectorStores),
        route(Post, STORES, WRITE, PLAIN, Do::CreateVectorStore),
        route(Get, STORE, READ, PLAIN, Do::GetVectorStore),
        route(Post, STORE, WRITE, PLAIN, Do::UpdateVectorStore),
        route(Delete, STORE, WRITE, PLAIN, Do::DeleteVectorStore),
        route(Post, "/v1/vector_stores/{id}/search", READ, PLAIN, Do::SearchVectorStore),
        route(Get, STORE_FILES, READ, PLAIN, Do::ListStoreFiles),
        route(Post, STORE_FILES, WRITE, PLAIN, Do::AttachFile),
        route(Get, STORE_FILE, READ, PLAIN, Do::GetStoreFile),
        route(Post, STORE_FILE, WRITE, PLAIN, Do::UpdateStoreFile),
        route(Delete, STORE_FILE, WRITE, PLAIN, Do::DetachFile),
        route(
            Get,
            "/v1/vector_stores/{id}/files/{file}/content",
            READ,
            PLAIN,
            Do::GetStoreFileContent,
        ),
        route(Post, "/v1/vector_stores/{id}/file_batches", WRITE, PLAIN, Do::AttachFiles),
        route(Get, FILE_BATCH, WRITE, PLAIN, Do::GetFileBatch),
        route(
            Get,
            "/v1/vector_stores/{id}/file_batches/{batch}/files",
            WRITE,
            PLAIN,
            Do::ListBatchFiles,
        ),
        route(
            Post,
            "/v1/vector_stores/{id}/file_batches/{batch}/cancel",
            WRITE,
            PLAIN,
            Do::CancelFileBatch,
        ),
        route(Post, "/mcp", READ, PLAIN, Do::SpeakMcp),
        route(Get, "/v1/keys", ADMIN, PLAIN, Do::ListKeys),
        route(Post, "/v1/keys", ADMIN, PLAIN, Do::CreateKey),
        route(Get, "/v1/keys/self", None, PLAIN, Do::CurrentKey),
        route(Patch, "/v1/keys/{id}", ADMIN, PLAIN, Do::UpdateKey),
        route(Delete, "/v1/keys/{id}", ADMIN, PLAIN, Do::RevokeKey),
        route(Post, "/v1/keys/{id}/rotate", ADMIN, PLAIN, Do::RotateKey),
        open("/livez", Open::Live),
        open("/readyz", Open::Ready),
        open("/problems/{code}", Open::ExplainProblem),
        open("/warnings/{code}", Open::ExplainWarning),
        open("/openapi.json", Open::Describe),
        open("/", Open::Playground),
        open("/docs", Open::Docs),
        open("/assets/{name}", Open::Asset),
    ]
};

/// Units of the dearest route: a key whose budget never holds so many could not
/// call it at all.
pub const DEAREST: u32 = {
    let (mut dearest, mut rest) = (0, ROUTES);
    while let [route, others @ ..] = rest {
        if let Access::Key { cost, .. } = route.access
            && cost > dearest
        {
            dearest = cost;
        }
        rest = others;
    }
    dearest
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_routes_share_method_and_path() {
        for (index, route) in ROUTES.iter().enumerate() {
            let twin = ROUTES
                .iter()
                .skip(index + 1)
                .find(|other| (other.method, other.path) == (route.method, route.path));
            assert_eq!(twin, None);
        }
    }

    #[test]
    fn only_health_and_explanations_are_open() {
        for route in ROUTES.iter().filter(|route| matches!(route.access, Access::Open(_))) {
            assert!(!route.path.starts_with("/v1/"), "{route:?}");
        }
    }

    #[test]
    fn every_change_of_documents_needs_write_and_of_keys_admin() {
        for route in ROUTES
            .iter()
            .filter(|route| matches!(route.method, Method::Put | Method::Patch | Method::Delete))
        {
            let scope =
                if route.path.starts_with("/v1/keys") { Scope::Admin } else { Scope::Write };
            let needed = match route.access {
                Access::Key { scope, .. } => scope,
                Access::Open(_) => None,
            };
            assert_eq!(needed, Some(scope), "{route:?}");
        }
    }

    #[test]
    fn a_scope_is_found_by_its_name() {
        assert_eq!(Scope::parse("write"), Some(Scope::Write));
        assert_eq!(Scope::parse("Write"), None);
    }

    #[test]
    fn the_work_of_a_body_costs_by_its_size() {
        assert_eq!([0, 1, 65_536, 65_537].map(|bytes| Work::Bytes.units(bytes)), [0, 0, 0, 1]);
        assert_eq!(Work::Tokens.units(256 * 256), 255);
        assert!(Work::Bytes.units(crate::limits::MAX_BODY_BYTES) < 600, "a usual burst");
    }
}
