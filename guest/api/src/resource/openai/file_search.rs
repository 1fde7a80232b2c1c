//! The tool `file_search`, and its filters.

use serde_json::{Map, Value, json};

use super::store;
use crate::json::{self, Any, Faults, Field, Fields, Json, Location, Member, Whole, Word};
use crate::limits;

/// Levels of nesting of a filter in OpenAI's form; each becomes two of ours.
const MAX_DEPTH: usize = limits::MAX_FILTER_DEPTH / 2;

/// A search in one vector store.
#[derive(Debug, PartialEq, Eq)]
pub struct FileSearch {
    /// Where.
    pub collection: String,
    /// The most passages.
    pub max_num_results: Option<u32>,
    /// A filter on metadata, as JSON in our form.
    pub filter: Option<String>,
}

pub(super) const TOOLS: Member<Any> = Any::optional(
    "tools",
    tools_schema,
    "`file_search` names the vector store, which is a collection; others are not called.",
);

/// The most passages.
pub(super) const MAX_NUM_RESULTS: Member<Whole> =
    Whole::optional("max_num_results", 1, limits::MAX_TOP_K, "The most passages to answer from.");
/// A filter in OpenAI's form.
pub(super) const FILTERS: Member<Any> = Any::optional(
    "filters",
    || json!({"$ref": "#/components/schemas/FileFilter"}),
    "A comparison `{type, key, value}`, or `and`, `or` of `filters`.",
);

/// What the id of a store looks like.
const STORE: &str = "^(vs_)?[a-z0-9][a-z0-9_-]{0,59}$";

const FILTER_TYPES: [&str; 10] = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "and", "or"];

const VECTOR_STORE_IDS: Member<Any> = Any::required(
    "vector_store_ids",
    || json!({"type": "array", "items": {"type": "string", "pattern": STORE}, "minItems": 1, "maxItems": 1}),
    "The vector store, one.",
);
const TOOL: &[Field] = &[VECTOR_STORE_IDS.field(), MAX_NUM_RESULTS.field(), FILTERS.field()];

const TYPE: Member<Word> = Word::required("type", || FILTER_TYPES.to_vec(), "The comparison.");
const KEY: Member<Any> = Any::optional("key", || json!({"type": "string"}), "The attribute.");
const VALUE: Member<Any> = Any::optional("value", || json!({}), "What it is compared with.");
const CHANGED_FILTERS: Member<Any> =
    Any::optional("filters", || json!({"type": "array"}), "Those that are joined.");
const FILTER: &[Field] = &[TYPE.field(), KEY.field(), VALUE.field(), CHANGED_FILTERS.field()];

/// Tools of a request, as JSON Schema.
pub(super) fn tools_schema() -> Value {
    let mut search = json::lenient_object(TOOL);
    if let Some(properties) = search.pointer_mut("/properties").and_then(Value::as_object_mut) {
        properties.insert("type".into(), json!({"const": "file_search"}));
    }
    let other = json!({
        "type": "object", "properties": {"type": {"const": "function"}}, "required": ["type"],
    });
    json!({"type": "array", "items": {"anyOf": [search, other]}})
}

/// Takes the tools: all of them as JSON, and the one that searches.
pub(super) fn read(
    fields: &mut Fields<'_, '_>,
    faults: &mut Faults,
) -> (String, Option<FileSearch>) {
    let tools = match fields.take(TOOLS, faults) {
        None => return ("[]".to_owned(), None),
        Some(Json::Array(tools)) => tools,
        Some(other) => {
            fields.fault(TOOLS, format!("must be an array, not {}", other.kind()), faults);
            return ("[]".to_owned(), None);
        }
    };
    let encoded = json::encode(&tools);
    let place = fields.location(TOOLS);
    let mut searches = tools
        .into_iter()
        .enumerate()
        .filter(|(_, tool)| super::unsupported::has_type(tool, "file_search"));
    let search = searches
        .next()
        .and_then(|(index, tool)| self::tool(tool, Location::Item(&place, index), faults));
    if searches.next().is_some() {
        faults
            .push(place.fault("must have one `file_search`: an answer is made of one collection"));
    }
    (encoded, search)
}

fn tool(tool: Json<'_>, place: Location<'_>, faults: &mut Faults) -> Option<FileSearch> {
    let mut fields = Fields::open_lenient(tool, place, TOOL, faults)?;
    let max_num_results = fields.integer(MAX_NUM_RESULTS, faults);
    let filter = filters(&mut fields, faults);
    let collection = match fields.take(VECTOR_STORE_IDS, faults)? {
        Json::Array(ids) => match ids.as_slice() {
            [Json::String(id)] => store::collection(id).map(str::to_owned),
            _ => None,
        },
        _ => None,
    };
    if collection.is_none() {
        let detail = "must hold the id of one vector store: an answer is made of one collection";
        fields.fault(VECTOR_STORE_IDS, detail, faults);
    }
    Some(FileSearch { collection: collection?, max_num_results, filter })
}

