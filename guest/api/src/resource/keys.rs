//! Keys.

use serde::Serialize;

use super::rules;
use crate::json::{self, Faults, Fields, Json, Location};
use crate::limits;
use crate::problem::Problem;
use crate::routes::Scope;
use crate::time;

/// What a new key is to be.
#[derive(Debug, PartialEq, Eq)]
pub struct NewKey {
    /// A name for people.
    pub name: String,
    /// What it allows; at least one, each once.
    pub scopes: Vec<Scope>,
    /// The collections it is limited to; none means all of them.
    pub collections: Option<Vec<String>>,
    /// In seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Units refilled per minute.
    pub rate_per_minute: Option<u32>,
    /// Units that may be spent at once.
    pub burst: Option<u32>,
}

/// Reads the body of `POST /v1/keys`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<NewKey, Problem> {
    const KNOWN: &[&str] =
        &["name", "scopes", "collections", "expires_at", "rate_per_minute", "burst"];
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, KNOWN, faults)?;
        let name = fields.required_string("name", rules::key_name, faults);
        let scopes = fields
            .required("scopes", faults)
            .map(|json| words(json, &fields.location("scopes"), scope, faults));
        if scopes.as_ref().is_some_and(Vec::is_empty) {
            fields.fault(
                "scopes",
                "must name at least one of \"read\", \"write\", \"admin\"",
                faults,
            );
        }
        let collections = fields.take("collections");
        let collections = collections
            .map(|json| words(json, &fields.location("collections"), collection, faults));
        if collections
            .as_ref()
            .is_some_and(|names| !(1..=limits::MAX_KEY_COLLECTIONS).contains(&names.len()))
        {
            fields.fault(
                "collections",
                format!("must name 1 to {}", limits::MAX_KEY_COLLECTIONS),
                faults,
            );
        }
        let expires_at =
            fields.string("expires_at", rules::time, faults).and_then(|text| time::parse(&text));
        let rate_per_minute = fields.integer("rate_per_minute", 1..=u32::MAX, faults);
        let burst = fields.integer("burst", 1..=u32::MAX, faults);
        Some(NewKey {
            name: name?.into(),
            scopes: scopes?,
            collections,
            expires_at,
            rate_per_minute,
            burst,
        })
    })
}

/// Reads the body of `POST /v1/keys/{id}/rotate`: nothing, or
/// `{"grace_seconds": …}`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_grace(body: &[u8]) -> Result<u32, Problem> {
    if body.is_empty() {
        return Ok(limits::DEFAULT_GRACE_SECONDS);
    }
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, &["grace_seconds"], faults)?;
        let grace = fields.integer("grace_seconds", 0..=limits::MAX_GRACE_SECONDS, faults);
        Some(grace.unwrap_or(limits::DEFAULT_GRACE_SECONDS))
    })
}

/// The distinct words of an array, each through `word`.
fn words<T: PartialEq>(
    json: Json<'_>,
    location: &Location<'_>,
    word: fn(&str) -> Result<T, String>,
    faults: &mut Faults,
) -> Vec<T> {
    let Json::Array(items) = json else {
        faults.push(location.fault(format!("must be an array of strings, not {}", json.kind())));
        return Vec::new();
    };
    let mut words = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let read = match &item {
            Json::String(text) => word(text),
            other => Err(format!("must be a string, not {}", other.kind())),
        };
        match read {
            Ok(word) if !words.contains(&word) => words.push(word),
            Ok(_) => {}
            Err(detail) => faults.push(Location::Item(location, index).fault(detail)),
        }
    }
    words
}

fn scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| "must be one of \"read\", \"write\", \"admin\"".to_owned())
}

fn collection(text: &str) -> Result<String, String> {
    rules::collection(text).map(|()| text.to_owned())
}

/// A key without its secret.
#[derive(Debug, Serialize)]
pub struct Key {
    /// Public id, part of the credential.
    pub id: String,
    /// The name its creator gave it.
    pub name: String,
    /// What it allows.
    pub scopes: Vec<&'static str>,
    /// The collections it is limited to; null means all of them.
    pub collections: Option<Vec<String>>,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub expires_at: Option<String>,
    /// RFC 3339, to the minute.
    pub last_used_at: Option<String>,
    /// Units refilled per minute.
    pub rate_per_minute: u32,
    /// Units that may be spent at once.
    pub burst: u32,
}

/// A new key and the one sight of its credential.
#[derive(Serialize)]
pub struct IssuedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// What to send; not shown again.
    pub credential: String,
}

/// The answer of `GET /v1/keys`.
#[derive(Debug, Serialize)]
pub struct List {
    /// Oldest first.
    pub keys: Vec<Key>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn pointers(body: &str) -> Vec<String> {
        read(body.as_bytes())
            .unwrap_err()
            .faults
            .into_iter()
            .filter_map(|fault| fault.pointer)
            .collect()
    }

    #[test]
    fn a_key_request_is_read() {
        let body = br#"{"name":"ci","scopes":["read","write","read"],"collections":["a"],"expires_at":"2030-01-01T00:00:00Z","burst":5}"#;
        let key = read(body).unwrap();
        assert_eq!(key.scopes, [Scope::Read, Scope::Write]);
        assert_eq!(key.collections, Some(vec!["a".to_owned()]));
        assert_eq!(key.expires_at, Some(1_893_456_000));
        assert_eq!((key.rate_per_minute, key.burst), (None, Some(5)));
    }

    #[test]
    fn each_bad_word_is_pointed_at() {
        assert_eq!(
            pointers(r#"{"name":"x","scopes":["read","root",3]}"#),
            ["#/scopes/1", "#/scopes/2"]
        );
        assert_eq!(pointers(r#"{"name":"","scopes":[]}"#), ["#/name", "#/scopes"]);
        assert_eq!(
            pointers(r#"{"name":"x","scopes":["read"],"collections":[]}"#),
            ["#/collections"]
        );
    }

    #[test]
    fn a_grace_time_has_a_default_and_a_limit() {
        assert_eq!(read_grace(b"").unwrap(), limits::DEFAULT_GRACE_SECONDS);
        assert_eq!(read_grace(br#"{"grace_seconds":0}"#).unwrap(), 0);
        assert!(read_grace(br#"{"grace_seconds":9999999}"#).is_err());
    }
}
