//! Route templates, so that metrics have few labels however many documents
//! there are.

use std::sync::Arc;

use prometheus_client::encoding::{EncodeLabelValue, LabelValueEncoder};

/// Templates one handler may have; further ones are not told apart.
const MAX_TEMPLATES: usize = 200;

/// What stands for a path that is no template's.
const OTHER: &str = "other";

/// A path with names in the place of ids: `/v1/jobs/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Route(Option<Arc<str>>);

impl Route {
    /// The template, or `other`.
    pub fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or(OTHER)
    }
}

impl EncodeLabelValue for Route {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> std::fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

/// The templates of a handler, from its own description of its API.
#[derive(Debug, Default)]
pub struct Templates(Vec<Arc<str>>);

impl Templates {
    /// Those of a description's `paths`.
    pub fn new<'a>(paths: impl Iterator<Item = &'a str>) -> Self {
        let mut templates: Vec<Arc<str>> = paths.take(MAX_TEMPLATES).map(Arc::from).collect();
        // Words before names: `/v1/keys/self` is not `/v1/keys/{id}`.
        templates.sort_by_key(|template| template.matches('{').count());
        Self(templates)
    }

    /// The template that `path` follows.
    pub fn find(&self, path: &str) -> Route {
        Route(self.0.iter().find(|template| follows(path, template)).cloned())
    }
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
    use super::*;

    #[test]
    fn a_path_finds_the_template_with_the_fewest_names() {
        let paths = ["/v1/keys/{id}", "/v1/keys/self", "/v1/collections/{c}/documents/{id}", "/"];
        let templates = Templates::new(paths.into_iter());
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
}
