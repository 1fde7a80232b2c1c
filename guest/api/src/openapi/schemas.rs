//! Schemas of what no type of this crate stands for.

use serde_json::{Map, Value, json};

use crate::limits;

/// By name.
pub(super) fn written(generators: &[String]) -> Map<String, Value> {
    let mut schemas = Map::new();
    schemas.insert("Filter".into(), filter());
    schemas.insert("FilterTest".into(), test());
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
