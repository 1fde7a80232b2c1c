//! What is kept of a key.

use std::collections::BTreeSet;

use crate::key::{KeyId, SecretDigest};
use crate::scope::{Scope, Scopes};

/// A key as stored: no secret, only its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyRecord {
    /// The public part.
    pub id: KeyId,
    /// SHA-256 of the secret.
    pub digest: SecretDigest,
    /// For people.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The collections it is limited to; `None` means all of them.
    pub collections: Option<BTreeSet<String>>,
    /// In seconds since the Unix epoch.
    pub created_at: u64,
    /// When it stops working, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Units refilled per minute.
    pub rate_per_minute: u32,
    /// Units that may be spent at once.
    pub burst: u32,
}

/// The key's life is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the key has expired")]
pub struct Expired;

impl KeyRecord {
    /// Whether the key still works at `now`, in seconds since the Unix epoch.
    pub fn admits_at(&self, now: u64) -> Result<(), Expired> {
        if self.expires_at.is_some_and(|end| now >= end) { Err(Expired) } else { Ok(()) }
    }

    /// Whether the key allows `scope`. One that is limited to collections never
    /// allows `admin`, whatever it says: whoever manages keys could make itself
    /// one without the limit. New keys are not made so; old ones may be.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.contains(scope) && (scope != Scope::Admin || self.collections.is_none())
    }

    /// What the key allows: its scopes as far as [`Self::allows`] goes.
    pub fn effective_scopes(&self) -> Scopes {
        self.scopes.iter().filter(|scope| self.allows(*scope)).collect()
    }

    /// Whether the key can grant everything and for ever, so that while there is
    /// one, whatever is wrong with the others can be mended.
    pub fn is_unlimited(&self) -> bool {
        Scope::ALL.into_iter().all(|scope| self.allows(scope)) && self.expires_at.is_none()
    }

    /// Whether the key reaches `collection`.
    pub fn allows_collection(&self, collection: &str) -> bool {
        self.collections.as_ref().is_none_or(|names| names.contains(collection))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Credential;

    fn record() -> KeyRecord {
        let credential = Credential::from_entropy([0; 9], [0; 32]);
        KeyRecord {
            id: credential.id().clone(),
            digest: credential.digest(),
            name: "test".into(),
            scopes: [Scope::Read].into_iter().collect(),
            collections: Some(BTreeSet::from(["a".to_owned()])),
            created_at: 0,
            expires_at: Some(10),
            rate_per_minute: 1,
            burst: 1,
        }
    }

    #[test]
    fn a_key_ends_at_the_second_it_expires() {
        assert_eq!(record().admits_at(9), Ok(()));
        assert_eq!(record().admits_at(10), Err(Expired));
    }

    #[test]
    fn an_admin_that_is_limited_to_collections_is_none() {
        let limited = KeyRecord { scopes: Scope::ALL.into_iter().collect(), ..record() };
        assert!(limited.allows(Scope::Write) && !limited.allows(Scope::Admin));
        let unlimited = KeyRecord { collections: None, expires_at: None, ..limited.clone() };
        assert!(unlimited.allows(Scope::Admin) && unlimited.is_unlimited());
        assert!(!KeyRecord { expires_at: Some(1), ..unlimited }.is_unlimited());
    }

    #[test]
    fn a_key_reaches_only_its_collections() {
        assert!(record().allows_collection("a") && !record().allows_collection("b"));
        assert!(KeyRecord { collections: None, ..record() }.allows_collection("b"));
    }
}
