//! `/admin/settings`: what is in force, without secrets.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Admin, Answered, json};
use crate::config::Settings;

/// What stands in the place of what a URL may hide.
const HIDDEN: &str = "[secret]";

/// The settings as an operator may see them.
pub struct Shown {
    settings: Value,
    /// Those that are not at their defaults, as `section.name`.
    changed: Vec<String>,
}

impl Shown {
    /// The settings without secrets.
    pub fn new(settings: &Settings) -> Self {
        let visible = |settings: &Settings| {
            let mut value = serde_json::to_value(settings).unwrap_or_default();
            hide(&mut value);
            value
        };
        let (settings, defaults) = (visible(settings), visible(&Settings::default()));
        let changed = changed(&settings, &defaults);
        Self { settings, changed }
    }
}

impl Admin {
    /// The settings in force.
    pub(super) fn settings(&self) -> Answered {
        let Shown { settings, changed } = &self.shown;
        Ok(json(StatusCode::OK, &json!({"settings": settings, "changed": changed})))
    }
}

fn changed(settings: &Value, defaults: &Value) -> Vec<String> {
    let members = |value: &Value| value.as_object().cloned().unwrap_or_default();
    let mut changed = Vec::new();
    for (section, values) in members(settings) {
        for (name, value) in members(&values) {
            if defaults.get(&section).and_then(|section| section.get(&name)) != Some(&value) {
                changed.push(format!("{section}.{name}"));
            }
        }
    }
    changed
}

/// Hides what a URL carries beside its place: a password, or a key as a parameter.
/// Other secrets never print.
fn hide(value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(hidden) = without_secrets(text) {
                *text = hidden;
            }
        }
        Value::Array(values) => values.iter_mut().for_each(hide),
        Value::Object(members) => members.values_mut().for_each(hide),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The URL with what may be secret hidden; none where the text is no such URL.
fn without_secrets(text: &str) -> Option<String> {
    let (scheme, rest) = text.split_once("://")?;
    let (place, query) = match rest.split_once(['?', '#']) {
        Some((place, _)) => (place, format!("?{HIDDEN}")),
        None => (rest, String::new()),
    };
    let (authority, path) = place.split_at(place.find('/').unwrap_or(place.len()));
    let authority = match authority.rsplit_once('@') {
        Some((_, host)) => format!("{HIDDEN}@{host}"),
        None => authority.to_owned(),
    };
    Some(format!("{scheme}://{authority}{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_url_hides_is_not_shown() {
        let shown = |url| without_secrets(url);
        let hidden = Some("https://[secret]@models.example/v1".to_owned());
        assert_eq!(shown("https://me:pass@models.example/v1"), hidden);
        let hidden = Some("https://models.example/v1?[secret]".to_owned());
        assert_eq!(shown("https://models.example/v1?key=s3cret"), hidden);
        let same = "http://127.0.0.1:11434/v1";
        assert_eq!(shown(same).as_deref(), Some(same));
        assert_eq!(shown("127.0.0.1:8080"), None);
    }

    #[test]
    fn a_setting_that_is_not_at_its_default_is_told_and_a_secret_is_not_shown() {
        let mut settings = Settings::default();
        settings.server.max_requests += 1;
        settings.auth.bootstrap_key = Some("rt_a_b".into());
        let shown = Shown::new(&settings);
        assert_eq!(shown.changed, ["auth.bootstrap_key", "server.max_requests"]);
        assert!(!shown.settings.to_string().contains("rt_a_b"));
    }
}
