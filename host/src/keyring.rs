//! Keys at work: the records of the store with their budgets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use ragtime_policy::bucket::{Decision, Limits, Quota, TokenBucket};
use ragtime_policy::key::{Credential, KeyId};
use ragtime_policy::key_record::KeyRecord;
use ragtime_policy::scope::{Scope, Scopes};
use ragtime_store::Store;

/// How often the last use of a key is written down.
const LAST_USED_RESOLUTION_SECONDS: u64 = 60;

/// All live keys. Reads never wait for the store: revocation takes effect with
/// the next request.
pub struct Keyring {
    keys: RwLock<HashMap<KeyId, Arc<Key>>>,
    store: Store,
    started: Instant,
    /// Who the host is when it tries a handler out.
    probe: (Credential, Arc<Key>),
    upkeep: (Credential, Arc<Key>),
}

/// A key and its budget.
pub struct Key {
    /// What it may do.
    pub record: KeyRecord,
    bucket: Mutex<TokenBucket>,
    last_used_at: AtomicU64,
    /// Requests at work.
    active: AtomicU32,
    /// Bytes of bodies that are held for its requests.
    pub bytes_held: AtomicUsize,
}

/// A request's place among those of its key that are at work.
pub struct Slot(Arc<Key>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}

/// Why a credential is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Not of the form this host issues.
    #[error("the credential is malformed")]
    Malformed,
    /// No live key matches.
    #[error("no live key matches the credential")]
    Unknown,
    /// The key's life is over.
    #[error("the key has expired")]
    Expired,
}

/// Why the keyring could not change.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// No live key has this id.
    #[error("no key has this id")]
    Unknown,
    /// Nobody could make another key.
    #[error("the last key with the scope admin cannot be revoked or limited")]
    LastAdmin,
    /// The operating system gave no randomness.
    #[error("no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ragtime_store::Error),
}

/// What a new key is to be.
pub struct NewKey {
    /// For people.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// The collections it is limited to.
    pub collections: Option<std::collections::BTreeSet<String>>,
    /// When it stops working, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Its budget.
    pub limits: Limits,
}

/// What changes about a key.
#[derive(Default)]
pub struct Change {
    /// For people.
    pub name: Option<String>,
    /// What it allows.
    pub scopes: Option<Scopes>,
    /// The collections it is limited to.
    pub collections: Option<std::collections::BTreeSet<String>>,
    /// When it stops working, in seconds since the Unix epoch.
    pub expires_at: Option<u64>,
    /// Units refilled per minute.
    pub rate_per_minute: Option<u32>,
    /// Units that may be spent at once.
    pub burst: Option<u32>,
}

impl Keyring {
    /// The keys of `store`. Blocking.
    pub fn open(store: Store) -> Result<Self, KeyringError> {
        let started = Instant::now();
        let keys = store.keys()?.into_iter().map(|stored| {
            let key = Key::new(stored.record, stored.last_used_at, started);
            (key.record.id.clone(), Arc::new(key))
        });
        let keys = RwLock::new(keys.collect());
        let probe = own("probe", [Scope::Read], started)?;
        let upkeep = own("upkeep", [Scope::Read, Scope::Write], started)?;
        Ok(Self { keys, store, started, probe, upkeep })
    }

    /// A credential that reads and is worth nothing to a client: it lives in
    /// this process alone and is accepted in the host's own requests only.
    pub fn probe_credential(&self) -> String {
        self.probe.0.expose()
    }

    /// The key behind a credential of a request of the host's own.
    pub fn authenticate_on_trial(&self, credential: &str) -> Result<Arc<Key>, Rejected> {
        let parsed = Credential::parse(credential).map_err(|_| Rejected::Malformed)?;
        if self.probe.1.record.digest.verify(&parsed) {
            return Ok(Arc::clone(&self.probe.1));
        }
        self.authenticate(credential)
    }

    /// A credential that reads and writes documents, and is worth nothing to a
    /// client either.
    pub fn upkeep_credential(&self) -> String {
        self.upkeep.0.expose()
    }

    /// The key behind a credential of the host's own upkeep.
    pub fn authenticate_for_upkeep(&self, credential: &str) -> Result<Arc<Key>, Rejected> {
        let parsed = Credential::parse(credential).map_err(|_| Rejected::Malformed)?;
        match self.upkeep.1.record.digest.verify(&parsed) {
            true => Ok(Arc::clone(&self.upkeep.1)),
            false => Err(Rejected::Unknown),
        }
    }

