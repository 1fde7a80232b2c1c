//! What a request needed, so that its kept response is given only to who still
//! has it.

use std::collections::BTreeSet;

use ragtime_policy::key_record::KeyRecord;
use ragtime_policy::scope::Scope;
use serde::{Deserialize, Serialize};

/// Rights to remember of one request. A handler that needs more than this many
/// collections for one request has a response that is not kept.
const MAX_RIGHTS: usize = 64;

/// The scopes and collections that a request used, and what it paid.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// Units of the key's budget.
    pub cost: u32,
    /// Scopes, each with the collection it was used in, if it was in one.
    used: BTreeSet<(String, Option<String>)>,
}

/// What a key lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// A scope.
    Scope,
    /// A collection.
    Collection,
}

impl Rights {
    /// Notes the use of a scope.
    pub fn note(&mut self, scope: Scope, collection: Option<&str>) {
        if self.used.len() <= MAX_RIGHTS {
            self.used.insert((scope.to_string(), collection.map(str::to_owned)));
        }
    }

    /// For the store; `None` when there were too many to keep.
    pub fn to_json(&self) -> Option<String> {
        let kept = self.used.len() <= MAX_RIGHTS;
        kept.then(|| serde_json::to_string(self).ok()).flatten()
    }

    /// As it was stored.
    pub fn from_json(json: &str) -> Option<Self> {
        serde_json::from_str(json).ok()
    }

    /// Whether `key` has all of them.
    ///
    /// # Errors
    ///
    /// What it lacks.
    pub fn check(&self, key: &KeyRecord) -> Result<(), Lacking> {
        for (scope, collection) in &self.used {
            if !scope.parse().is_ok_and(|scope| key.allows(scope)) {
                return Err(Lacking::Scope);
            }
            if collection.as_ref().is_some_and(|name| !key.allows_collection(name)) {
                return Err(Lacking::Collection);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use ragtime_policy::key::Credential;

    fn key(scopes: &str, collection: Option<&str>) -> KeyRecord {
        let credential = Credential::from_entropy([0; 9], [0; 32]);
        KeyRecord {
            id: credential.id().clone(),
            digest: credential.digest(),
            name: "test".into(),
            scopes: scopes.parse().unwrap(),
            collections: collection.map(|name| BTreeSet::from([name.to_owned()])),
            created_at: 0,
            expires_at: None,
            rate_per_minute: 1,
            burst: 1,
        }
    }

    #[test]
    fn a_right_that_is_gone_is_missed_after_a_restart() {
        let mut rights = Rights::default();
        rights.note(Scope::Write, Some("a"));
        let rights = Rights::from_json(&rights.to_json().unwrap()).unwrap();
        assert_eq!(rights.check(&key("read write", None)), Ok(()));
        assert_eq!(rights.check(&key("write", Some("a"))), Ok(()));
        assert_eq!(rights.check(&key("read", None)), Err(Lacking::Scope));
        assert_eq!(rights.check(&key("write", Some("b"))), Err(Lacking::Collection));
    }

    #[test]
    fn too_many_are_not_kept_rather_than_some() {
        let mut rights = Rights::default();
        for number in 0..=MAX_RIGHTS + 5 {
            rights.note(Scope::Write, Some(&number.to_string()));
        }
        assert_eq!(rights.to_json(), None);
    }
}
