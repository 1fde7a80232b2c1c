//! `[admin]`

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::Tls;

/// `[admin]`
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// Address and port of the admin API. Loopback by default: whoever reaches
    /// it still needs a key, but has no reason to.
    pub listen: SocketAddr,
    /// Size of a component. One in Python takes about 20 MB.
    pub max_component_bytes: usize,
    /// `[admin.tls]`
    pub tls: Tls,
    /// How often a point of the console's charts is taken. Five seconds show a
    /// burst, and cost a read of the database.
    pub sample_interval_ms: u64,
    /// Points that are kept: an hour, in about 90 kB.
    pub max_samples: usize,
    /// How often changes are sent to those who follow `/admin/events`. A
    /// second is as often as a person can follow.
    pub event_interval_ms: u64,
    /// How many may follow them at once: a console in the tab of each operator. Each
    /// one holds what it was sent last, some 20 kB.
    pub max_event_listeners: usize,
}

impl Default for Admin {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8081)),
            max_component_bytes: 64 * 1024 * 1024,
            tls: Tls::default(),
            sample_interval_ms: 5_000,
            max_samples: 720,
            event_interval_ms: 1_000,
            max_event_listeners: 32,
        }
    }
}
