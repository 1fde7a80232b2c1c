//! What the host knows of a client before a handler does: its address, its key, and how
//! many credentials of its address were not accepted.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use lru::LruCache;
use parking_lot::Mutex;
use ragtime_policy::bucket::{Decision, Limits, TokenBucket};

use super::places::{Place, Places};
use crate::config::{self, Secret};
use crate::keyring::{Key, Rejected};
use crate::network::{self, Network};
use crate::services::Services;

/// Addresses to remember; one takes about 100 bytes. The one that has been
/// quiet for longest is forgotten first.
const MAX_ADDRESSES: NonZeroUsize = NonZeroUsize::new(16_384).unwrap();

/// Proxies between a client and the server that are looked through. There are
/// seldom more than three.
const MAX_HOPS: usize = 16;

/// Who called, and from where: put into a request by the listener.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// The checks of a client that both listeners make.
pub struct Clients {
    services: Arc<Services>,
    trusted_proxies: Vec<Network>,
    failure_limits: Limits,
    failures: Mutex<LruCache<IpAddr, TokenBucket>>,
    places: Arc<Places<IpAddr>>,
    started: Instant,
}

impl Clients {
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
            places: Places::new(settings.server.max_requests_per_address),
            started: Instant::now(),
        }
    }

    /// The client's address: the peer's or, where that is a trusted proxy, what
    /// it says.
    pub fn address(&self, peer: Option<&Peer>, headers: &HeaderMap) -> Option<IpAddr> {
        let peer = peer?.0.ip();
        let trusted =
            |address: IpAddr| self.trusted_proxies.iter().any(|network| network.contains(address));
        Some(network::client(if trusted(peer) { forwarded(peer, headers, trusted) } else { peer }))
    }

    /// A place among the requests of an address whose response has not been sent; one
    /// without an address needs none. `None` when the address has as many as it may.
    pub fn enter(&self, address: Option<IpAddr>) -> Option<Option<Place<IpAddr>>> {
        match address {
            Some(address) => self.places.take(address).map(Some),
            None => Some(None),
        }
    }

    /// The key behind a credential. The handler's own check decides what it may
    /// do. A key that is right is never refused for what others at its address
    /// got wrong.
    ///
    /// # Errors
    ///
    /// Why it is not accepted.
    pub fn key(&self, address: Option<IpAddr>, credential: &Secret) -> Result<Arc<Key>, Refused> {
        let rejected = match self.services.keyring.authenticate(credential.expose()) {
            Ok(key) => return Ok(key),
            Err(rejected) => rejected,
        };
        self.note_failure(address)?;
        self.services.telemetry.metrics.rejected(match rejected {
            Rejected::Malformed => "malformed",
            Rejected::Unknown => "unknown",
            Rejected::Expired => "expired",
        });
        Err(Refused::Rejected(rejected))
    }

    fn note_failure(&self, address: Option<IpAddr>) -> Result<(), Refused> {
        let Some(address) = address else { return Ok(()) };
        let now = self.started.elapsed();
        let mut failures = self.failures.lock();
        let fresh = || TokenBucket::new(self.failure_limits, now);
        match failures.get_or_insert_mut(address, fresh).try_take(now, 1) {
            Decision::Exhausted { retry_after, .. } => Err(Refused::Throttled {
                retry_after_seconds: u32::try_from(retry_after.as_millis().div_ceil(1000))
                    .unwrap_or(u32::MAX),
            }),
            _ => Ok(()),
        }
    }
}

/// Why a credential names no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// It is not accepted.
    Rejected(Rejected),
    /// Nor is it, and its address has sent too many such.
    Throttled {
        /// When the next one is looked at.
        retry_after_seconds: u32,
    },
}

/// The client behind `peer`. Each proxy adds where it was called from at the
/// end, so from there on the first that is no trusted proxy is the client; what
/// stands before it is anybody's word.
fn forwarded(peer: IpAddr, headers: &HeaderMap, trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut client = peer;
    for hop in hops.take(MAX_HOPS) {
        let Some(address) = hop_address(hop.trim()) else { break };
        client = address;
        if !trusted(address) {
            break;
        }
    }
    client
}

/// An address as proxies write it, with or without a port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = |text: &str| text.parse().ok();
    let bracketed = || hop.strip_prefix('[')?.split_once(']')?.0.parse().ok();
    let with_port = || hop.parse::<SocketAddr>().ok().map(|address| address.ip());
    bare(hop).or_else(with_port).or_else(bracketed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http::HeaderValue;

    fn client(lines: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        let trusted: Network = "10.0.0.0/8".parse().unwrap();
        let peer = "10.0.0.1".parse().unwrap();
        forwarded(peer, &headers, |address| trusted.contains(address)).to_string()
    }

    #[test]
    fn the_client_is_the_last_hop_that_is_no_trusted_proxy() {
        assert_eq!(client(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["198.51.100.7, 192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["198.51.100.7, 192.0.2.1, 10.0.0.2", "10.0.0.3"]), "192.0.2.1");
        assert_eq!(client(&["192.0.2.1, ::ffff:10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["198.51.100.7", "192.0.2.1:4711"]), "192.0.2.1");
        assert_eq!(client(&["[2001:db8::1]:443"]), "2001:db8::1");
    }

    #[test]
    fn what_is_no_address_names_nobody() {
        assert_eq!(client(&[]), "10.0.0.1");
        assert_eq!(client(&["192.0.2.1, unknown"]), "10.0.0.1");
        assert_eq!(client(&["192.0.2.1, , 10.0.0.2"]), "10.0.0.2");
        // A client cannot hide behind the networks of proxies.
        assert_eq!(client(&["10.9.9.9, 192.0.2.1"]), "192.0.2.1");
    }
}
