//! Keys.

use schemars::JsonSchema;
use serde::Serialize;

use super::rules;
use crate::json::{self, Field, Fields, Location, Member, Text, Texts, Whole};
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

const NAME: Member<Text> = Text::required("name", &rules::KEY_NAME, "A name for people.");
const SCOPES: Member<Texts> =
    Texts::required("scopes", &rules::SCOPE, 1, Scope::ALL.len(), "What it allows.");
const COLLECTIONS: Member<Texts> = Texts::optional(
    "collections",
    &rules::COLLECTION,
    1,
    limits::MAX_KEY_COLLECTIONS,
    "The collections it is limited to. Default: all. Not with the scope `admin`.",
);
const EXPIRES_AT: Member<Text> = Text::optional(
    "expires_at",
    &rules::TIME,
    "When it ends, RFC 3339. Default: never, or with the key that makes it.",
);
const RATE_PER_MINUTE: Member<Whole> = Whole::optional(
    "rate_per_minute",
    1,
    u32::MAX,
    "Units refilled per minute; at most those of the key that makes it. Default: the operator's setting, or that.",
);
const BURST: Member<Whole> = Whole::optional(
    "burst",
    DEAREST,
    u32::MAX,
    "Units that may be spent at once, at least what an answer costs and at most those of the key that makes it. Default: the operator's setting, or that.",
);
/// Members of the body of `POST /v1/keys`.
pub const FIELDS: &[Field] = &[
    NAME.field(),
    SCOPES.field(),
    COLLECTIONS.field(),
    EXPIRES_AT.field(),
    RATE_PER_MINUTE.field(),
    BURST.field(),
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

const CHANGED_NAME: Member<Text> = Text::optional("name", &rules::KEY_NAME, "A name for people.");
const CHANGED_SCOPES: Member<Texts> =
    Texts::optional("scopes", &rules::SCOPE, 1, Scope::ALL.len(), "What it allows.");
const CHANGED_COLLECTIONS: Member<Texts> = Texts::optional(
    "collections",
    &rules::COLLECTION,
    1,
    limits::MAX_KEY_COLLECTIONS,
    "The collections it is limited to.",
);
const CHANGED_EXPIRES_AT: Member<Text> = Text::optional(
    "expires_at",
    &rules::TIME,
    "When it ends, RFC 3339; a time that is over ends it at once.",
);
const CHANGED_RATE_PER_MINUTE: Member<Whole> =
    Whole::optional("rate_per_minute", 1, u32::MAX, "Units refilled per minute.");
const CHANGED_BURST: Member<Whole> = Whole::optional(
    "burst",
    DEAREST,
    u32::MAX,
    "Units that may be spent at once, at least what an answer costs.",
);
/// Members of the body of `PATCH /v1/keys/{id}`.
pub const CHANGE_FIELDS: &[Field] = &[
    CHANGED_NAME.field(),
    CHANGED_SCOPES.field(),
    CHANGED_COLLECTIONS.field(),
    CHANGED_EXPIRES_AT.field(),
    CHANGED_RATE_PER_MINUTE.field(),
    CHANGED_BURST.field(),
];

const GRACE_SECONDS: Member<Whole> = Whole::optional(
    "grace_seconds",
    0,
    limits::MAX_GRACE_SECONDS,
    "How long the old credential goes on working. Default: 3600.",
);
/// Members of the body of `POST /v1/keys/{id}/rotate`.
pub const GRACE_FIELDS: &[Field] = &[GRACE_SECONDS.field()];

/// Reads the body of `POST /v1/keys`.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<NewKey, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open(json, Location::Root, FIELDS, faults)?;
        let name = fields.string(NAME, faults);
        let scopes = fields.strings(SCOPES, faults);
        let scopes =
            scopes.map(|names| names.iter().filter_map(|name| name.parse().ok()).collect());
        let collections = fields.strings(COLLECTIONS, faults);
        let expires_at = fields.string(EXPIRES_AT, faults).and_then(|text| time::parse(&text));
        let rate_per_minute = fields.integer(RATE_PER_MINUTE, faults);
        let burst = fields.integer(BURST, faults);
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
        let scopes = fields.strings(CHANGED_SCOPES, faults);
        Some(Change {
            name: fields.string(CHANGED_NAME, faults).map(Into::into),
            scopes: scopes.map(|names| names.iter().filter_map(|name| name.parse().ok()).collect()),
            collections: fields.strings(CHANGED_COLLECTIONS, faults),
            expires_at: fields
                .string(CHANGED_EXPIRES_AT, faults)
                .and_then(|text| time::parse(&text)),
            rate_per_minute: fields.integer(CHANGED_RATE_PER_MINUTE, faults),
            burst: fields.integer(CHANGED_BURST, faults),
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
        let grace = fields.integer(GRACE_SECONDS, faults);
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
