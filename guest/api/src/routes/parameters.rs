//! Parameters of the query string and of the path.

use serde_json::{Value, json};

use super::description::Query;
use crate::json::Rule;
use crate::limits;
use crate::resource::rules;

/// Which part of a list is wanted.
pub(super) const PAGE: &[Query] = &[
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
/// Which part of a list of OpenAI's API is wanted.
pub(super) const OPENAI_PAGE: &[Query] = &[LIMIT, ORDER, AFTER, BEFORE];
pub(super) const LIMIT: Query = Query {
    name: "limit",
    description: "Items of the page, at most 100, whatever is asked for.",
    schema: || limit(limits::OPENAI_PAGE_ITEMS.1),
};
pub(super) const LIMIT_OF_FILES: Query = Query {
    name: "limit",
    description: "Items of the page, at most 10,000, whatever is asked for.",
    schema: || limit(limits::OPENAI_PAGE_FILES.1),
};
fn limit(default: u32) -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": u32::MAX, "default": default})
}

pub(super) const ORDER: Query = Query {
    name: "order",
    description: "`desc` has the last one first.",
    schema: || json!({"enum": ["asc", "desc"], "default": "desc"}),
};
pub(super) const AFTER: Query = Query {
    name: "after",
    description: "The id after which the page begins.",
    schema: || json!({"type": "string"}),
};
pub(super) const BEFORE: Query = Query {
    name: "before",
    description: "The id before which the page ends.",
    schema: || json!({"type": "string"}),
};
/// A parameter of a path, as JSON Schema.
pub(crate) fn path_schema(path: &str, name: &str) -> Value {
    let rule: Option<&Rule> = match name {
        "collection" => Some(&rules::COLLECTION),
        "id" if path.starts_with("/v1/collections/") => Some(&rules::DOCUMENT_ID),
        _ => None,
    };
    rule.map_or_else(|| json!({"type": "string", "minLength": 1}), Rule::schema)
}
