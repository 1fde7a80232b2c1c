//! How much each holder (a client address, a key) may hold at once.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Parts of the map, each with a lock of its own, so that clients seldom wait
/// for each other.
const SHARDS: usize = 32;

/// Places of each holder. A holder of none takes no memory.
pub struct Places<H> {
    shards: [Mutex<HashMap<H, Arc<Semaphore>>>; SHARDS],
    hasher: RandomState,
    most: usize,
}

/// One place of a holder, until it is dropped.
pub struct Place<H: Hash + Eq> {
    // Dropped first, so that the entry sees that it is free.
    _permit: OwnedSemaphorePermit,
    _entry: Entry<H>,
}

/// A holder's entry in the map, for as long as somebody has or waits for a place.
struct Entry<H: Hash + Eq> {
    all: Arc<Places<H>>,
    holder: H,
    semaphore: Option<Arc<Semaphore>>,
}

impl<H: Hash + Eq + Clone> Places<H> {
    /// So many for each holder.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            most,
        })
    }

    /// A place for `holder`, unless it holds as many as it may.
    pub fn take(self: &Arc<Self>, holder: H) -> Option<Place<H>> {
        let (entry, semaphore) = self.entry(holder);
        let permit = semaphore.try_acquire_owned().ok()?;
        Some(Place { _permit: permit, _entry: entry })
    }

    /// A place for `holder`; waits for one until `give_up`, in the order of those
    /// who wait.
    pub async fn take_until(self: &Arc<Self>, holder: H, give_up: Instant) -> Option<Place<H>> {
        let (entry, semaphore) = self.entry(holder);
        let permit = timeout_at(give_up, semaphore.acquire_owned()).await.ok()?.ok()?;
        Some(Place { _permit: permit, _entry: entry })
    }

    fn entry(self: &Arc<Self>, holder: H) -> (Entry<H>, Arc<Semaphore>) {
        let mut shard = self.shard(&holder);
        let semaphore =
            shard.entry(holder.clone()).or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        let semaphore = Arc::clone(semaphore);
        drop(shard);
        let own = Some(Arc::clone(&semaphore));
        (Entry { all: Arc::clone(self), holder, semaphore: own }, semaphore)
    }
}

impl<H: Hash + Eq> Places<H> {
    fn shard(&self, holder: &H) -> MutexGuard<'_, HashMap<H, Arc<Semaphore>>> {
        let index = usize::try_from(self.hasher.hash_one(holder) % SHARDS as u64).unwrap_or(0);
        let [first, ..] = &self.shards;
        self.shards.get(index).unwrap_or(first).lock()
    }
}

impl<H: Hash + Eq> Drop for Entry<H> {
    fn drop(&mut self) {
        let mut shard = self.all.shard(&self.holder);
        // Under the lock, so that of two that end at once the second sees that it
        // is the last.
        self.semaphore = None;
        if shard.get(&self.holder).is_some_and(|semaphore| Arc::strong_count(semaphore) == 1) {
            shard.remove(&self.holder);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::IpAddr;

    fn is_empty<H>(places: &Places<H>) -> bool {
        places.shards.iter().all(|shard| shard.lock().is_empty())
    }

    #[test]
    fn each_address_has_places_of_its_own_and_gets_them_back() {
        let places = Places::new(2);
        let [one, other]: [IpAddr; 2] =
            ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        let first = places.take(one).unwrap();
        let second = places.take(one).unwrap();
        assert!(places.take(one).is_none());
        assert!(places.take(other).is_some());
        drop(first);
        assert!(places.take(one).is_some());
        drop(second);
        assert!(is_empty(&places));
    }

    #[tokio::test]
    async fn who_waits_gets_the_place_that_is_given_back_and_leaves_nothing() {
        let places = Places::new(1);
        let first = places.take("a").unwrap();
        assert!(places.take_until("a", Instant::now()).await.is_none());
        let far = Instant::now() + std::time::Duration::from_secs(3_600);
        let waiting = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take_until("a", far).await.is_some() }
        });
        // One that leaves while it waits takes no place with it.
        let leaving = tokio::spawn({
            let places = Arc::clone(&places);
            async move { places.take_until("a", far).await.is_some() }
        });
        tokio::task::yield_now().await;
        leaving.abort();
        drop(first);
        assert!(waiting.await.unwrap());
        assert!(leaving.await.unwrap_err().is_cancelled());
        assert!(is_empty(&places));
    }
}