    /// Whether no key exists, as on the first start.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// The key behind a credential.
    pub fn authenticate(&self, credential: &str) -> Result<Arc<Key>, Rejected> {
        let credential = Credential::parse(credential).map_err(|_| Rejected::Malformed)?;
        let key = self.read().get(credential.id()).cloned().ok_or(Rejected::Unknown)?;
        if !key.record.digest.verify(&credential) {
            return Err(Rejected::Unknown);
        }
        key.record.admits_at(unix_now()).map_err(|_| Rejected::Expired)?;
        self.note_use(&key);
        Ok(key)
    }

    /// Whether a request that `key` was let in with may go on: the key has not
    /// been revoked, has not expired, and allows all that it did.
    pub fn still_lets_in(&self, key: &Key) -> bool {
        let now = self.read().get(&key.record.id).cloned();
        now.is_some_and(|now| {
            let wide = |name: &String| now.record.allows_collection(name);
            now.record.admits_at(unix_now()).is_ok()
                && key.record.scopes.iter().all(|scope| now.record.allows(scope))
                && match &key.record.collections {
                    Some(names) => names.iter().all(wide),
                    None => now.record.collections.is_none(),
                }
        })
    }

    /// Takes `cost` units from a key's budget.
    pub fn admit(&self, key: &Key, cost: u32) -> Decision {
        key.bucket().try_take(self.started.elapsed(), cost)
    }

    /// A key's budget as it stands.
    pub fn quota(&self, key: &Key) -> Quota {
        key.bucket().quota(self.started.elapsed())
    }

    /// Every live key, oldest first.
    pub fn all(&self) -> Vec<Arc<Key>> {
        let mut keys: Vec<_> = self.read().values().cloned().collect();
        keys.sort_by(|a, b| {
            (a.record.created_at, &a.record.id).cmp(&(b.record.created_at, &b.record.id))
        });
        keys
    }

    /// Issues a key. The credential is returned and kept nowhere.
    pub async fn issue(&self, new: NewKey) -> Result<(Arc<Key>, Credential), KeyringError> {
        let credential = random_credential()?;
        let key = self.add(&credential, new).await?;
        Ok((key, credential))
    }

    /// Adds a key for a credential made elsewhere.
    pub async fn add(
        &self,
        credential: &Credential,
        new: NewKey,
    ) -> Result<Arc<Key>, KeyringError> {
        let record = KeyRecord {
            id: credential.id().clone(),
            digest: credential.digest(),
            name: new.name,
            scopes: new.scopes,
            collections: new.collections,
            created_at: unix_now(),
            expires_at: new.expires_at,
            rate_per_minute: new.limits.rate_per_minute,
            burst: new.limits.burst,
        };
        Ok(self.keep(record, None).await?)
    }

    /// Issues a successor with the same rights. The old credential goes on
    /// working for `grace_seconds`.
    pub async fn rotate(
        &self,
        id: &str,
        grace_seconds: u32,
    ) -> Result<(Arc<Key>, Credential), KeyringError> {
        let old = self.find(id)?;
        let new = NewKey {
            name: old.record.name.clone(),
            scopes: old.record.scopes,
            collections: old.record.collections.clone(),
            expires_at: old.record.expires_at,
            limits: Limits { rate_per_minute: old.record.rate_per_minute, burst: old.record.burst },
        };
        let issued = self.issue(new).await?;
        let end = unix_now() + u64::from(grace_seconds);
        let mut record = old.record.clone();
        record.expires_at = Some(record.expires_at.map_or(end, |set| set.min(end)));
        self.keep(record, old.last_used_at()).await?;
        Ok(issued)
    }

    /// Changes what a key is and may do; what is `None` stays. Takes effect with
    /// the next request, with a full budget when that is another.
    pub async fn update(&self, id: &str, change: Change) -> Result<Arc<Key>, KeyringError> {
        let old = self.find(id)?;
        let mut record = old.record.clone();
        record.name = change.name.unwrap_or(record.name);
        record.scopes = change.scopes.unwrap_or(record.scopes);
        record.collections = change.collections.or(record.collections);
        record.expires_at = change.expires_at.or(record.expires_at);
        record.rate_per_minute = change.rate_per_minute.unwrap_or(record.rate_per_minute);
        record.burst = change.burst.unwrap_or(record.burst);
        let stays = record.allows(Scope::Admin) && record.expires_at.is_none();
        if old.is_lasting_admin() && !stays && self.lasting_admins() == 1 {
            return Err(KeyringError::LastAdmin);
        }
        Ok(self.keep(record, old.last_used_at()).await?)
    }

