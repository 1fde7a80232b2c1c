//! How much each client address may hold at once.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Parts of the map, each with a lock of its own, so that clients seldom wait
/// for each other.
const SHARDS: usize = 32;

/// Places of each address. An address that holds none takes no memory.
pub struct Places {
    shards: [Mutex<HashMap<IpAddr, usize>>; SHARDS],
    hasher: RandomState,
    most: usize,
}

/// One place of an address, until it is dropped.
pub struct Place {
    all: Arc<Places>,
    address: IpAddr,
}

impl Places {
    /// So many for each address.
    pub fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            most,
        })
    }

    /// A place for `address`, unless it holds as many as it may.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let mut taken = self.shard(address);
        let held = taken.get(&address).copied().unwrap_or(0);
        if held >= self.most {
            return None;
        }
        taken.insert(address, held + 1);
        Some(Place { all: Arc::clone(self), address })
    }

    fn shard(&self, address: IpAddr) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        let index = usize::try_from(self.hasher.hash_one(address) % SHARDS as u64).unwrap_or(0);
        let [first, ..] = &self.shards;
        self.shards.get(index).unwrap_or(first).lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.all.shard(self.address);
        match taken.get_mut(&self.address) {
            Some(held) if *held > 1 => *held -= 1,
            _ => {
                taken.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

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
