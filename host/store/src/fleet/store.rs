//! What the host asks of a store that may be part of a fleet.

use std::collections::HashSet;
use std::sync::Arc;

use ragtime_policy::clock::unix_now;
use ragtime_policy::rollout::Host;

use super::{Fleet, NotCurrent, Overview, Status, components, presence};
use crate::Store;
use crate::types::Error;

/// The fleet. A store that is alone is always current and leads.
impl Store {
    /// Resolves once everything is here that any host acknowledged before the call. What
    /// is read then is not older.
    ///
    /// # Errors
    ///
    /// Nobody knows, or this host has not caught up in time.
    pub async fn fence(&self) -> Result<(), NotCurrent> {
        match &self.0.fleet {
            Some(fleet) => fleet.fence().await,
            None => Ok(()),
        }
    }

    /// Whether this host is part of a fleet.
    pub fn in_fleet(&self) -> bool {
        self.0.fleet.is_some()
    }

    /// The fleet as PostgreSQL has it now; none when this host is alone. Blocking.
    pub fn fleet_overview(&self) -> Result<Option<Overview>, Error> {
        let look = |fleet: &Arc<Fleet>| fleet.with_components(|link| link.ask(presence::read));
        self.0.fleet.as_ref().map(look).transpose()
    }

    /// Calls this host so where hosts are listed, as once it knows where it listens.
    pub fn set_host_name(&self, name: String) {
        if let Some(fleet) = &self.0.fleet {
            fleet.set_name(name);
        }
    }

    /// How this host stands in its fleet; none when it is alone.
    pub fn fleet(&self) -> Option<Status> {
        self.0.fleet.as_ref().map(|fleet| fleet.status())
    }

    /// Whether this host does what is to be done once for all hosts.
    pub fn leads(&self) -> bool {
        self.0.fleet.as_ref().is_none_or(|fleet| fleet.leads())
    }

    /// Hosts that live, this one among them.
    pub fn live_hosts(&self) -> u32 {
        self.0.fleet.as_ref().map_or(1, |fleet| fleet.live_hosts())
    }

    /// Has `take_in` called with the ids of keys that a host of the fleet has changed, this
    /// one among them, in the order of the log: before the change is acknowledged here, and
    /// before a request that comes after it is let through by [`Self::fence`].
    pub fn on_keys_changed(
        &self,
        take_in: impl Fn(&[String]) -> Result<(), Error> + Send + Sync + 'static,
    ) {
        if let Some(fleet) = &self.0.fleet {
            fleet.on_keys_changed(Box::new(take_in));
        }
    }

    /// Seconds since the Unix epoch, by the clock that what hosts decide together goes by:
    /// PostgreSQL's, or this machine's for a host that is alone.
    pub fn now(&self) -> u64 {
        self.0.fleet.as_ref().map_or_else(unix_now, |fleet| fleet.now())
    }

    /// Names the handler that this host serves, for who looks at the fleet.
    pub fn set_handler(&self, generation: u64, sha256: &str) {
        if let Some(fleet) = &self.0.fleet {
            fleet.set_handler(generation, sha256);
        }
    }

    /// This host, as the others know it; none when it is alone.
    pub fn host(&self) -> Option<Host> {
        self.0.fleet.as_ref().map(|fleet| fleet.host())
    }

    /// The hosts of the fleet that live, this one among them, as of a second ago. Empty
    /// until this host knows.
    pub fn live(&self) -> Vec<Host> {
        self.0.fleet.as_ref().map(|fleet| fleet.live()).unwrap_or_default()
    }

    /// Has `take_in` called when a handler was deployed or a rollout has gone a step, by
    /// whichever host, in the order of the log: before a request that comes after it is let
    /// through by [`Self::fence`]. It runs on the thread that writes and must not write.
    pub fn on_handlers_changed(
        &self,
        take_in: impl Fn() -> Result<(), Error> + Send + Sync + 'static,
    ) {
        if let Some(fleet) = &self.0.fleet {
            fleet.on_handlers_changed(Box::new(take_in));
        }
    }

    /// Keeps a component for all hosts. Blocking. A host that is alone keeps its own.
    pub fn put_component(&self, sha256: &str, component: &[u8]) -> Result<(), Error> {
        match &self.0.fleet {
            Some(fleet) => fleet.with_components(|link| components::put(link, sha256, component)),
            None => Ok(()),
        }
    }

    /// A component that is kept for all hosts. Blocking.
    pub fn component(&self, sha256: &str) -> Result<Option<Vec<u8>>, Error> {
        match &self.0.fleet {
            Some(fleet) => fleet.with_components(|link| components::get(link, sha256)),
            None => Ok(None),
        }
    }

    /// Removes every component that is kept for all hosts, but these. Blocking.
    pub fn retain_components(&self, keep: &HashSet<String>) -> Result<(), Error> {
        match &self.0.fleet {
            Some(fleet) => fleet.with_components(|link| components::retain(link, keep)),
            None => Ok(()),
        }
    }

    /// Resolves when this host must not go on, with the reason: what it has is not what
    /// the log says, and a start mends that. Never for a host that is alone.
    pub async fn ended(&self) -> String {
        let Some(fleet) = &self.0.fleet else { return std::future::pending().await };
        let mut ended = fleet.ended();
        let reason = match ended.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone(),
            Err(_) => None,
        };
        match reason {
            Some(reason) => reason,
            // The store is gone, and who waits with it.
            None => std::future::pending().await,
        }
    }
}
