//! The one table of routes, a file for each resource: method, path, scope, cost, body and
//! answers of an operation stand together. Dispatch, documentation and `Allow` come from it.

mod collections;
pub(crate) mod description;
mod documents;
mod files;
mod jobs;
mod keys;
mod mcp;
mod openai;
pub(crate) mod parameters;
mod questions;
mod server;
mod store_files;
mod vector_stores;

pub use collections::Collections;
pub use documents::Documents;
pub use files::Files;
pub use jobs::Jobs;
pub use keys::Keys;
pub use mcp::Mcp;
pub use openai::OpenAi;
pub use questions::Questions;
pub use server::Server;
pub use store_files::StoreFiles;
pub use vector_stores::VectorStores;

pub use ragtime_policy::scope::Scope;

use description::Description;

const READ: Option<Scope> = Some(Scope::Read);
const WRITE: Option<Scope> = Some(Scope::Write);
const ADMIN: Option<Scope> = Some(Scope::Admin);
/// Any key will do.
const ANY: Option<Scope> = None;

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

/// What a route does for a key that was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// On collections.
    Collections(Collections),
    /// On documents.
    Documents(Documents),
    /// On batches of documents.
    Jobs(Jobs),
    /// Finds and answers.
    Questions(Questions),
    /// Asks in OpenAI's formats.
    OpenAi(OpenAi),
    /// On uploaded files.
    Files(Files),
    /// On collections as vector stores.
    VectorStores(VectorStores),
    /// On documents as files of a vector store.
    StoreFiles(StoreFiles),
    /// On keys.
    Keys(Keys),
}

/// Who may call a route, and what the route does for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, at no cost.
    Open(Server),
    /// A key, admitted at a cost that the route has.
    Key {
        /// The scope; none means that any key will do.
        scope: Option<Scope>,
        /// What a request takes of the key's budget.
        cost: Cost,
        /// What the route does.
        operation: Operation,
    },
    /// A key, admitted at what its body asks for: a message costs what its tool costs.
    Messages {
        /// The scope.
        scope: Option<Scope>,
        /// Units of the key's budget for a message at least.
        least: u32,
        /// What the route does.
        operation: Mcp,
    },
}

/// What a request takes of the key's budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cost {
    /// So many units, whatever stands in it.
    Flat(u32),
    /// So many units, and one for each further [`BYTES_PER_UNIT`] of the body.
    ByBytes(u32),
    /// So many units, and one for each further [`TOKENS_PER_UNIT`] of the texts.
    ByTokens(u32),
}

/// Bytes of a body that cost a unit: text that is tokenised, stored, indexed and
/// embedded. The largest body costs 512 units, less than the usual burst.
pub const BYTES_PER_UNIT: usize = 64 * 1024;
/// Tokens that cost a unit: the longest text that the model reads, some 100 ms of
/// two cores.
pub const TOKENS_PER_UNIT: usize = 256;

impl Cost {
    /// Units that any request costs.
    pub const fn least(self) -> u32 {
        match self {
            Self::Flat(units) | Self::ByBytes(units) | Self::ByTokens(units) => units,
        }
    }

    /// Units of a request of so many bytes or tokens, whichever it costs by.
    pub fn of(self, amount: usize) -> u32 {
        let each = match self {
            Self::Flat(units) => return units,
            Self::ByBytes(_) => BYTES_PER_UNIT,
            Self::ByTokens(_) => TOKENS_PER_UNIT,
        };
        let further = u32::try_from(amount.saturating_sub(1) / each).unwrap_or(u32::MAX);
        self.least().saturating_add(further)
    }

    /// For people: what comes on top of the least, if something does.
    pub fn further(self) -> Option<String> {
        match self {
            Self::Flat(_) => None,
            Self::ByBytes(_) => {
                Some(format!("one more for each further {} KiB", BYTES_PER_UNIT / 1_024))
            }
            Self::ByTokens(_) => {
                Some(format!("one more for each further {TOKENS_PER_UNIT} tokens"))
            }
        }
    }
}

