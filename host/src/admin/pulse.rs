//! What the console shows as it changes: looked at once for all who listen, and
//! not at all while nobody does. The samples for the charts are taken always.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use super::{guest, observe};
use crate::blocking::blocking;
use crate::config;
use crate::readiness;
use crate::services::Services;
use crate::swap::Swaps;
use crate::telemetry::{Sample, Samples};
use ragtime_policy::clock::since_epoch;

/// Jobs that are reported, newest first: what an operator can follow by eye. The
/// others are a page of `GET /v1/jobs`.
const JOBS: usize = 20;

/// Ended requests that are reported, newest first. `GET /admin/requests` has more.
const ENDED: usize = 50;

/// Collections being rechunked that are reported: a page of the console shows one.
const RECHUNKING: usize = 100;

/// The shortest pause between two looks, whatever the settings say: a look costs a
/// read of the database.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// A look at the server.
#[derive(Default)]
pub struct Beat {
    /// The name of an event and its data, as JSON.
    pub topics: Vec<(&'static str, Bytes)>,
}

/// Looks, keeps samples, and bounds who listens.
pub struct Pulse {
    pub(super) services: Arc<Services>,
    swaps: Arc<Swaps>,
    samples: Samples,
    beats: watch::Sender<Arc<Beat>>,
    places: Arc<Semaphore>,
    sample_every: Duration,
    look_every: Duration,
}

impl Pulse {
    /// By the settings of the admin listener. It is [`Self::run`] that begins to look.
    pub fn new(services: Arc<Services>, swaps: Arc<Swaps>, settings: &config::Admin) -> Arc<Self> {
        let pause = |ms| Duration::from_millis(ms).max(SHORTEST_PAUSE);
        Arc::new(Self {
            services,
            swaps,
            samples: Samples::new(settings.max_samples),
            beats: watch::Sender::default(),
            places: Arc::new(Semaphore::new(settings.max_event_listeners)),
            sample_every: pause(settings.sample_interval_ms),
            look_every: pause(settings.event_interval_ms),
        })
    }

    /// Runs until the server goes away; then all who listen are woken to end.
    pub async fn run(self: Arc<Self>) {
        let mut samples = interval(self.sample_every);
        let mut looks = interval(self.look_every);
        for ticks in [&mut samples, &mut looks] {
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        }
        let mut sampled = Instant::now();
        while !self.services.draining() {
            tokio::select! {
                _ = samples.tick() => {
                    self.sample(sampled.elapsed()).await;
                    sampled = Instant::now();
                }
                _ = looks.tick() => {
                    if self.beats.receiver_count() > 0 {
                        self.beats.send_replace(self.look().await);
                    }
                }
            }
        }
        self.beats.send_replace(Arc::default());
    }

    /// A place among those who listen.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// The looks from now on.
    pub fn follow(&self) -> watch::Receiver<Arc<Beat>> {
        self.beats.subscribe()
    }

    /// The samples that were taken after this time, in milliseconds since the Unix
    /// epoch; oldest first.
    pub fn samples_after(&self, at: u64) -> Vec<Sample> {
        let mut samples = self.samples.all();
        samples.retain(|sample| sample.at > at);
        samples
    }

    async fn sample(&self, window: Duration) {
        let store = self.services.store.clone();
        let status = blocking(move || store.status()).await;
        // The store panicked, which is logged elsewhere; a chart can miss a point.
        let Ok(status) = status else { return };
        let now = since_epoch();
        let at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let telemetry = &self.services.telemetry;
        self.samples.add(telemetry.sample(at, window.as_secs_f64(), status.index_lag));
    }

    /// Looks at the server now.
    pub async fn look(&self) -> Arc<Beat> {
        let (services, swaps) = (Arc::clone(&self.services), Arc::clone(&self.swaps));
        let looked = blocking(move || beat(&services, &swaps)).await;
        Arc::new(looked.unwrap_or_default())
    }
}

fn beat(services: &Services, swaps: &Swaps) -> Beat {
    let topic = |name, data: Value| (name, Bytes::from(data.to_string()));
    Beat {
        topics: vec![
            topic("readiness", json!({"parts": readiness::parts(services)})),
            topic("guest", guest::overview(swaps)),
            topic("trial", swaps.on_trial().unwrap_or_default()),
            topic("requests", observe::requests(&services.telemetry.requests, ENDED)),
            topic("jobs", json!({"jobs": jobs(services)})),
            topic("rechunking", json!({"collections": rechunking(services)})),
        ],
    }
}

/// Collections with documents that are still to be rechunked, the first of them.
fn rechunking(services: &Services) -> Vec<String> {
    let mut names = services.store.stale_collections().unwrap_or_default();
    names.truncate(RECHUNKING);
    names
}

fn jobs(services: &Services) -> Vec<Value> {
    let (jobs, _) = services.store.jobs(None, None, JOBS).unwrap_or_default();
    jobs.iter()
        .map(|job| {
            json!({
                "job_id": job.id, "collection": job.collection, "received": job.received,
                "indexed": job.indexed, "pending": job.pending,
                "failed_count": job.received.saturating_sub(job.indexed + job.pending),
                "created_at": observe::rfc3339(job.created_at),
            })
        })
        .collect()
}
