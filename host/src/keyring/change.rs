//! Changes of the keys: decided and written in one write of the store, then
//! brought into memory in the same order. A change that has begun goes on when
//! its caller goes, so that memory and store cannot come apart.

use std::collections::BTreeSet;
use std::sync::Arc;

use ragtime_policy::bucket::Limits;
use ragtime_policy::grant;
use ragtime_policy::key::{Credential, KeyId};
use ragtime_policy::key_record::KeyRecord;
use ragtime_policy::scope::{Scope, Scopes};
use ragtime_store::{KeyTable, StoredKey};

use super::{Key, Keyring, KeyringError, Shared, random_credential};

/// Who changes keys.
#[derive(Debug, Clone)]
pub enum Actor {
    /// Whoever starts the server. May do anything.
    Operator,
    /// The holder of a key, who grants no more than it has.
    Key(KeyId),
}

/// What a new key is to be.
pub struct NewKey {
    /// For people.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The collections it is limited to.
    pub collections: Option<BTreeSet<String>>,
    /// When it stops working, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Its budget.
    pub limits: Limits,
}

/// What changes about a key.
#[derive(Default, Clone)]
pub struct Change {
    /// For people.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Option<Scopes>,
    /// The collections it is limited to.
    pub collections: Option<BTreeSet<String>>,
    /// When it stops working, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Units refilled per minute.
    pub rate_per_minute: Option<u32>,
    /// Units that may be spent at once.
    pub burst: Option<u32>,
}

/// One row that a change writes.
enum Step {
    Insert(KeyRecord),
    Update(KeyRecord),
    Revoke(KeyId),
}

/// The keys as a change finds them.
struct Before<'a> {
    keys: &'a [StoredKey],
    /// Whose key the change is made with; none for the operator.
    maker: Option<&'a KeyRecord>,
    /// Seconds since the Unix epoch.
    now: u64,
}

impl Before<'_> {
    fn find(&self, id: &KeyId) -> Result<&KeyRecord, KeyringError> {
        record(self.keys, id).ok_or(KeyringError::Unknown)
    }
}

impl Keyring {
    /// Issues a key. The credential cannot be had again.
    pub async fn issue(
        &self,
        actor: Actor,
        new: NewKey,
    ) -> Result<(Arc<Key>, Credential), KeyringError> {
        let credential = random_credential()?;
        let key = self.add(actor, &credential, new).await?;
        Ok((key, credential))
    }

    /// Adds a key for a credential made elsewhere.
    pub async fn add(
        &self,
        actor: Actor,
        credential: &Credential,
        new: NewKey,
    ) -> Result<Arc<Key>, KeyringError> {
        let record = record_of(credential, new, self.shared.store.now());
        let id = record.id.clone();
        let decide = move |before: &Before<'_>| {
            grant::check(before.maker, None, &record)?;
            Ok(vec![Step::Insert(record)])
        };
        self.change(actor, decide).await?;
        self.find(&id)
    }

    /// Adds a key if there is none at all; true if it did. Of hosts that start at once on
    /// an empty database one does.
    pub async fn add_first(
        &self,
        credential: &Credential,
        new: NewKey,
    ) -> Result<bool, KeyringError> {
        let record = record_of(credential, new, self.shared.store.now());
        let id = record.id.clone();
        let decide = move |before: &Before<'_>| match before.keys {
            [] => Ok(vec![Step::Insert(record)]),
            _ => Ok(Vec::new()),
        };
        self.change(Actor::Operator, decide).await?;
        Ok(self.find(&id).is_ok())
    }

    /// Issues a successor with the same rights. The old credential goes on
    /// working for `grace_seconds`.
    pub async fn rotate(
        &self,
        actor: Actor,
        id: &str,
        grace_seconds: u32,
    ) -> Result<(Arc<Key>, Credential), KeyringError> {
        let old = parse(id)?;
        let credential = random_credential()?;
        let made = credential.clone();
        let decide = move |before: &Before<'_>| {
            let mut old = before.find(&old)?.clone();
            let successor = KeyRecord {
                id: made.id().clone(),
                digest: made.digest(),
                created_at: before.now,
                ..old.clone()
            };
            // Whoever rotates a key gets a credential with its rights.
            grant::check(before.maker, None, &successor)?;
            let end = before.now + u64::from(grace_seconds);
            old.expires_at = Some(old.expires_at.map_or(end, |set| set.min(end)));
            Ok(vec![Step::Insert(successor), Step::Update(old)])
        };
        self.change(actor, decide).await?;
        Ok((self.find(credential.id())?, credential))
    }

    /// Changes what a key is and may do; what is `None` stays. Takes effect with
    /// the next request.
    pub async fn update(
        &self,
        actor: Actor,
        id: &str,
        change: Change,
    ) -> Result<Arc<Key>, KeyringError> {
        let id = parse(id)?;
        let changed = id.clone();
        let decide = move |before: &Before<'_>| {
            let old = before.find(&changed)?;
            let new = change.applied_to(old.clone());
            grant::check(before.maker, Some(old), &new)?;
            Ok(vec![Step::Update(new)])
        };
        self.change(actor, decide).await?;
        self.find(&id)
    }

    /// Ends a key at once.
    pub async fn revoke(&self, actor: Actor, id: &str) -> Result<(), KeyringError> {
        let id = parse(id)?;
        let decide = move |before: &Before<'_>| {
            before.find(&id)?;
            Ok(vec![Step::Revoke(id)])
        };
        self.change(actor, decide).await
    }

    fn find(&self, id: &KeyId) -> Result<Arc<Key>, KeyringError> {
        self.shared.keys.read().get(id).cloned().ok_or(KeyringError::Unknown)
    }

    /// Runs a change to its end, whether or not the caller waits for it.
    async fn change<F>(&self, actor: Actor, decide: F) -> Result<(), KeyringError>
    where
        F: FnOnce(&Before<'_>) -> Result<Vec<Step>, KeyringError> + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let change = tokio::spawn(async move {
            let _one_at_a_time = shared.changing.lock().await;
            let now = shared.store.now();
            let write = move |table: &KeyTable<'_>| decide_and_write(table, &actor, now, decide);
            let steps = shared.store.change_keys(write).await??;
            // In a fleet the store has brought them in already, in the order of the log.
            if !shared.store.in_fleet() {
                shared.bring_in(steps);
            }
            Ok(())
        });
        change.await.unwrap_or_else(|died| {
            let died = ragtime_store::Error::Internal(format!("a change of keys died: {died}"));
            Err(died.into())
        })
    }
}

