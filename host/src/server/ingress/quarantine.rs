//! Requests that have an instance to themselves, and how many of them there are.
//!
//! A request is put apart when it is likely to exhaust its instance (a large
//! body, a file to parse), or when an instance was lost under it. Such requests
//! never take all instances, and those of one key never take all of their share:
//! everybody else's go on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::problem::Problem;
use crate::config;
use crate::server::places::{Place, Places};

/// Places of the requests that run apart.
pub struct Quarantine {
    all: Arc<Semaphore>,
    keys: Arc<Places<String>>,
}

/// The place of one request.
pub struct Quarantined {
    _of_all: OwnedSemaphorePermit,
    _of_key: Place<String>,
}

impl Quarantine {
    /// Within the limits of the settings, and never more than half of the
    /// instances.
    pub fn new(limits: &config::Handler) -> Self {
        let half = (limits.max_instances as usize / 2).max(1);
        let all = limits.max_quarantined_requests.clamp(1, half);
        let of_key = limits.max_quarantined_requests_per_key.clamp(1, all);
        Self { all: Arc::new(Semaphore::new(all)), keys: Places::new(of_key) }
    }

    /// Waits for a place for a request of the key `key_id`; those without a key
    /// share the places of one.
    ///
    /// # Errors
    ///
    /// [`Problem::NoInstance`] when there is none within `max_wait`.
    pub async fn enter(&self, key_id: &str, max_wait: Duration) -> Result<Quarantined, Problem> {
        let give_up = Instant::now() + max_wait;
        let of_key = self.keys.take_until(key_id.to_owned(), give_up).await;
        let of_key = of_key.ok_or(Problem::NoInstance)?;
        let of_all = timeout_at(give_up, Arc::clone(&self.all).acquire_owned()).await;
        match of_all {
            Ok(Ok(permit)) => Ok(Quarantined { _of_all: permit, _of_key: of_key }),
            Ok(Err(_)) => Err(Problem::Draining),
            Err(_) => Err(Problem::NoInstance),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn quarantine(instances: u32, all: usize, of_key: usize) -> Quarantine {
        Quarantine::new(&config::Handler {
            max_instances: instances,
            max_quarantined_requests: all,
            max_quarantined_requests_per_key: of_key,
            ..config::Handler::default()
        })
    }

    #[tokio::test]
    async fn one_key_leaves_places_to_others() {
        let quarantine = quarantine(128, 3, 2);
        let first = quarantine.enter("a", Duration::ZERO).await.unwrap();
        let _second = quarantine.enter("a", Duration::ZERO).await.unwrap();
        let refused = quarantine.enter("a", Duration::ZERO).await;
        assert!(matches!(refused, Err(Problem::NoInstance)));
        let _other = quarantine.enter("b", Duration::ZERO).await.unwrap();
        let refused = quarantine.enter("c", Duration::ZERO).await;
        assert!(matches!(refused, Err(Problem::NoInstance)));
        drop(first);
        assert!(quarantine.enter("c", Duration::ZERO).await.is_ok());
    }

    #[tokio::test]
    async fn half_of_the_instances_are_for_the_others() {
        let quarantine = quarantine(4, 64, 16);
        let _first = quarantine.enter("a", Duration::ZERO).await.unwrap();
        let _second = quarantine.enter("a", Duration::ZERO).await.unwrap();
        assert!(quarantine.enter("a", Duration::ZERO).await.is_err());
    }
}
