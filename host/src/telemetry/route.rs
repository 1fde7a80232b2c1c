//! Route templates, so that metrics have few labels however many documents
//! there are.

use std::collections::HashMap;
use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};
use serde_json::{Map, Value};

/// Templates one handler may have; further ones are not distinguished.
const MAX_TEMPLATES: usize = 200;

/// What stands for a path that is no template's.
const OTHER: &str = "other";

/// A path with names in the place of ids: `/v1/jobs/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Route(Option<Arc<Template>>);

/// A path as a handler describes it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Template {
    path: String,
    /// No operation asks for a key.
    open: bool,
    /// No operation takes a body that is not JSON.
    plain: bool,
}

impl Route {
    /// The template, or `other`.
    pub fn as_str(&self) -> &str {
        self.0.as_ref().map_or(OTHER, |template| &template.path)
    }

    /// Whether the handler says that nobody needs a key here.
    pub fn is_open(&self) -> bool {
        self.0.as_ref().is_some_and(|template| template.open)
    }

    /// Whether the handler says that no body here is anything but JSON.
    pub fn takes_only_json(&self) -> bool {
        self.0.as_ref().is_some_and(|template| template.plain)
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

impl Template {
    /// Of a member of `paths` in an OpenAPI document.
    fn new(path: &str, item: &Value) -> Self {
        let operations = || item.as_object().into_iter().flat_map(|item| item.values());
        let is_open = |operation: &Value| {
            operation.get("security").and_then(Value::as_array).is_some_and(Vec::is_empty)
        };
        let is_plain = |operation: &Value| {
            let content = operation.pointer("/requestBody/content").and_then(Value::as_object);
            content.is_none_or(|content| content.keys().all(|media_type| media_type == JSON))
        };
        Self {
            path: path.to_owned(),
            open: operations().next().is_some() && operations().all(is_open),
            plain: operations().all(is_plain),
        }
    }
}

const JSON: &str = "application/json";

/// The templates of a handler, from its own description of its API.
#[derive(Debug, Default)]
pub struct Templates {
    /// Those without names, by their path.
    words: HashMap<String, Arc<Template>>,
    /// The others, by the number of their segments; those with the fewest names first.
    named: HashMap<usize, Vec<Arc<Template>>>,
}

impl Templates {
    /// Those of a description's `paths`.
    pub fn new(paths: &Map<String, Value>) -> Self {
        let mut all = Self::default();
        for (path, item) in paths.iter().take(MAX_TEMPLATES) {
            let template = Arc::new(Template::new(path, item));
            match names(path) {
                0 => drop(all.words.insert(path.clone(), template)),
                _ => all.named.entry(segments(path)).or_default().push(template),
            }
        }
        for templates in all.named.values_mut() {
            templates.sort_by_key(|template| names(&template.path));
        }
        all
    }

    /// The template that `path` follows. Words go before names: `/v1/keys/self` is not
    /// `/v1/keys/{id}`.
    pub fn find(&self, path: &str) -> Route {
        let named = || {
            let templates = self.named.get(&segments(path))?;
            templates.iter().find(|template| follows(path, &template.path))
        };
        Route(self.words.get(path).or_else(named).cloned())
    }
}

/// How many segments of a template are names.
fn names(template: &str) -> usize {
    template.matches('{').count()
}

fn segments(path: &str) -> usize {
    path.bytes().filter(|byte| *byte == b'/').count()
}

fn follows(path: &str, template: &str) -> bool {
    let (mut path, mut template) = (path.split('/'), template.split('/'));
    loop {
        match (path.next(), template.next()) {
            (None, None) => return true,
            (Some(is), Some(asked)) if asked.starts_with('{') || is == asked => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_path_finds_the_template_with_the_fewest_names() {
        let paths = ["/v1/keys/{id}", "/v1/keys/self", "/v1/collections/{c}/documents/{id}", "/"];
        let paths = paths.into_iter().map(|path| (path.to_owned(), Value::Null)).collect();
        let templates = Templates::new(&paths);
        for (path, route) in [
            ("/v1/keys/self", "/v1/keys/self"),
            ("/v1/keys/abc", "/v1/keys/{id}"),
            ("/v1/collections/a/documents/b%2Fc", "/v1/collections/{c}/documents/{id}"),
            ("/", "/"),
            ("/v1/keys/a/b", "other"),
            ("/wp-login.php", "other"),
        ] {
            assert_eq!(templates.find(path).as_str(), route, "{path}");
        }
    }

    #[test]
    fn a_handler_says_where_no_key_and_no_file_belongs() {
        let json = serde_json::json!({"content": {"application/json": {}}});
        let files = serde_json::json!({"content": {"application/json": {}, "text/plain": {}}});
        let paths = serde_json::json!({
            "/open": {"get": {"security": []}},
            "/half": {"get": {"security": []}, "post": {"requestBody": json}},
            "/files": {"put": {"requestBody": files, "security": [{"bearer": []}]}},
        });
        let templates = Templates::new(paths.as_object().unwrap());
        let of = |path: &str| {
            let route = templates.find(path);
            (route.is_open(), route.takes_only_json())
        };
        assert_eq!(of("/open"), (true, true));
        assert_eq!(of("/half"), (false, true));
        assert_eq!(of("/files"), (false, false));
        assert_eq!(of("/unknown"), (false, false));
    }
}