/// Takes `filters` as a filter in our form.
pub(super) fn filters(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<String> {
    let filter = fields.take(FILTERS, faults)?;
    let filter = self::filter(filter, fields.location(FILTERS), MAX_DEPTH, faults)?;
    let encoded = filter.to_string();
    if encoded.len() > limits::MAX_FILTER_BYTES {
        let most = limits::MAX_FILTER_BYTES;
        fields.fault(FILTERS, format!("must be at most {most} bytes"), faults);
    }
    Some(encoded)
}

fn filter(json: Json<'_>, place: Location<'_>, depth: usize, faults: &mut Faults) -> Option<Value> {
    let Some(depth) = depth.checked_sub(1) else {
        faults.push(place.fault(format!("must be at most {MAX_DEPTH} levels deep")));
        return None;
    };
    let mut fields = Fields::open_lenient(json, place, FILTER, faults)?;
    let known = FILTER_TYPES.map(|word| (word, word));
    let kind = fields.choice(TYPE, &known, faults)?;
    if matches!(kind, "and" | "or") {
        let Some(Json::Array(items)) = fields.take(FILTERS, faults) else {
            fields.fault(FILTERS, "must be an array", faults);
            return None;
        };
        if items.is_empty() {
            fields.fault(FILTERS, "must hold one filter at least", faults);
            return None;
        }
        let inner = fields.location(FILTERS);
        let mut joined = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            joined.push(filter(item, Location::Item(&inner, index), depth, faults)?);
        }
        return Some(Value::Object(Map::from_iter([(kind.to_owned(), Value::Array(joined))])));
    }
    let key = match fields.take(KEY, faults) {
        Some(Json::String(key)) if !matches!(key.as_ref(), "and" | "or" | "not") => {
            key.into_owned()
        }
        _ => {
            fields.fault(KEY, "must be the name of an attribute", faults);
            return None;
        }
    };
    let Some(value) = fields.take(VALUE, faults) else {
        fields.fault(VALUE, "is required", faults);
        return None;
    };
    if let Err(detail) = comparable(kind, &value) {
        fields.fault(VALUE, detail, faults);
        return None;
    }
    let value: Value = serde_json::from_str(&json::encode(&value)).unwrap_or_default();
    Some(Value::Object(Map::from_iter([(key, json!({kind: value}))])))
}

/// Whether a comparison of this type takes such a value.
fn comparable(kind: &str, value: &Json<'_>) -> Result<(), String> {
    let (takes, wanted) = match (kind, value) {
        ("in" | "nin", value) => (matches!(value, Json::Array(_)), "an array"),
        ("eq" | "ne", value) => (
            matches!(value, Json::String(_) | Json::Number(_) | Json::Bool(_)),
            "a string, a number or a boolean",
        ),
        (_, value) => (matches!(value, Json::String(_) | Json::Number(_)), "a string or a number"),
    };
    match takes {
        true => Ok(()),
        false => Err(format!("must be {wanted} for `{kind}`, not {}", value.kind())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn read(filters: &str) -> Result<String, String> {
        const FIELDS: &[Field] = &[FILTERS.field()];
        let body = format!(r#"{{"filters":{filters}}}"#);
        let read = json::read(body.as_bytes(), |json, faults| filters_of(json, faults, FIELDS));
        read.map_err(|problem| problem.faults.into_iter().next().unwrap().place().unwrap())
    }

    fn filters_of(
        json: Json<'_>,
        faults: &mut Faults,
        declared: &'static [Field],
    ) -> Option<String> {
        filters(&mut Fields::open_lenient(json, Location::Root, declared, faults)?, faults)
    }

    #[test]
    fn a_filter_becomes_one_of_ours() {
        assert_eq!(
            read(r#"{"type":"eq","key":"author","value":"Joplin"}"#).unwrap(),
            r#"{"author":{"eq":"Joplin"}}"#
        );
        let joined = r#"{"type":"and","filters":[{"type":"gte","key":"year","value":1899},{"type":"or","filters":[{"type":"in","key":"a","value":[1,2]}]}]}"#;
        assert_eq!(
            read(joined).unwrap(),
            r#"{"and":[{"year":{"gte":1899}},{"or":[{"a":{"in":[1,2]}}]}]}"#
        );
    }

    #[test]
    fn a_filter_that_is_none_is_pointed_at() {
        assert_eq!(read(r#"{"type":"like","key":"a","value":1}"#).unwrap_err(), "filters.type");
        assert_eq!(
            read(r#"{"type":"or","filters":[{"type":"eq","value":1}]}"#).unwrap_err(),
            "filters.filters[0].key"
        );
        for wrong in [
            r#"{"type":"eq","key":"a","value":{}}"#,
            r#"{"type":"gt","key":"a","value":true}"#,
            r#"{"type":"in","key":"a","value":"b"}"#,
        ] {
            assert_eq!(read(wrong).unwrap_err(), "filters.value", "{wrong}");
        }
        assert_eq!(read(r#"{"type":"and","filters":[]}"#).unwrap_err(), "filters.filters");
        let deep = format!(
            "{}{}{}",
            r#"{"type":"and","filters":["#.repeat(9),
            r#"{"type":"eq","key":"a","value":1}"#,
            "]}".repeat(9)
        );
        assert!(read(&deep).is_err());
    }
}
