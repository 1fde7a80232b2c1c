//! Keys.

use schemars::JsonSchema;
use serde::Serialize;

use super::rules;
use crate::json::{self, Field, Fields, Kind, Location};
use crate::limits;
use crate::problem::Problem;
use crate::routes::{DEAREST, Scope};
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

/// Members of the body of `POST /v1/keys`.
pub const FIELDS: &[Field] = &[
    Field::required("name", Kind::String(&rules::KEY_NAME), "A name for people."),
    Field::required("scopes", Kind::Strings(&rules::SCOPE, 1, Scope::ALL.len()), "What it allows."),
    Field::optional(
        "collections",
        Kind::Strings(&rules::COLLECTION, 1, limits::MAX_KEY_COLLECTIONS),
        "The collections it is limited to. Default: all. Not with the scope `admin`.",
    ),
    Field::optional(
        "expires_at",
        Kind::String(&rules::TIME),
        "When it ends, RFC 3339. Default: never, or with the key that makes it.",
    ),
    Field::optional(
        "rate_per_minute",
        Kind::Integer(1, u32::MAX),
        "Units refilled per minute; at most those of the key that makes it. Default: the operator's setting, or that.",
    ),
    Field::optional(
        "burst",
        Kind::Integer(DEAREST, u32::MAX),
        "Units that may be spent at once, at least what an answer costs and at most those of the key that makes it. Default: the operator's setting, or that.",
    ),
];

/// What changes about a key; what is absent stays.
#[derive(Debug, PartialEq, Eq)]
pub struct Change {
    /// A name for people.
    pub name: Option<String>,
    /// What it allows; at least one, each once.
    pub scopes: Option<Vec<Scope>>,
    /// The collections it is limited to.
    pub collections: Option<Vec<String>>,
    /// In seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Units refilled per minute.
    pub rate_per_minute: Option<u32>,
    /// Units that may be spent at once.
    pub burst: Option<u32>,
}

/// Members of the body of `PATCH /v1/keys/{id}`.
pub const CHANGE_FIELDS: &[Field] = &[
    Field::optional("name", Kind::String(&rules::KEY_NAME), "A name for people."),
    Field::optional("scopes", Kind::Strings(&rules::SCOPE, 1, Scope::ALL.len()), "What it allows."),
    Field::optional(
        "collections",
        Kind::Strings(&rules::COLLECTION, 1, limits::MAX_KEY_COLLECTIONS),
        "The collections it is limited to.",
    ),
    Field::optional(
        "expires_at",
        Kind::String(&rules::TIME),
        "When it ends, RFC 3339; a time that is over ends it at once.",
    ),
    Field::optional("rate_per_minute", Kind::Integer(1, u32::MAX), "Units refilled per minute."),
    Field::optional(
        "burst",
        Kind::Integer(DEAREST, u32::MAX),
        "Units that may be spent at once, at least what an answer costs.",
    ),
];

/// Members of the body of `POST /v1/keys/{id}/rotate`.
pub const GRACE_FIELDS: &[Field] = &[Field::optional(
    "grace_seconds",
    Kind::Integer(0, limits::MAX_GRACE_SECONDS),
    "How long the old credential goes on working. Default: 3600.",
)];

/// Reads the body of `POST /v1/keys`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<NewKey, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        let name = fields.string("name", faults);
        let scopes = fields.strings("scopes", faults);
        let scopes =
            scopes.map(|names| names.iter().filter_map(|name| Scope::parse(name)).collect());
        let collections = fields.strings("collections", faults);
        let expires_at = fields.string("expires_at", faults).and_then(|text| time::parse(&text));
        let rate_per_minute = fields.integer("rate_per_minute", faults);
        let burst = fields.integer("burst", faults);
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

/// Reads the body of `PATCH /v1/keys/{id}`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read_change(body: &[u8]) -> Result<Change, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, CHANGE_FIELDS, faults)?;
        let scopes = fields.strings("scopes", faults);
        Some(Change {
            name: fields.string("name", faults).map(Into::into),
            scopes: scopes
                .map(|names| names.iter().filter_map(|name| Scope::parse(name)).collect()),
            collections: fields.strings("collections", faults),
            expires_at: fields.string("expires_at", faults).and_then(|text| time::parse(&text)),
            rate_per_minute: fields.integer("rate_per_minute", faults),
            burst: fields.integer("burst", faults),
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
        let mut fields = Fields::open(json, Location::Root, GRACE_FIELDS, faults)?;
        let grace = fields.integer("grace_seconds", faults);
        Some(grace.unwrap_or(limits::DEFAULT_GRACE_SECONDS))
    })
}

/// A key without its secret.
#[derive(Debug, Serialize, JsonSchema)]
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
#[derive(Serialize, JsonSchema)]
pub struct IssuedKey {
    /// The key.
    #[serde(flatten)]
    pub key: Key,
    /// What to send; not shown again.
    pub credential: String,
}

/// The answer of `GET /v1/keys`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List {
    /// Oldest first.
    pub keys: Vec<Key>,
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_key_that_could_never_ask_is_refused_with_the_number_that_would_do() {
        let with = |burst: u32| {
            read(format!(r#"{{"name":"a","scopes":["read"],"burst":{burst}}}"#).as_bytes())
        };
        let problem = with(DEAREST - 1).unwrap_err();
        let detail = &problem.faults.first().unwrap().detail;
        assert!(detail.contains(&format!("from {DEAREST} to")), "{detail}");
        assert!(with(DEAREST).is_ok());
    }

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
