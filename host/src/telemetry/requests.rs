//! The requests at work, and the last ones that ended.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::Method;
use parking_lot::Mutex;

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
#[derive(Clone)]
pub struct EndedRequest {
    /// The request as it was at work.
    pub request: Arc<InFlightRequest>,
    /// The status of its response.
    pub status: u16,
    /// From its head to the end of its response.
    pub took: Duration,
    /// Why the host answered in the handler's place.
    pub problem: Option<&'static str>,
}

/// The requests of a server.
#[derive(Default)]
pub struct Requests {
    next: AtomicU64,
    /// By place, so oldest first.
    in_flight: Mutex<BTreeMap<u64, Arc<InFlightRequest>>>,
    ended: Mutex<VecDeque<EndedRequest>>,
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
        self.in_flight.lock().insert(place, request);
        place
    }

    /// Moves a request to those that have ended.
    pub fn end(&self, place: u64, status: u16, took: Duration, problem: Option<&'static str>) {
        let Some(request) = self.in_flight.lock().remove(&place) else { return };
        let mut all = self.ended.lock();
        let oldest = if all.len() == MAX_ENDED { all.pop_front() } else { None };
        all.push_back(EndedRequest { request, status, took, problem });
        drop(all);
        // Its memory is given back when nobody waits for the lock.
        drop(oldest);
    }

    /// Those at work, oldest first.
    pub fn in_flight(&self) -> Vec<Arc<InFlightRequest>> {
        self.in_flight.lock().values().cloned().collect()
    }

    /// Those that ended, newest first.
    pub fn ended(&self) -> Vec<EndedRequest> {
        self.ended.lock().iter().rev().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_requests_are_kept_and_no_more() {
        let requests = Requests::default();
        let begin = |number: usize| {
            let method = Method::GET;
            let request =
                InFlightRequest::new(number.to_string(), method, Route::default(), Instant::now());
            requests.begin(Arc::new(request))
        };
        let places: Vec<_> = (0..MAX_ENDED + 2).map(begin).collect();
        let ids = |in_flight: Vec<Arc<InFlightRequest>>| -> Vec<_> {
            in_flight.iter().map(|request| request.id.clone()).take(2).collect()
        };
        assert_eq!(ids(requests.in_flight()), ["0", "1"]);
        for place in places {
            requests.end(place, 200, Duration::from_millis(1), None);
        }
        assert!(requests.in_flight().is_empty());
        let ended: Vec<_> = requests.ended().into_iter().map(|ended| ended.request).collect();
        assert_eq!(ended.len(), MAX_ENDED);
        assert_eq!(ids(ended), [(MAX_ENDED + 1).to_string(), MAX_ENDED.to_string()]);
    }
}