/// Units of a request that reads or writes one thing.
pub(crate) const PLAIN_UNITS: u32 = 1;
/// Units of an answer: a search plus a generation.
pub(crate) const ANSWER_UNITS: u32 = 4;

const PLAIN: Cost = Cost::Flat(PLAIN_UNITS);
const ANSWER: Cost = Cost::Flat(ANSWER_UNITS);
const BY_BYTES: Cost = Cost::ByBytes(PLAIN_UNITS);
const BY_TOKENS: Cost = Cost::ByTokens(PLAIN_UNITS);

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

/// A route, and what it takes and answers.
#[derive(Clone, Copy)]
pub(crate) struct Described {
    pub(crate) route: Route,
    pub(crate) describe: fn() -> Description,
}

const fn keyed(
    method: Method,
    path: &'static str,
    scope: Option<Scope>,
    cost: Cost,
    operation: Operation,
    describe: fn() -> Description,
) -> Described {
    let access = Access::Key { scope, cost, operation };
    Described { route: Route { method, path, access }, describe }
}

const fn open(path: &'static str, operation: Server, describe: fn() -> Description) -> Described {
    let access = Access::Open(operation);
    Described { route: Route { method: Method::Get, path, access }, describe }
}

/// Every route with its description, by resource. The handler itself needs [`ROUTES`]
/// alone, so that it does not carry what only the OpenAPI document is made of.
pub(crate) const DESCRIBED: &[&[Described]] = &[
    collections::OPERATIONS,
    documents::OPERATIONS,
    jobs::OPERATIONS,
    questions::OPERATIONS,
    openai::OPERATIONS,
    files::OPERATIONS,
    vector_stores::OPERATIONS,
    store_files::OPERATIONS,
    mcp::OPERATIONS,
    keys::OPERATIONS,
    server::OPERATIONS,
];

const COUNT: usize = {
    let (mut count, mut resources) = (0, DESCRIBED);
    while let [resource, others @ ..] = resources {
        count += resource.len();
        resources = others;
    }
    count
};

/// Every route.
pub const ROUTES: &[Route] = {
    const TABLE: [Route; COUNT] = table();
    &TABLE
};

#[allow(clippy::indexing_slicing, reason = "the compiler evaluates it, and refuses a bad index")]
const fn table() -> [Route; COUNT] {
    let (mut table, mut count, mut resources) = ([DESCRIBED[0][0].route; COUNT], 0, DESCRIBED);
    while let [resource, others @ ..] = resources {
        let mut rest = *resource;
        while let [described, following @ ..] = rest {
            table[count] = described.route;
            count += 1;
            rest = following;
        }
        resources = others;
    }
    table
}

/// Units of the dearest route: a key whose budget never holds so many could not
/// call it at all.
pub const DEAREST: u32 = {
    let (mut dearest, mut rest) = (0, ROUTES);
    while let [route, others @ ..] = rest {
        let least = match route.access {
            Access::Open(_) => 0,
            Access::Key { cost, .. } => cost.least(),
            Access::Messages { least, .. } => least,
        };
        if least > dearest {
            dearest = least;
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
                Access::Key { scope, .. } | Access::Messages { scope, .. } => scope,
                Access::Open(_) => None,
            };
            assert_eq!(needed, Some(scope), "{route:?}");
        }
    }

    #[test]
    fn a_scope_is_found_by_its_name() {
        assert_eq!("write".parse(), Ok(Scope::Write));
        assert!("Write".parse::<Scope>().is_err());
    }

    #[test]
    fn the_work_of_a_body_costs_by_its_size() {
        assert_eq!([0, 1, 65_536, 65_537].map(|bytes| BY_BYTES.of(bytes)), [1, 1, 1, 2]);
        assert_eq!(BY_TOKENS.of(256 * 256), 256);
        assert_eq!(ANSWER.of(256 * 256), ANSWER_UNITS);
        assert!(BY_BYTES.of(crate::limits::MAX_BODY_BYTES) < 600, "a usual burst");
    }
}
