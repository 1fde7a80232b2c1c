//! The OpenAPI 3.1 document of this handler: the table of routes, the members
//! that the readers check by, and the types that are answered.

#![allow(clippy::indexing_slicing, reason = "of objects made here; a member is added if absent")]

mod problems;
mod schemas;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::routes::description::{Content, Description, Place};
use crate::routes::parameters::path_schema;
use crate::routes::{Access, Cost, DESCRIBED, Described, Route};

/// The document, with the names of the generators that answer.
pub fn document(generators: &[String]) -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let mut paths = Map::new();
    for Described { route, describe } in DESCRIBED.iter().copied().flatten() {
        let described = operation(route, &describe(), &mut schemas);
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.name().to_ascii_lowercase()] = described;
    }
    let mut components = schemas.take_definitions(true);
    components.extend(schemas::written(generators));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Ragtime",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Put documents in, ask, get an answer with citations.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    })
}

/// Stands for the names of the generators in the written document, which differ
/// between servers.
const GENERATORS: &str = "{generators}";

/// The document as it is written in `guest/openapi.json`, with the names of the
/// generators that answer.
pub fn with_generators(written: &str, generators: &[String]) -> String {
    let names: Vec<_> = generators.iter().map(|name| json!(name).to_string()).collect();
    written.replacen(&json!(GENERATORS).to_string(), &names.join(","), 1)
}

/// The encoded document with the URL at which the server is. It is put in rather
/// than generated again: the document is large and always the same.
pub fn at(document: &[u8], url: &str) -> Vec<u8> {
    let servers = json!([{"url": url}]);
    let rest = document.strip_prefix(b"{").unwrap_or(document);
    [format!("{{\"servers\":{servers},").as_bytes(), rest].concat()
}

fn operation(
    route: &Route,
    description: &Description,
    schemas: &mut schemars::SchemaGenerator,
) -> Value {
    let mut described = json!({
        "operationId": description.id,
        "summary": description.summary,
        "tags": [description.tag],
        "parameters": parameters(route, description),
        "responses": responses(route, description, schemas),
        "security": security(route.access),
    });
    let needs = match route.access {
        Access::Open(_) => None,
        Access::Key { scope, cost, .. } => Some((scope, cost)),
        Access::Messages { scope, least, .. } => Some((scope, Cost::Flat(least))),
    };
    if let Some((scope, cost)) = needs {
        let scope = scope.map_or_else(|| "any".to_owned(), |scope| format!("`{}`", scope.name()));
        let further = cost.further().map(|further| format!(", and {further}"));
        let needs = format!(
            "Needs a key with the scope {scope}. Costs {} of its budget{}.",
            cost.least(),
            further.unwrap_or_default()
        );
        described["description"] = [&needs, description.note].join(" ").trim_end().into();
    }
    if let Some(body) = &description.body {
        let content: Map<_, _> = body
            .media_types
            .iter()
            .map(|(media_type, schema)| {
                let mut content = json!({"schema": schema()});
                if *media_type == "application/json" {
                    content["example"] = serde_json::from_str(body.example).unwrap_or_default();
                }
                ((*media_type).to_owned(), content)
            })
            .collect();
        described["requestBody"] = json!({"required": body.required, "content": content});
    }
    described
}

fn security(access: Access) -> Value {
    match access {
        Access::Open(_) => json!([]),
        Access::Key { .. } | Access::Messages { .. } => json!([{"bearer": []}, {"key": []}]),
    }
}

/// Those of the path, which stand in braces, and those of the query.
fn parameters(route: &Route, description: &Description) -> Vec<Value> {
    let names = route.path.split('{').skip(1).filter_map(|part| part.split('}').next());
    let path = names.map(|name| {
        let schema = path_schema(route.path, name);
        json!({"name": name, "in": "path", "required": true, "schema": schema})
    });
    let query = description.query.iter().map(|query| {
        json!({
            "name": query.name, "in": "query", "required": false,
            "description": query.description, "schema": (query.schema)(),
        })
    });
    path.chain(query).collect()
}

