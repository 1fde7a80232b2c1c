//! What the edge knows of who calls, before a handler does: from where, with
//! which key, and how often that went wrong of late.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use http::HeaderMap;
use lru::LruCache;
use ragtime_policy::bucket::{Decision, Limits, TokenBucket};

use super::problem::Problem;
use crate::config::{self, Secret};
use crate::keyring::{Key, Rejected, Slot};
use crate::services::Services;

/// Addresses to remember; one takes about 100 bytes. The one that has been
/// quiet for longest is forgotten first.
const MAX_ADDRESSES: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Who called, and from where: put into a request by the listener.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Checks callers.
pub struct Callers {
    services: Arc<Services>,
    trusted_proxies: Vec<IpAddr>,
    failure_limits: Limits,
    failures: Mutex<LruCache<IpAddr, TokenBucket>>,
    started: Instant,
}

impl Callers {
    /// Within the limits of the settings.
    pub fn new(services: Arc<Services>, settings: &config::Settings) -> Self {
        Self {
            services,
            trusted_proxies: settings.server.trusted_proxies.clone(),
            failure_limits: Limits {
                rate_per_minute: settings.auth.failures_per_minute,
                burst: settings.auth.failure_burst.max(1),
            },
            failures: Mutex::new(LruCache::new(MAX_ADDRESSES)),
            started: Instant::now(),
        }
    }

    /// The client's address: the peer's, or what a trusted proxy says it is.
    pub fn address(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer?.0.ip();
        if !self.trusted_proxies.contains(&peer) {
            return Some(network(peer));
        }
        // The last hop is the proxy's own word; what stands before it is anybody's.
        let forwarded = headers.get_all("x-forwarded-for").iter().next_back();
        let last = forwarded.and_then(|value| value.to_str().ok()?.rsplit(',').next());
        Some(network(last.and_then(|text| text.trim().parse().ok()).unwrap_or(peer)))
    }

    /// Refuses an address that has been wrong too often, before its credential
    /// is looked at.
    pub fn admit_address(&self, address: Option<IpAddr>) -> Result<(), Problem> {
        let Some(address) = address else { return Ok(()) };
        let now = self.started.elapsed();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(bucket) = failures.get_mut(&address) else { return Ok(()) };
        // Asks for one more failure without taking it.
        match bucket.clone().try_take(now, 1) {
            Decision::Exhausted { retry_after, .. } => Err(Problem::TooManyFailures {
                retry_after_seconds: u32::try_from(retry_after.as_millis().div_ceil(1000))
                    .unwrap_or(u32::MAX),
            }),
            _ => Ok(()),
        }
    }

    /// The key behind a credential, if there is one. The handler's own check
    /// decides what it may do.
    pub fn key(&self, address: Option<IpAddr>, credential: &Secret) -> Option<Arc<Key>> {
        match self.services.keyring.authenticate(credential.expose()) {
            Ok(key) => Some(key),
            Err(rejected) => {
                self.services.telemetry.metrics.rejected(match rejected {
                    Rejected::Malformed => "malformed",
                    Rejected::Unknown => "unknown",
                    Rejected::Expired => "expired",
                });
                self.note_failure(address);
                None
            }
        }
    }

    /// One of a key's places among the requests at work.
    pub fn slot(&self, key: &Arc<Key>) -> Result<Slot, Problem> {
        key.enter(self.services.max_concurrent).ok_or(Problem::TooManyAtOnce)
    }

    fn note_failure(&self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        let now = self.started.elapsed();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = || TokenBucket::new(self.failure_limits, now);
        failures.get_or_insert_mut(address, fresh).try_take(now, 1);
    }
}

/// An IPv6 client has a network of its own, usually a /64 (RFC 6177), so that
/// counts as one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn one_network_counts_as_one_address() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8::1"), of("2001:db8::ffff:1"));
        assert_ne!(of("2001:db8::1"), of("2001:db8:0:1::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.2"), of("192.0.2.1"));
    }
}