    fn lasting_admins(&self) -> usize {
        self.all().iter().filter(|key| key.is_lasting_admin()).count()
    }

    /// Ends a key at once.
    pub async fn revoke(&self, id: &str) -> Result<(), KeyringError> {
        let key = self.find(id)?;
        if key.is_lasting_admin() && self.lasting_admins() == 1 {
            return Err(KeyringError::LastAdmin);
        }
        self.store.revoke_key(&key.record.id).await?;
        self.write().remove(&key.record.id);
        Ok(())
    }

    fn find(&self, id: &str) -> Result<Arc<Key>, KeyringError> {
        let id = KeyId::parse(id).map_err(|_| KeyringError::Unknown)?;
        self.read().get(&id).cloned().ok_or(KeyringError::Unknown)
    }

    async fn keep(
        &self,
        record: KeyRecord,
        last_used_at: Option<u64>,
    ) -> Result<Arc<Key>, ragtime_store::Error> {
        self.store.put_key(record.clone()).await?;
        let key = Arc::new(Key::new(record, last_used_at, self.started));
        self.write().insert(key.record.id.clone(), Arc::clone(&key));
        Ok(key)
    }

    fn note_use(&self, key: &Arc<Key>) {
        let now = unix_now();
        let before = key.last_used_at.load(Relaxed);
        if now.saturating_sub(before) < LAST_USED_RESOLUTION_SECONDS {
            return;
        }
        if key.last_used_at.compare_exchange(before, now, Relaxed, Relaxed).is_ok() {
            let (store, id) = (self.store.clone(), key.record.id.clone());
            tokio::spawn(async move {
                if let Err(error) = store.touch_key(&id, now).await {
                    tracing::warn!(%error, "the last use of a key was not written down");
                }
            });
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, HashMap<KeyId, Arc<Key>>> {
        self.keys.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<KeyId, Arc<Key>>> {
        self.keys.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Key {
    fn new(record: KeyRecord, last_used_at: Option<u64>, started: Instant) -> Self {
        let limits = Limits { rate_per_minute: record.rate_per_minute, burst: record.burst };
        Self {
            bucket: Mutex::new(TokenBucket::new(limits, started.elapsed())),
            last_used_at: AtomicU64::new(last_used_at.unwrap_or(0)),
            active: AtomicU32::new(0),
            bytes_held: AtomicUsize::new(0),
            record,
        }
    }

    /// When it was last used, in seconds since the Unix epoch.
    pub fn last_used_at(&self) -> Option<u64> {
        Some(self.last_used_at.load(Relaxed)).filter(|at| *at > 0)
    }

    /// A place among the key's requests at work; `None` when `most` have one.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Slot> {
        let slot = Slot(Arc::clone(self));
        // The slot counts itself down when there was no room.
        (self.active.fetch_add(1, Relaxed) < most).then_some(slot)
    }

    fn is_lasting_admin(&self) -> bool {
        self.record.allows(Scope::Admin) && self.record.expires_at.is_none()
    }

    fn bucket(&self) -> std::sync::MutexGuard<'_, TokenBucket> {
        self.bucket.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

/// A key of the host itself.
fn own(
    name: &str,
    scopes: impl IntoIterator<Item = Scope>,
    started: Instant,
) -> Result<(Credential, Arc<Key>), getrandom::Error> {
    let credential = random_credential()?;
    let record = KeyRecord {
        id: credential.id().clone(),
        digest: credential.digest(),
        name: name.into(),
        scopes: scopes.into_iter().collect(),
        collections: None,
        created_at: unix_now(),
        expires_at: None,
        rate_per_minute: ragtime_policy::bucket::DEFAULT_RATE_PER_MINUTE,
        burst: ragtime_policy::bucket::DEFAULT_BURST,
    };
    Ok((credential, Arc::new(Key::new(record, None, started))))
}

/// Seconds since the Unix epoch.
pub fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}

fn random_credential() -> Result<Credential, getrandom::Error> {
    let (mut id, mut secret) = ([0_u8; 9], [0_u8; 32]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    Ok(Credential::from_entropy(id, secret))
}