fn responses(
    route: &Route,
    description: &Description,
    schemas: &mut schemars::SchemaGenerator,
) -> Value {
    let keyed = !matches!(route.access, Access::Open(_));
    let mut responses = problems::responses(route, description, schemas);
    for answer in &description.answers {
        let response = responses.entry(answer.status.to_string()).or_insert_with(
            || json!({"description": answer.description, "headers": headers(keyed)}),
        );
        for place in answer.headers {
            response["headers"][place.name()] = place.header();
        }
        for content in &answer.content {
            let (media_type, schema) = match content {
                Content::Json(schema) => {
                    ("application/json", json!({"schema": schema(schemas).to_value()}))
                }
                Content::Text(media_type) => (*media_type, json!({})),
            };
            response["content"][media_type] = schema;
        }
    }
    Value::Object(responses)
}

/// The headers of every response, and of those to a key.
fn headers(keyed: bool) -> Value {
    let mut headers = json!({"X-Request-Id": Place::RequestId.header()});
    if keyed {
        for place in [Place::RateLimit, Place::RateLimitPolicy] {
            headers[place.name()] = place.header();
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::routes::ROUTES;
    use std::collections::BTreeSet;

    /// The handler serves what is written; to write it again after a change of the
    /// API, run this test with `RAGTIME_BLESS=1`.
    #[test]
    fn the_written_document_is_that_of_this_api() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.json");
        let document = document(&[GENERATORS.to_owned()]);
        let document = serde_json::to_string_pretty(&document).unwrap() + "\n";
        if std::env::var_os("RAGTIME_BLESS").is_some() {
            std::fs::write(path, &document).unwrap();
        }
        // Not the two texts, which are long.
        let same = std::fs::read_to_string(path).unwrap() == document;
        assert!(same, "guest/openapi.json is another: RAGTIME_BLESS=1 writes it again");
    }

    #[test]
    fn the_generators_of_a_server_stand_in_its_document() {
        let names = ["extractive".to_owned(), "a \"b\"".to_owned()];
        let written = document(&[GENERATORS.to_owned()]).to_string();
        let served: Value = serde_json::from_str(&with_generators(&written, &names)).unwrap();
        assert_eq!(served, document(&names));
        let none: Value = serde_json::from_str(&with_generators(&written, &[])).unwrap();
        assert_eq!(none, document(&[]));
    }

    #[test]
    fn every_route_has_an_operation_with_an_id_of_its_own() {
        let document = document(&[]);
        let mut ids = BTreeSet::new();
        for route in ROUTES {
            let described = &document["paths"][route.path][route.method.name().to_lowercase()];
            let id = described["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id}");
            assert!(described["responses"].as_object().unwrap().len() > 1, "{id}");
        }
    }

    #[test]
    fn the_document_says_where_the_server_is() {
        let document = document(&[]);
        let encoded = at(crate::json::encode(&document).as_bytes(), "https://a.example/\"rag");
        let mut served: Value = serde_json::from_slice(&encoded).unwrap();
        let servers = served.as_object_mut().unwrap().remove("servers").unwrap();
        assert_eq!(servers, json!([{"url": "https://a.example/\"rag"}]));
        assert_eq!(served, document);
    }

    #[test]
    fn every_example_passes_its_reader() {
        for Described { route, describe } in DESCRIBED.iter().copied().flatten() {
            let Some(body) = describe().body else { continue };
            assert_eq!((body.read)(body.example.as_bytes()), Ok(()), "{route:?}");
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        let document = document(&["extractive".into()]);
        let text = document.to_string();
        for part in text.split("\"$ref\":\"").skip(1) {
            let pointer = part.split('"').next().unwrap().strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
    }

    #[test]
    fn a_route_with_a_key_says_when_it_refuses() {
        let document = document(&[]);
        let search = &document["paths"]["/v1/collections/{collection}/search"]["post"];
        for status in ["200", "401", "403", "404", "413", "415", "422", "429", "503"] {
            assert!(search["responses"].get(status).is_some(), "{status}");
        }
        assert!(search["responses"]["429"]["headers"].get("Retry-After").is_some());
        assert_eq!(document["paths"]["/livez"]["get"]["security"], json!([]));
    }
}
