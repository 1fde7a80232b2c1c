//! Keys.

use super::Method::{Delete, Get, Patch, Post};
use super::description::{Description, fields};
use super::{ADMIN, ANY, Described, Operation, PLAIN, keyed};
use crate::problem::Code;
use crate::resource::keys;
use Keys as Do;

/// What can be asked for here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the descriptions below say it")]
pub enum Keys {
    List,
    Create,
    Current,
    Update,
    Revoke,
    Rotate,
}

/// Their routes and descriptions.
pub(super) const OPERATIONS: &[Described] = &[
    keyed(Get, "/v1/keys", ADMIN, PLAIN, Operation::Keys(Do::List), || {
        about("listKeys", "Every live key, without secrets")
            .json::<keys::List>(200, "Oldest first.")
    }),
    keyed(Post, "/v1/keys", ADMIN, PLAIN, Operation::Keys(Do::Create), || {
        about("createKey", "Make a key")
            .body(
                fields!(keys::FIELDS),
                r#"{"name": "reader", "scopes": ["read"], "collections": ["default"], "expires_at": "2099-01-01T00:00:00Z", "rate_per_minute": 600, "burst": 60}"#,
                |body| keys::read(body).map(drop),
            )
            .json::<keys::IssuedKey>(201, "The key and the one sight of its credential.")
    }),
    keyed(Get, "/v1/keys/self", ANY, PLAIN, Operation::Keys(Do::Current), || {
        about("currentKey", "The key of this request").json::<keys::Key>(200, "The key.")
    }),
    keyed(Patch, "/v1/keys/{id}", ADMIN, PLAIN, Operation::Keys(Do::Update), || {
        about("updateKey", "Change a key, with its next request")
            .body(
                fields!(keys::CHANGE_FIELDS),
                r#"{"rate_per_minute": 1200, "burst": 120}"#,
                |body| keys::read_change(body).map(drop),
            )
            .json::<keys::Key>(200, "The key as it is now.")
            .problems(&[Code::UnknownKey, Code::LastAdminKey])
    }),
    keyed(Delete, "/v1/keys/{id}", ADMIN, PLAIN, Operation::Keys(Do::Revoke), || {
        about("revokeKey", "End a key at once")
            .nothing(204, "Ended.")
            .problems(&[Code::UnknownKey, Code::LastAdminKey])
    }),
    keyed(Post, "/v1/keys/{id}/rotate", ADMIN, PLAIN, Operation::Keys(Do::Rotate), || {
        about("rotateKey", "Replace a key by one with the same rights")
            .body(fields!(keys::GRACE_FIELDS), r#"{"grace_seconds": 60}"#, |body| {
                keys::read_grace(body).map(drop)
            })
            .json::<keys::IssuedKey>(201, "The new key and the one sight of its credential.")
            .problems(&[Code::UnknownKey])
            .with_optional_body()
    }),
];

fn about(id: &'static str, summary: &'static str) -> Description {
    Description::new(id, "keys", summary)
}
