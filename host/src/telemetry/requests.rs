//! The requests at work, and the last ones that ended.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use http::Method;

use super::route::Route;

/// Ended requests to remember: enough to see what just happened, some 100 kB.
const MAX_ENDED: usize = 256;

/// How far a request has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// Its body arrives.
    Receiving = 0,
    /// It waits for a slot.
    Queued = 1,
    /// The handler works on it.
    Handling = 2,
    /// Its response goes out.
    Sending = 3,
}

/// A request at work.
pub struct InFlightRequest {
    /// Its id.
    pub id: String,
    /// Its method.
    pub method: Method,
    /// The template of its path.
    pub route: Route,
    /// When its head was there.
    pub started: Instant,
    phase: AtomicU8,
    /// 0 until it has been sent to one.
    generation: AtomicU64,
    key_id: OnceLock<String>,
}

/// A request that has ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// Its id.
    pub id: String,
    /// Its method.
    pub method: Method,
    /// The template of its path.
    pub route: Route,
    /// The status of its response.
    pub status: u16,
    /// From its head to the end of its response, in milliseconds.
    pub ms: f64,
    /// Who answered.
    pub generation: Option<u64>,
    /// Whose request it was.
    pub key_id: Option<String>,
    /// Why the host answered in the handler's place.
    pub problem: Option<&'static str>,
}

/// The requests of a server.
#[derive(Default)]
pub struct Requests {
    next: AtomicU64,
    live: Mutex<HashMap<u64, Arc<InFlightRequest>>>,
    ended: Mutex<VecDeque<Ended>>,
}

impl InFlightRequest {
    /// A request that has just come in.
    pub fn new(id: String, method: Method, route: Route, started: Instant) -> Self {
        Self {
            id,
            method,
            route,
            started,
            phase: AtomicU8::new(Phase::Receiving as u8),
            generation: AtomicU64::new(0),
            key_id: OnceLock::new(),
        }
    }

    /// Notes how far it has come.
    pub fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// How far it has come.
    pub fn phase(&self) -> &'static str {
        match self.phase.load(Relaxed) {
            0 => "receiving",
            1 => "queued",
            2 => "handling",
            _ => "sending",
        }
    }

    /// Notes where it was sent.
    pub fn set_generation(&self, id: u64) {
        self.generation.store(id, Relaxed);
    }

    /// Where it was sent.
    pub fn generation(&self) -> Option<u64> {
        Some(self.generation.load(Relaxed)).filter(|id| *id > 0)
    }

    /// Notes whose it is.
    pub fn set_key_id(&self, id: Option<&str>) {
        if let Some(id) = id {
            let _ = self.key_id.set(id.to_owned());
        }
    }

    /// Whose it is, once known.
    pub fn key_id(&self) -> Option<&str> {
        self.key_id.get().map(String::as_str)
    }
}

impl Requests {
    /// Adds a request and returns its place.
    pub fn begin(&self, request: Arc<InFlightRequest>) -> u64 {
        let place = self.next.fetch_add(1, Relaxed);
        lock(&self.live).insert(place, request);
        place
    }

    /// Moves a request to those that have ended.
    pub fn end(&self, place: u64, ended: Ended) {
        lock(&self.live).remove(&place);
        let mut all = lock(&self.ended);
        if all.len() == MAX_ENDED {
            all.pop_front();
        }
        all.push_back(ended);
    }

    /// Those at work, oldest first.
    pub fn live(&self) -> Vec<Arc<InFlightRequest>> {
        let mut live: Vec<_> = lock(&self.live).values().cloned().collect();
        live.sort_by_key(|request| request.started);
        live
    }

    /// Those that ended, newest first.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.ended).iter().rev().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
