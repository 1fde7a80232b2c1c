//! Announces to the other hosts how far search finds everything, before any client hears it.
//!
//! A client that has heard that its document is searchable may search on any host. So a
//! host that answers a search waits until its indexes have what any host has announced.

use std::sync::Arc;

use postgres::types::Type;

use super::Fleet;
use super::link::Link;
use super::log::signed;
use crate::types::Error;

/// Announces how far the indexes of this host are.
pub(crate) struct Announcer {
    link: Link,
    fleet: Arc<Fleet>,
}

impl Announcer {
    pub(crate) fn new(link: Link, fleet: Arc<Fleet>) -> Self {
        Self { link, fleet }
    }

    /// Whether this host does what is to be done once.
    pub(crate) fn leads(&self) -> bool {
        self.fleet.leads()
    }

    /// The indexes of this host have come to `through`.
    ///
    /// # Errors
    ///
    /// PostgreSQL does not answer: then no client may hear it.
    pub(crate) fn announce(&mut self, through: u64) -> Result<(), Error> {
        self.fleet.indexed.raise(through);
        if self.fleet.searchable.get() >= through {
            return Ok(());
        }
        let to = signed(through);
        self.link.ask(|client, schema| {
            client.execute_typed(
                &format!("UPDATE {schema}.searchable SET through = $1 WHERE through < $1"),
                &[(&to, Type::INT8)],
            )
        })?;
        self.fleet.searchable.raise(through);
        Ok(())
    }
}
