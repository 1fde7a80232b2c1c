//! Holds every response against the OpenAPI document: its status is described,
//! and its JSON is what the schema says, with no member beyond.

use std::sync::OnceLock;

use reqwest::Method;
use serde_json::Value;

/// The paths that the default handler alone serves; fixtures have others.
const OWN: [&str; 9] = [
    "/v1/",
    "/mcp",
    "/docs",
    "/assets/",
    "/livez",
    "/readyz",
    "/problems/",
    "/warnings/",
    "/openapi.json",
];

fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| ragtime_api::openapi::document(&["extractive".into(), "openai".into()]))
}

/// What contradicts the document, if anything does.
pub fn check(
    method: &Method,
    path: &str,
    status: u16,
    media_type: &str,
    body: &Value,
) -> Result<(), String> {
    if !OWN.iter().any(|own| path.starts_with(own)) || *method == Method::OPTIONS {
        return Ok(());
    }
    let paths = document()["paths"].as_object().unwrap();
    let Some(item) = paths.iter().find(|(template, _)| matches(template, path)) else {
        return expect(status == 404, || format!("no path for {path}, yet {status}"));
    };
    let name = if *method == Method::HEAD { "get".into() } else { method.as_str().to_lowercase() };
    let Some(operation) = item.1.get(&name) else {
        return expect(status == 405, || format!("no {method} for {path}, yet {status}"));
    };
    let response = &operation["responses"][status.to_string()];
    expect(response.is_object(), || format!("{method} {path}: {status} is not described"))?;
    let media_type = media_type.split(';').next().unwrap_or_default();
    let Some(content) = response.get("content") else {
        return expect(media_type.is_empty(), || format!("{path}: {status} has no body"));
    };
    let Some(content) = content.get(media_type) else {
        let bare = status == 304 || *method == Method::HEAD;
        return expect(bare, || format!("{method} {path}: {status} as {media_type:?}"));
    };
    if !media_type.ends_with("json") || *method == Method::HEAD {
        return Ok(());
    }
    valid(&content["schema"], body, "#").map_err(|fault| format!("{method} {path}: {fault}"))
}

/// The longest template wins over a parameter.
fn matches(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(part, given)| match part.starts_with('{') {
            true => !given.is_empty() && given != "self",
            false => part == given,
        })
}

fn expect(met: bool, fault: impl FnOnce() -> String) -> Result<(), String> {
    if met { Ok(()) } else { Err(fault()) }
}

/// Checks a value by the part of JSON Schema that the document uses.
fn valid(schema: &Value, value: &Value, at: &str) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document().pointer(reference.trim_start_matches('#')).unwrap();
        return valid(target, value, at);
    }
    if let Some(choices) = schema["anyOf"].as_array().or_else(|| schema["oneOf"].as_array()) {
        let fits = choices.iter().any(|choice| valid(choice, value, at).is_ok());
        return expect(fits, || format!("{at}: {value} fits none of {schema}"));
    }
    if let Some(words) = schema["enum"].as_array() {
        expect(words.contains(value), || format!("{at}: {value} is none of {schema}"))?;
    }
    if let Some(constant) = schema.get("const") {
        expect(constant == value, || format!("{at}: {value} is not {constant}"))?;
    }
    let kinds = match &schema["type"] {
        Value::String(kind) => vec![kind.as_str()],
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let fits = kinds.is_empty() || kinds.iter().any(|kind| is(kind, value));
    expect(fits, || format!("{at}: {value} is no {kinds:?}"))?;
    match value {
        Value::Object(members) => object(schema, members, at),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| valid(&schema["items"], item, &format!("{at}/{index}"))),
        _ => Ok(()),
    }
}

fn object(
    schema: &Value,
    members: &serde_json::Map<String, Value>,
    at: &str,
) -> Result<(), String> {
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        expect(members.contains_key(name), || format!("{at}: {name} is missing"))?;
    }
    let Some(properties) = schema["properties"].as_object() else { return Ok(()) };
    for (name, value) in members {
        let known = properties.get(name).ok_or_else(|| format!("{at}: {name} is not described"))?;
        valid(known, value, &format!("{at}/{name}"))?;
    }
    Ok(())
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        _ => value.is_object(),
    }
}
