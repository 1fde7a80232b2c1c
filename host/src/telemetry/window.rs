//! What happened since it was last asked: the counts behind one point of the
//! console's charts.

use std::time::Duration;

use hdrhistogram::Histogram;
use parking_lot::Mutex;

/// The longest duration that is distinguished; longer ones count as this one. The
/// longest answer that may stream takes less (`server.stream_timeout_ms`).
const MAX_MICROS: u64 = 600_000_000;

/// Two digits of a duration are kept. The histogram takes about 20 kB so.
const DIGITS: u8 = 2;

/// Counts that begin at zero again whenever they are taken.
pub struct Window(Mutex<Counts>);

/// What was counted in a window.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    client_errors: u64,
    server_errors: u64,
    input_tokens: u64,
    output_tokens: u64,
    /// From the head of a request to the end of its response, in microseconds.
    /// None until a request has ended.
    durations: Option<Histogram<u32>>,
}

/// What a window came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Taken {
    /// Requests that ended.
    pub requests: u64,
    /// Those of them that were answered with 4xx.
    pub client_errors: u64,
    /// Those of them that were answered with 5xx.
    pub server_errors: u64,
    /// Tokens that language models and generators read.
    pub input_tokens: u64,
    /// Tokens that they wrote.
    pub output_tokens: u64,
    /// Half of the requests took no longer, in milliseconds. None where there
    /// were no requests.
    pub p50_ms: Option<f64>,
    /// 95 % took no longer.
    pub p95_ms: Option<f64>,
    /// 99 % took no longer.
    pub p99_ms: Option<f64>,
}

impl Window {
    /// Nothing has happened yet.
    pub fn new() -> Self {
        Self(Mutex::new(Counts::default()))
    }

    /// A request has ended.
    pub fn request(&self, status: u16, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(MAX_MICROS).max(1);
        let mut counts = self.0.lock();
        counts.requests += 1;
        counts.client_errors += u64::from((400..500).contains(&status));
        counts.server_errors += u64::from((500..600).contains(&status));
        if counts.durations.is_none() {
            counts.durations = Histogram::new_with_max(MAX_MICROS, DIGITS).ok();
        }
        if let Some(durations) = counts.durations.as_mut() {
            durations.saturating_record(micros);
        }
    }

    /// A generator has read and written so many tokens.
    pub fn tokens(&self, input: u32, output: u32) {
        let mut counts = self.0.lock();
        counts.input_tokens += u64::from(input);
        counts.output_tokens += u64::from(output);
    }

    /// What was counted since the last call.
    pub fn take(&self) -> Taken {
        let counts = std::mem::take(&mut *self.0.lock());
        let durations = counts.durations.filter(|durations| !durations.is_empty());
        let quantile = |part| {
            let micros = durations.as_ref()?.value_at_quantile(part);
            Some(micros as f64 / 1e3)
        };
        Taken {
            requests: counts.requests,
            client_errors: counts.client_errors,
            server_errors: counts.server_errors,
            input_tokens: counts.input_tokens,
            output_tokens: counts.output_tokens,
            p50_ms: quantile(0.5),
            p95_ms: quantile(0.95),
            p99_ms: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_counts_what_ended_since_it_was_last_taken() {
        let window = Window::new();
        for (status, ms) in [(200, 10), (404, 10), (503, 1_000)] {
            window.request(status, Duration::from_millis(ms));
        }
        window.tokens(7, 3);
        let taken = window.take();
        assert_eq!((taken.requests, taken.client_errors, taken.server_errors), (3, 1, 1));
        assert_eq!((taken.input_tokens, taken.output_tokens), (7, 3));
        let near = |ms: Option<f64>, wanted: f64| {
            ms.is_some_and(|ms| (ms - wanted).abs() <= wanted * 0.01)
        };
        assert!(near(taken.p50_ms, 10.0) && near(taken.p99_ms, 1_000.0), "{taken:?}");
        assert_eq!(window.take(), Taken::default());
    }

    #[test]
    fn a_request_that_took_for_ever_counts_as_the_longest_there_is() {
        let window = Window::new();
        window.request(200, Duration::MAX);
        let longest = window.take().p50_ms;
        assert!(longest.is_some_and(|ms| ms >= MAX_MICROS as f64 / 1e3 * 0.99), "{longest:?}");
    }
}
