//! The last hour of the server in points of equal distance, for charts.

use std::collections::VecDeque;

use parking_lot::Mutex;
use serde::Serialize;

use super::window::Taken;

/// A point of the charts: what happened in the seconds before it, and how the
/// server was at its end.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Sample {
    /// When, in milliseconds since the Unix epoch.
    pub at: u64,
    /// How long the window was, in seconds.
    pub seconds: f64,
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that were answered with 4xx.
    pub client_errors: u64,
    /// Those of them that were answered with 5xx.
    pub server_errors: u64,
    /// Half of them took no longer, in milliseconds.
    pub p50_ms: Option<f64>,
    /// 95 % took no longer.
    pub p95_ms: Option<f64>,
    /// 99 % took no longer.
    pub p99_ms: Option<f64>,
    /// Tokens that generators read.
    pub input_tokens: u64,
    /// Tokens that they wrote.
    pub output_tokens: u64,
    /// Chunks on disk that search does not find yet.
    pub index_lag_chunks: u64,
    /// Requests at work.
    pub in_flight: u64,
    /// Resident memory.
    pub memory_bytes: u64,
}

/// How the server is at the end of a window.
#[derive(Debug, Clone, Copy, Default)]
pub struct Now {
    /// In milliseconds since the Unix epoch.
    pub at: u64,
    /// Chunks on disk that search does not find yet.
    pub index_lag_chunks: u64,
    /// Requests at work.
    pub in_flight: u64,
    /// Resident memory.
    pub memory_bytes: u64,
}

impl Sample {
    /// Of a window of so many seconds that ends now.
    pub fn new(now: Now, seconds: f64, taken: Taken) -> Self {
        Self {
            at: now.at,
            seconds,
            requests: taken.requests,
            client_errors: taken.client_errors,
            server_errors: taken.server_errors,
            p50_ms: taken.p50_ms,
            p95_ms: taken.p95_ms,
            p99_ms: taken.p99_ms,
            input_tokens: taken.input_tokens,
            output_tokens: taken.output_tokens,
            index_lag_chunks: now.index_lag_chunks,
            in_flight: now.in_flight,
            memory_bytes: now.memory_bytes,
        }
    }
}

/// The newest samples, up to a number.
pub struct Samples {
    most: usize,
    kept: Mutex<VecDeque<Sample>>,
}

impl Samples {
    /// Keeps `most` samples at most; one takes 120 bytes.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), kept: Mutex::default() }
    }

    /// Adds one; the oldest gives way.
    pub fn add(&self, sample: Sample) {
        let mut kept = self.kept.lock();
        while kept.len() >= self.most {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// All of them, oldest first.
    pub fn all(&self) -> Vec<Sample> {
        self.kept.lock().iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_sample_gives_way() {
        let samples = Samples::new(3);
        for at in 0..10 {
            samples.add(Sample::new(Now { at, ..Now::default() }, 5.0, Taken::default()));
        }
        let at: Vec<_> = samples.all().iter().map(|sample| sample.at).collect();
        assert_eq!(at, [7, 8, 9]);
    }
}
