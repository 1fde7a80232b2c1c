//! `/admin/events`: one stream of server-sent events for all that a console shows.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::stream;
use http::Response;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::body::AdminBody;
use super::problem::AdminProblem;
use super::pulse::{Beat, Pulse};
use super::{Admin, Answered, event, event_stream};
use crate::keyring::Key;

/// After how long without news a comment is sent, so that a client that has gone
/// is found, and a proxy keeps the stream: most close one that is silent for a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// Someone who follows the events.
struct Listener {
    pulse: Arc<Pulse>,
    beats: watch::Receiver<Arc<Beat>>,
    key: Arc<Key>,
    /// What was sent last of each topic.
    last_sent: HashMap<&'static str, Bytes>,
    /// When the newest sample was taken that was sent.
    sampled: u64,
    /// When something was sent last; none before the first time.
    sent: Option<Instant>,
    ended: bool,
    _place: OwnedSemaphorePermit,
}

impl Admin {
    /// What is the case now, and from then on what has changed.
    pub(super) fn events(&self, key: Arc<Key>) -> Answered {
        let place = self.pulse.enter().ok_or_else(AdminProblem::too_many_listeners)?;
        let listener = Listener {
            pulse: Arc::clone(&self.pulse),
            beats: self.pulse.follow(),
            key,
            last_sent: HashMap::new(),
            sampled: 0,
            sent: None,
            ended: false,
            _place: place,
        };
        let events = stream::unfold(listener, Listener::next);
        let response: Response<AdminBody> = event_stream(events);
        Ok(response)
    }
}

impl Listener {
    /// The next piece of the stream, when there is something to send.
    async fn next(mut self) -> Option<(Bytes, Self)> {
        if self.ended {
            return None;
        }
        loop {
            let beat = self.beat().await?;
            if self.pulse.services.draining() {
                return None;
            }
            if !self.pulse.services.keyring.still_lets_in(&self.key) {
                self.ended = true;
                let problem = AdminProblem::key_ended().json("", "/admin/events");
                return Some((event("error", &problem.to_string()), self));
            }
            let mut news = self.news(&beat);
            if news.is_empty() && self.sent.is_some_and(|sent| sent.elapsed() > KEEP_ALIVE) {
                news = Bytes::from_static(b":\n\n");
            }
            if !news.is_empty() {
                self.sent = Some(Instant::now());
                return Some((news, self));
            }
        }
    }

    /// The first look is the listener's own, the others are everybody's.
    async fn beat(&mut self) -> Option<Arc<Beat>> {
        if self.sent.is_none() {
            return Some(self.pulse.look().await);
        }
        self.beats.changed().await.ok()?;
        Some(Arc::clone(&self.beats.borrow_and_update()))
    }

    /// What of this look has not been sent.
    fn news(&mut self, beat: &Beat) -> Bytes {
        let mut out = Vec::new();
        let samples = self.pulse.samples_after(self.sampled);
        if let Some(newest) = samples.last() {
            self.sampled = newest.at;
            out.extend(event("samples", &serde_json::json!({"samples": samples}).to_string()));
        }
        for (topic, data) in &beat.topics {
            if self.last_sent.get(topic) != Some(data) {
                out.extend(event(topic, &String::from_utf8_lossy(data)));
                self.last_sent.insert(*topic, data.clone());
            }
        }
        out.into()
    }
}
