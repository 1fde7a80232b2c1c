//! What stands in headers, URLs and search fields.

use ragtime_api::body::BodyType;
use ragtime_api::precondition::Tags;
use ragtime_api::query_syntax::ParsedQuery;
use ragtime_api::{credential, limits, parameters, time};
use ragtime_filter::Filter;
use ragtime_policy::key::Credential;
use serde_json::json;

/// Header values, a line each: a credential is a part of what was sent.
pub(crate) fn headers(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (first, second) = (lines.next(), lines.next());
    if let Ok(Some(found)) = credential::find(first, second) {
        assert!(!found.is_empty() && found.trim() == found);
        let sent = |value: &[u8]| value.windows(found.len()).any(|part| part == found.as_bytes());
        assert!(first.is_some_and(sent) || second.is_some_and(sent));
    }
    let _ = BodyType::of(first).is_ok();
    if let Ok(Some(tags)) = Tags::read(first.into_iter()) {
        let count = |tags: Option<Vec<String>>| tags.map_or(0, |tags| tags.len());
        assert!(count(tags.clone().strong()) <= count(tags.all()));
    }
    let text = first.and_then(|line| std::str::from_utf8(line).ok()).unwrap_or_default();
    if let Ok(credential) = Credential::parse(text) {
        assert_eq!(credential.expose(), text, "a credential has one spelling");
    }
}

/// A query string or a segment of a path.
pub(crate) fn url(bytes: &[u8]) {
    let text = &*String::from_utf8_lossy(bytes);
    if let Ok(page) = parameters::page(text) {
        assert!((1..=limits::MAX_PAGE_ITEMS).contains(&page.limit));
        assert!(page.cursor.is_none_or(|cursor| cursor.len() <= limits::MAX_CURSOR_BYTES));
    }
    let _ = parameters::none(text).is_ok();
    if parameters::document_id(text).is_ok() {
        assert!(!text.contains('\0') && !matches!(text, "" | "." | ".."));
        assert!(text.chars().count() <= limits::MAX_ID_CHARS);
    }
    if parameters::collection(text).is_ok() {
        assert!(text.len() <= limits::MAX_COLLECTION_CHARS && !text.contains(['/', '.', '\0']));
    }
    assert!(parameters::encode(text).is_ascii());
}

/// What a person types into a search.
pub(crate) fn search(bytes: &[u8]) {
    let typed = String::from_utf8_lossy(bytes);
    let parsed = ParsedQuery::parse(&typed);
    assert!(parsed.text.len() <= typed.len(), "a search only gets shorter");
    for condition in parsed.required.iter().chain(&parsed.excluded) {
        assert!(typed.contains(condition) && condition.chars().any(char::is_alphanumeric));
    }
    if let Some(seconds) = time::parse(&typed) {
        assert_eq!(time::parse(&time::rfc3339(seconds)), Some(seconds));
    }
    for span in ragtime_extractive::sentences(&typed) {
        assert!(!typed[span].trim().is_empty());
    }
}

/// A condition on metadata: it never panics, and its opposite is its opposite.
pub(crate) fn filter(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(filter) = Filter::parse(text) else { return };
    let opposite = Filter::parse(&format!("{{\"not\":{text}}}"));
    for metadata in [json!({}), json!({"year": 1958, "a": {"b": ["x", null, -0.5]}, "lang": "en"})]
    {
        let matches = filter.matches(&metadata, None);
        // One level more may be one too many.
        if let Ok(opposite) = &opposite {
            assert_ne!(opposite.matches(&metadata, None), matches);
        }
    }
}
