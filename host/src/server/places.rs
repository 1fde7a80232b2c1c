//! How much each holder (a client address, a key) may hold at once.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts of the map, each with a lock of its own, so that clients seldom wait
/// for each other.
const SHARDS: usize = 32;

/// Places of each holder. A holder of none takes no memory.
pub struct Places<H> {
    shards: [Mutex<HashMap<H, usize>>; SHARDS],
    hasher: RandomState,
    most: usize,
}

/// One place of a holder, until it is dropped.
pub struct Place<H: Hash + Eq> {
    all: Arc<Places<H>>,
    holder: H,
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
        let mut taken = self.shard(&holder);
        let held = taken.get(&holder).copied().unwrap_or(0);
        if held >= self.most {
            return None;
        }
        taken.insert(holder.clone(), held + 1);
        drop(taken);
        Some(Place { all: Arc::clone(self), holder })
    }
}

impl<H: Hash + Eq> Places<H> {
    fn shard(&self, holder: &H) -> MutexGuard<'_, HashMap<H, usize>> {
        let index = usize::try_from(self.hasher.hash_one(holder) % SHARDS as u64).unwrap_or(0);
        let [first, ..] = &self.shards;
        self.shards.get(index).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: Hash + Eq> Drop for Place<H> {
    fn drop(&mut self) {
        let mut taken = self.all.shard(&self.holder);
        match taken.get_mut(&self.holder) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                taken.remove(&self.holder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::IpAddr;

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
        assert!(places.shards.iter().all(|shard| shard.lock().unwrap().is_empty()));
    }
}
