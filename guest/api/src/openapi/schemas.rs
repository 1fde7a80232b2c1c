//! Schemas of what no type of this crate stands for.

use serde_json::{Map, Value, json};

use crate::limits;

/// By name.
pub(super) fn written(generators: &[String]) -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert("Filter".into(), filter());
    schemas.insert("FilterTest".into(), test());
    schemas.insert("FileFilter".into(), file_filter());
    schemas.insert("Generator".into(), json!({"type": "string", "enum": generators}));
    schemas
}

/// A condition, as the host evaluates it: the members must all hold. Its depth
/// and size are bounded, which JSON Schema cannot say.
fn filter() -> Value {
    let this = json!({"$ref": "#/components/schemas/Filter"});
    let list = json!({"type": "array", "items": this, "minItems": 1});
    json!({
        "type": "object",
        "description": format!(
            "A condition on metadata: members name a field (`a.b` reaches into objects) or are \
             `and`, `or`, `not`. At most {} levels deep and {} bytes.",
            limits::MAX_FILTER_DEPTH, limits::MAX_FILTER_BYTES,
        ),
        "properties": {"and": list, "or": list, "not": this},
        "additionalProperties": {"anyOf": [
            {"type": ["string", "number", "boolean", "null"]},
            {"$ref": "#/components/schemas/FilterTest"},
        ]},
    })
}

/// A filter in OpenAI's form.
fn file_filter() -> Value {
    let this = json!({"$ref": "#/components/schemas/FileFilter"});
    let key = json!({"type": "string", "not": {"enum": ["and", "or", "not"]}});
    let comparison = |types: Value, value: Value| {
        json!({
            "type": "object", "required": ["type", "key", "value"],
            "properties": {"type": {"enum": types}, "key": key, "value": {"type": value}},
        })
    };
    json!({
        "description": "A comparison, or several that are joined.",
        "anyOf": [
            {
                "type": "object", "required": ["type", "filters"],
                "properties": {
                    "type": {"enum": ["and", "or"]},
                    "filters": {"type": "array", "items": this, "minItems": 1},
                },
            },
            comparison(json!(["eq", "ne"]), json!(["string", "number", "boolean"])),
            comparison(json!(["gt", "gte", "lt", "lte"]), json!(["string", "number"])),
            comparison(json!(["in", "nin"]), json!("array")),
        ],
    })
}

fn test() -> Value {
    let ordered = json!({"type": ["string", "number"]});
    let list = json!({"type": "array"});
    json!({
        "type": "object",
        "description": "Tests of one field, which must all hold.",
        "properties": {
            "eq": {}, "ne": {}, "lt": ordered, "lte": ordered, "gt": ordered, "gte": ordered,
            "in": list, "nin": list, "exists": {"type": "boolean"},
        },
        "minProperties": 1,
        "additionalProperties": false,
    })
}