impl Change {
    fn applied_to(self, mut record: KeyRecord) -> KeyRecord {
        record.name = self.name.unwrap_or(record.name);
        record.scopes = self.scopes.unwrap_or(record.scopes);
        record.collections = self.collections.or(record.collections);
        record.expires_at = self.expires_at.or(record.expires_at);
        record.rate_per_minute = self.rate_per_minute.unwrap_or(record.rate_per_minute);
        record.burst = self.burst.unwrap_or(record.burst);
        record
    }
}

impl Shared {
    /// Makes memory what the store is after these steps.
    fn bring_in(&self, steps: Vec<Step>) {
        let mut keys = self.keys.write();
        for step in steps {
            match step {
                Step::Insert(record) => {
                    let id = record.id.clone();
                    keys.insert(id, Arc::new(Key::new(record, None, 0, self.started)));
                }
                Step::Update(record) => {
                    if let Some(key) = keys.get_mut(&record.id) {
                        *key = Arc::new(key.changed(record, self.started));
                    }
                }
                Step::Revoke(id) => drop(keys.remove(&id)),
            }
        }
    }
}

/// What a write of the store returns: its failure outside, a refusal inside.
type Decided = Result<Result<Vec<Step>, KeyringError>, ragtime_store::Error>;

/// Everything is checked before anything is written.
fn decide_and_write(
    table: &KeyTable<'_>,
    actor: &Actor,
    now: u64,
    decide: impl FnOnce(&Before<'_>) -> Result<Vec<Step>, KeyringError>,
) -> Decided {
    let keys = table.all()?;
    let steps = match maker(&keys, actor, now)
        .and_then(|maker| decide(&Before { keys: &keys, maker, now }))
        .and_then(|steps| leave_an_admin(&keys, steps))
    {
        Ok(steps) => steps,
        Err(refused) => return Ok(Err(refused)),
    };
    for step in &steps {
        match step {
            Step::Insert(record) => table.insert(record)?,
            Step::Update(record) => drop(table.update(record)?),
            Step::Revoke(id) => drop(table.revoke(id)?),
        }
    }
    Ok(Ok(steps))
}

/// The key a change is made with, as it is now: it may have been ended by the
/// change before this one.
fn maker<'a>(
    keys: &'a [StoredKey],
    actor: &Actor,
    now: u64,
) -> Result<Option<&'a KeyRecord>, KeyringError> {
    let Actor::Key(id) = actor else { return Ok(None) };
    let live = record(keys, id)
        .filter(|record| record.allows(Scope::Admin) && record.admits_at(now).is_ok());
    live.map(Some).ok_or(KeyringError::NotAdmin)
}

/// Refuses steps that take away the last key that may grant everything, or the
/// last lasting one that manages keys.
fn leave_an_admin(keys: &[StoredKey], steps: Vec<Step>) -> Result<Vec<Step>, KeyringError> {
    fn lasting_admin(record: &KeyRecord) -> bool {
        record.allows(Scope::Admin) && record.expires_at.is_none()
    }
    let mut after: Vec<_> = keys.iter().map(|key| &key.record).collect();
    for step in &steps {
        match step {
            Step::Insert(record) => after.push(record),
            Step::Update(record) => {
                after.iter_mut().filter(|key| key.id == record.id).for_each(|key| *key = record);
            }
            Step::Revoke(id) => after.retain(|key| key.id != *id),
        }
    }
    for needed in [KeyRecord::is_unlimited, lasting_admin] {
        if keys.iter().any(|key| needed(&key.record)) && !after.iter().any(|key| needed(key)) {
            return Err(KeyringError::LastAdmin);
        }
    }
    Ok(steps)
}

fn record<'a>(keys: &'a [StoredKey], id: &KeyId) -> Option<&'a KeyRecord> {
    keys.iter().map(|key| &key.record).find(|record| record.id == *id)
}

fn parse(id: &str) -> Result<KeyId, KeyringError> {
    KeyId::parse(id).map_err(|_| KeyringError::Unknown)
}

fn record_of(credential: &Credential, new: NewKey, now: u64) -> KeyRecord {
    KeyRecord {
        id: credential.id().clone(),
        digest: credential.digest(),
        name: new.name,
        scopes: new.scopes,
        collections: new.collections,
        created_at: now,
        expires_at: new.expires_at,
        rate_per_minute: new.limits.rate_per_minute,
        burst: new.limits.burst,
    }
}

#[cfg(test)]
mod tests;
