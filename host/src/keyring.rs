//! Keys at work: the records of the store with their budgets.

mod budgets;
mod change;

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::{Mutex, RwLock};

pub use budgets::{Budgets, BudgetsError, client as redis_client};
pub use change::{Actor, Change, NewKey};
use ragtime_policy::bucket::{Decision, Limits, Quota, TokenBucket};
use ragtime_policy::clock::unix_now;
use ragtime_policy::grant;
use ragtime_policy::key::{Credential, KeyId};
use ragtime_policy::key_record::KeyRecord;
use ragtime_policy::scope::Scope;
use ragtime_store::{Store, StoredKey};

/// How often the last use of a key is written down.
const LAST_USED_RESOLUTION_SECONDS: u64 = 60;

/// All live keys. Reads never wait for the store: revocation takes effect with
/// the next request.
pub struct Keyring {
    shared: Arc<Shared>,
    budgets: Budgets,
    /// Who the host is when it tries a handler out.
    probe: (Credential, Arc<Key>),
    rechunker: (Credential, Arc<Key>),
}

/// What a change of the keys works with, also after its caller has gone.
struct Shared {
    keys: RwLock<HashMap<KeyId, Arc<Key>>>,
    store: Store,
    started: Instant,
    /// Held from the write to the map, so that both see changes in one order.
    changing: tokio::sync::Mutex<()>,
}

/// A key and its budget.
pub struct Key {
    /// What it may do.
    pub record: KeyRecord,
    usage: Arc<Usage>,
}

/// What is counted of a key. It outlives a change of the key: a change is no
/// way to a full budget or to more requests at once.
struct Usage {
    bucket: Mutex<TokenBucket>,
    last_used_at: AtomicU64,
    /// Units that it has spent since it was made, as far as they are written down: by all
    /// hosts together.
    written_units: AtomicU64,
    /// Units that it has spent here since.
    unwritten_units: AtomicU64,
    /// Requests at work.
    active: AtomicU32,
    /// Bytes of bodies that are held for its requests.
    bytes_held: AtomicUsize,
}

impl Usage {
    fn spend(&self, units: u32) {
        self.unwritten_units.fetch_add(u64::from(units), Relaxed);
    }
}

