//! Keys from the settings, checked by the host's own policy.

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::time::Duration;

use ragtime_policy::bucket::{
    DEFAULT_BURST, DEFAULT_RATE_PER_MINUTE, Decision, Limits, TokenBucket,
};
use ragtime_policy::grant;
use ragtime_policy::key::{Credential, KeyId};
use ragtime_policy::key_record::KeyRecord;
use ragtime_policy::scope::{Scope, Scopes};
use serde::Deserialize;

/// A key and its budget. The budget is this instance's: a stock runtime gives
/// instances no memory in common.
#[derive(Debug)]
pub struct Key {
    /// What it may do.
    pub record: KeyRecord,
    bucket: RefCell<TokenBucket>,
}

/// Why a credential is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejected {
    /// Not of the form `rt_ID_SECRET`.
    Malformed,
    /// No key matches.
    Unknown,
    /// The key's life is over.
    Expired,
}

/// Why the settings make no keyring.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The list does not parse.
    #[error("RAGTIME_KEYS is not a list of keys: {0}")]
    Json(#[from] serde_json::Error),
    /// A credential does not parse.
    #[error("a credential in the settings is not of the form rt_ID_SECRET")]
    Credential,
    /// A key cannot be as it is set.
    #[error(transparent)]
    Refused(#[from] grant::Refused),
    /// A scope has another name.
    #[error(transparent)]
    Scope(#[from] ragtime_policy::scope::UnknownScope),
}

/// A key as the settings spell it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Setting {
    credential: String,
    #[serde(default)]
    name: String,
    scopes: Vec<String>,
    collections: Option<BTreeSet<String>>,
    expires_at: Option<u64>,
    rate_per_minute: Option<u32>,
    burst: Option<u32>,
}

/// All keys.
#[derive(Debug, Default)]
pub struct Keyring {
    keys: HashMap<KeyId, Rc<Key>>,
}

impl Keyring {
    /// The keys of the settings: one credential that may do all, and a JSON
    /// list of others.
    pub fn from_settings(
        bootstrap: Option<&str>,
        list: Option<&str>,
    ) -> Result<Self, SettingsError> {
        let mut keyring = Self::default();
        if let Some(credential) = bootstrap {
            let scopes = Scope::ALL.iter().map(ToString::to_string).collect();
            keyring.add(Setting {
                credential: credential.to_owned(),
                name: "bootstrap".into(),
                scopes,
                collections: None,
                expires_at: None,
                rate_per_minute: None,
                burst: None,
            })?;
        }
        let others: Vec<Setting> = list.map(serde_json::from_str).transpose()?.unwrap_or_default();
        others.into_iter().try_for_each(|setting| keyring.add(setting))?;
        Ok(keyring)
    }

    fn add(&mut self, setting: Setting) -> Result<(), SettingsError> {
        let credential =
            Credential::parse(&setting.credential).map_err(|_| SettingsError::Credential)?;
        let scopes: Scopes = setting.scopes.join(" ").parse()?;
        let limits = Limits {
            rate_per_minute: setting.rate_per_minute.unwrap_or(DEFAULT_RATE_PER_MINUTE),
            burst: setting.burst.unwrap_or(DEFAULT_BURST),
        };
        let record = KeyRecord {
            id: credential.id().clone(),
            digest: credential.digest(),
            name: setting.name,
            scopes,
            collections: setting.collections,
            created_at: 0,
            expires_at: setting.expires_at,
            rate_per_minute: limits.rate_per_minute,
            burst: limits.burst,
        };
        grant::check(None, None, &record)?;
        let bucket = RefCell::new(TokenBucket::new(limits, Duration::ZERO));
        self.keys.insert(record.id.clone(), Rc::new(Key { record, bucket }));
        Ok(())
    }

    /// The key behind a credential at `now`, in seconds since the Unix epoch.
    pub fn authenticate(&self, credential: &str, now: u64) -> Result<Rc<Key>, Rejected> {
        let credential = Credential::parse(credential).map_err(|_| Rejected::Malformed)?;
        let key = self.keys.get(credential.id()).ok_or(Rejected::Unknown)?;
        if !key.record.digest.verify(&credential) {
            return Err(Rejected::Unknown);
        }
        key.record.admits_at(now).map_err(|_| Rejected::Expired)?;
        Ok(Rc::clone(key))
    }

    /// Every key, by id.
    pub fn all(&self) -> Vec<Rc<Key>> {
        let mut keys: Vec<_> = self.keys.values().cloned().collect();
        keys.sort_by(|a, b| a.record.id.cmp(&b.record.id));
        keys
    }
}

impl Key {
    /// Takes `cost` units from the budget; `now` since this instance started.
    pub fn admit(&self, now: Duration, cost: u32) -> Decision {
        self.bucket.borrow_mut().try_take(now, cost)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "rt_000000000000_0000000000000000000000000000000000000000001";
    const OTHER: &str = "rt_000000000001_0000000000000000000000000000000000000000002";

    fn keyring(list: &str) -> Result<Keyring, SettingsError> {
        Keyring::from_settings(Some(ADMIN), Some(list))
    }

    #[test]
    fn a_key_may_do_what_the_settings_say_and_no_more() {
        let list = format!(
            r#"[{{"credential":"{OTHER}","scopes":["read"],"collections":["a"],"expires_at":9}}]"#
        );
        let keyring = keyring(&list).unwrap();
        let key = keyring.authenticate(OTHER, 8).unwrap();
        assert!(key.record.allows(Scope::Read) && !key.record.allows(Scope::Write));
        assert!(key.record.allows_collection("a") && !key.record.allows_collection("b"));
        assert_eq!(keyring.authenticate(OTHER, 9).unwrap_err(), Rejected::Expired);
        assert!(keyring.authenticate(ADMIN, 9).unwrap().record.allows(Scope::Admin));
    }

    #[test]
    fn another_secret_is_unknown() {
        let forged = ADMIN.replace("01", "02");
        assert_ne!(forged, ADMIN);
        let keyring = keyring("[]").unwrap();
        assert_eq!(keyring.authenticate(&forged, 0).unwrap_err(), Rejected::Unknown);
        assert_eq!(keyring.authenticate("secret", 0).unwrap_err(), Rejected::Malformed);
    }

    #[test]
    fn settings_that_are_wrong_make_no_keyring() {
        assert!(keyring("{}").is_err());
        let limited_admin =
            format!(r#"[{{"credential":"{OTHER}","scopes":["admin"],"collections":["a"]}}]"#);
        assert!(matches!(keyring(&limited_admin), Err(SettingsError::Refused(_))));
        assert!(keyring(r#"[{"credential":"x","scopes":["read"]}]"#).is_err());
        let short = format!(r#"[{{"credential":"{OTHER}","scopes":["read"],"burst":3}}]"#);
        assert!(keyring(&short).unwrap_err().to_string().contains("at least 4"));
        assert!(keyring(&format!(r#"[{{"credential":"{OTHER}","scopes":["all"]}}]"#)).is_err());
    }
}
