//! Holds every response against the OpenAPI document: its status is described,
//! and its JSON is what the schema says, with no member beyond.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use jsonschema::Validator;
use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};

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

/// The document, with each object closed to members that it does not describe: a client that is
/// generated from the document would lose them.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = ragtime_api::openapi::document(&["extractive".into(), "openai".into()]);
    close(&mut document);
    document
});

fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(close);
            let open = members.contains_key("additionalProperties");
            if members.get("type").is_some_and(|kind| kind == "object")
                && members.contains_key("properties")
                && !open
            {
                members.insert("unevaluatedProperties".into(), false.into());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
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
    let paths = DOCUMENT["paths"].as_object().unwrap();
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
    let faults: Vec<String> = validator(&content["schema"])
        .iter_errors(body)
        .map(|fault| format!("{} at {}", fault, fault.instance_path()))
        .collect();
    expect(faults.is_empty(), || format!("{method} {path}: {}", faults.join("; ")))
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

/// The validator of a schema of the document, which stays for the next response: building one
/// takes longer than using it.
fn validator(schema: &Value) -> Arc<Validator> {
    static BUILT: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock();
    let validator = built.entry(schema.to_string()).or_insert_with(|| {
        let root = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
        let options = jsonschema::draft202012::options().should_validate_formats(true);
        Arc::new(options.build(&root).expect("the document has a schema that no validator takes"))
    });
    validator.clone()
}