/// A request's place among those of its key that are at work.
pub struct Slot(Arc<Key>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.usage.active.fetch_sub(1, Relaxed);
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
    #[error("the last unlimited key with the scope admin cannot be revoked or limited")]
    LastAdmin,
    /// The key of who changes has ended or lost the scope `admin` meanwhile.
    #[error("the key that changes keys may not do so any more")]
    NotAdmin,
    /// The key would be more than it may be.
    #[error(transparent)]
    Refused(#[from] grant::Refused),
    /// The operating system gave no randomness.
    #[error("no randomness: {0}")]
    Entropy(#[from] getrandom::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] ragtime_store::Error),
}

impl Keyring {
    /// The keys of `store`, whose budgets are kept in `budgets`. Blocking.
    pub fn open(store: Store, budgets: Budgets) -> Result<Self, KeyringError> {
        let started = Instant::now();
        let changing = tokio::sync::Mutex::new(());
        let shared = Arc::new(Shared { keys: RwLock::default(), store, started, changing });
        // Before the keys are read: what changes them from then on is heard of.
        follow_other_hosts(&shared);
        shared.read_all()?;
        let probe = own("probe", [Scope::Read], started)?;
        let rechunker = own("upkeep", [Scope::Read, Scope::Write], started)?;
        Ok(Self { shared, budgets, probe, rechunker })
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
    pub fn rechunker_credential(&self) -> String {
        self.rechunker.0.expose()
    }

    /// The key behind a credential of the host's own rechunker.
    pub fn authenticate_rechunker(&self, credential: &str) -> Result<Arc<Key>, Rejected> {
        let parsed = Credential::parse(credential).map_err(|_| Rejected::Malformed)?;
        match self.rechunker.1.record.digest.verify(&parsed) {
            true => Ok(Arc::clone(&self.rechunker.1)),
            false => Err(Rejected::Unknown),
        }
    }

    /// Whether no key exists, as on the first start.
    pub fn is_empty(&self) -> bool {
        self.shared.keys.read().is_empty()
    }

    /// The key behind a credential.
    pub fn authenticate(&self, credential: &str) -> Result<Arc<Key>, Rejected> {
        let credential = Credential::parse(credential).map_err(|_| Rejected::Malformed)?;
        let key = self.shared.keys.read().get(credential.id()).cloned().ok_or(Rejected::Unknown)?;
        if !key.record.digest.verify(&credential) {
            return Err(Rejected::Unknown);
        }
        key.record.admits_at(self.shared.store.now()).map_err(|_| Rejected::Expired)?;
        self.note_use(&key);
        Ok(key)
    }

    /// Whether a request that `key` was let in with may go on: the key has not
    /// been revoked, has not expired, and allows all that it did.
    pub fn still_lets_in(&self, key: &Key) -> bool {
        let now = self.shared.keys.read().get(&key.record.id).cloned();
        now.is_some_and(|now| {
            let wide = |name: &String| now.record.allows_collection(name);
            now.record.admits_at(self.shared.store.now()).is_ok()
                && key.record.scopes.iter().all(|scope| now.record.allows(scope))
                && match &key.record.collections {
                    Some(names) => names.iter().all(wide),
                    None => now.record.collections.is_none(),
                }
        })
    }

    /// Takes `cost` units from a key's budget.
    pub async fn admit(&self, key: &Key, cost: u32) -> Decision {
        let limits = limits_of(&key.record);
        let decision = match self.budgets.take(&key.record.id, limits, cost).await {
            Some(decision) => decision,
            None => self.admit_here(key, cost),
        };
        if let Decision::Admitted(_) = decision {
            key.usage.spend(cost);
        }
        decision
    }

    /// The same by this host's share of the budget: what a request costs on one of three
    /// is taken three times.
    fn admit_here(&self, key: &Key, cost: u32) -> Decision {
        let hosts = self.shared.store.live_hosts();
        // A small burst must pay for the dearest request on every host.
        let price = cost.saturating_mul(hosts).min(key.record.burst.max(cost));
        match key.usage.bucket.lock().try_take(self.shared.started.elapsed(), price) {
            Decision::Admitted(quota) => Decision::Admitted(share(quota, hosts)),
            Decision::Exhausted { quota, retry_after } => {
                Decision::Exhausted { quota: share(quota, hosts), retry_after }
            }
            Decision::CostAboveBurst(quota) => Decision::CostAboveBurst(share(quota, hosts)),
        }
    }

    /// A key's budget as it stands.
    pub async fn quota(&self, key: &Key) -> Quota {
        match self.budgets.take(&key.record.id, limits_of(&key.record), 0).await {
            Some(
                Decision::Admitted(quota)
                | Decision::Exhausted { quota, .. }
                | Decision::CostAboveBurst(quota),
            ) => quota,
            None => self.own_quota(key),
        }
    }

    /// What this host counts of a budget: all there is to a key of the host itself, which
    /// nothing is taken from.
    pub fn own_quota(&self, key: &Key) -> Quota {
        share(
            key.usage.bucket.lock().quota(self.shared.started.elapsed()),
            self.shared.store.live_hosts(),
        )
    }

    /// Makes the connection to the server of the budgets, if there is one.
    pub async fn connect_budgets(&self) -> Result<(), BudgetsError> {
        self.budgets.connect().await
    }

    /// How often the budgets of all hosts could not be asked for.
    pub fn budget_fallbacks(&self) -> u64 {
        self.budgets.fallbacks()
    }

    /// Every live key, oldest first.
    pub fn all(&self) -> Vec<Arc<Key>> {
        let mut keys: Vec<_> = self.shared.keys.read().values().cloned().collect();
        keys.sort_by(|a, b| {
            (a.record.created_at, &a.record.id).cmp(&(b.record.created_at, &b.record.id))
        });
        keys
    }

    /// Writes down what keys have spent since it was written last. To be called now
    /// and then and at the end: a killed process loses what came after.
    pub async fn write_spent(&self) {
        for key in self.all() {
            let units = key.usage.unwritten_units.load(Relaxed);
            if units == 0 {
                continue;
            }
            match self.shared.store.note_spent(&key.record.id, units).await {
                Ok(all) => {
                    key.usage.unwritten_units.fetch_sub(units, Relaxed);
                    key.usage.written_units.fetch_max(all, Relaxed);
                }
                Err(error) => {
                    tracing::warn!(%error, "what a key has spent was not written down");
                    return;
                }
            }
        }
    }

    fn note_use(&self, key: &Arc<Key>) {
        let now = self.shared.store.now();
        let last_used_at = &key.usage.last_used_at;
        let before = last_used_at.load(Relaxed);
        if now.saturating_sub(before) < LAST_USED_RESOLUTION_SECONDS {
            return;
        }
        if last_used_at.compare_exchange(before, now, Relaxed, Relaxed).is_ok() {
            let (store, id) = (self.shared.store.clone(), key.record.id.clone());
            tokio::spawn(async move {
                if let Err(error) = store.touch_key(&id, now).await {
                    tracing::warn!(%error, "the last use of a key was not written down");
                }
            });
        }
    }
}

/// What is left for requests to one of so many hosts.
fn share(quota: Quota, hosts: u32) -> Quota {
    Quota { remaining: quota.remaining / hosts.max(1), ..quota }
}

/// Takes in what the hosts of a fleet do to keys, in the order of the log. Should that
/// fail, the store ends this host, which must not go on with keys that may have been
/// revoked.
fn follow_other_hosts(shared: &Arc<Shared>) {
    let followed: Weak<Shared> = Arc::downgrade(shared);
    shared.store.on_keys_changed(move |ids| match followed.upgrade() {
        Some(shared) => shared.take_in(ids),
        None => Ok(()),
    });
}

impl Shared {
    /// Reads every key of the store, at the start.
    fn read_all(&self) -> Result<(), ragtime_store::Error> {
        let mut keys = self.keys.write();
        for StoredKey { record, last_used_at, spent_units } in self.store.keys()? {
            warn_of_limited_admin(&record);
            let id = record.id.clone();
            let key = Key::new(record, last_used_at, spent_units, self.started);
            keys.insert(id, Arc::new(key));
        }
        Ok(())
    }

    /// Makes memory what the store has of these keys, under the lock, so that the last to
    /// read is the last to write.
    fn take_in(&self, ids: &[String]) -> Result<(), ragtime_store::Error> {
        let mut keys = self.keys.write();
        let mut stored = self.store.keys_with(ids)?;
        for id in ids.iter().filter_map(|id| KeyId::parse(id).ok()) {
            let Some(at) = stored.iter().position(|key| key.record.id == id) else {
                keys.remove(&id);
                continue;
            };
            let StoredKey { record, last_used_at, spent_units } = stored.swap_remove(at);
            let key = match keys.get(&id) {
                Some(key) => key.changed(record, self.started),
                None => Key::new(record, last_used_at, spent_units, self.started),
            };
            key.usage.last_used_at.fetch_max(last_used_at.unwrap_or(0), Relaxed);
            key.usage.written_units.fetch_max(spent_units, Relaxed);
            keys.insert(id, Arc::new(key));
        }
        Ok(())
    }
}

impl Key {
    fn new(
        record: KeyRecord,
        last_used_at: Option<u64>,
        spent_units: u64,
        started: Instant,
    ) -> Self {
        let usage = Usage {
            bucket: Mutex::new(TokenBucket::new(limits_of(&record), started.elapsed())),
            last_used_at: AtomicU64::new(last_used_at.unwrap_or(0)),
            written_units: AtomicU64::new(spent_units),
            unwritten_units: AtomicU64::new(0),
            active: AtomicU32::new(0),
            bytes_held: AtomicUsize::new(0),
        };
        Self { record, usage: Arc::new(usage) }
    }

    /// The same key after a change, with what has been counted of it.
    fn changed(&self, record: KeyRecord, started: Instant) -> Self {
        self.usage.bucket.lock().set_limits(started.elapsed(), limits_of(&record));
        Self { record, usage: Arc::clone(&self.usage) }
    }

    /// When it was last used, in seconds since the Unix epoch.
    pub fn last_used_at(&self) -> Option<u64> {
        Some(self.usage.last_used_at.load(Relaxed)).filter(|at| *at > 0)
    }

    /// Units of its budget that it has spent since it was made.
    pub fn spent_units(&self) -> u64 {
        self.usage.written_units.load(Relaxed) + self.usage.unwritten_units.load(Relaxed)
    }

    /// Its requests at work.
    pub fn at_work(&self) -> u32 {
        self.usage.active.load(Relaxed)
    }

    /// A place among the key's requests at work; `None` when `most` have one.
    pub fn enter(self: &Arc<Self>, most: u32) -> Option<Slot> {
        let slot = Slot(Arc::clone(self));
        // The slot counts itself down when there was no room.
        (self.usage.active.fetch_add(1, Relaxed) < most).then_some(slot)
    }

    /// Bytes of bodies that are held for its requests.
    pub fn bytes_held(&self) -> &AtomicUsize {
        &self.usage.bytes_held
    }
}

fn limits_of(record: &KeyRecord) -> Limits {
    Limits { rate_per_minute: record.rate_per_minute, burst: record.burst }
}

/// Older versions made such keys. What they say is not what they may do.
fn warn_of_limited_admin(record: &KeyRecord) {
    if record.scopes.contains(Scope::Admin) && !record.allows(Scope::Admin) {
        tracing::warn!(
            key = %record.id,
            "a key is limited to collections, so its scope admin is not honoured"
        );
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
    Ok((credential, Arc::new(Key::new(record, None, 0, started))))
}

/// A credential that nobody has.
pub fn random_credential() -> Result<Credential, getrandom::Error> {
    let (mut id, mut secret) = ([0_u8; 9], [0_u8; 32]);
    getrandom::fill(&mut id)?;
    getrandom::fill(&mut secret)?;
    Ok(Credential::from_entropy(id, secret))
}
