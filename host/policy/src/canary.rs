//! Whether a handler on trial does as well as the one it is to replace.

use std::time::Duration;

/// What the requests of one side of a trial came to.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Tally {
    /// Requests that have ended.
    pub requests: u64,
    /// Those that the handler failed: a trap, a deadline, a status of 500 or
    /// more, a response that broke off.
    pub errors: u64,
    /// 95 % of responses began within this time.
    pub p95: Duration,
}

impl Tally {
    /// The share of requests that failed, 0 to 1.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { self.errors as f64 / self.requests as f64 }
    }
}

/// What is asked of a candidate, with the active handler as the yardstick.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Requests below which a trial says nothing.
    pub min_requests: u64,
    /// How much the error rate may rise, 0 to 1.
    pub max_error_increase: f64,
    /// How many times as long the 95th percentile of latency may be.
    pub max_latency_ratio: f64,
    /// A 95th percentile up to this is never too long: below it the ratio of
    /// two is noise.
    pub latency_floor: Duration,
}

/// Why a candidate did not do well enough.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum Shortfall {
    /// It failed too often.
    #[error("{candidate:.1}% of its requests failed; {active:.1}% of the active handler's did")]
    Errors {
        /// In percent.
        candidate: f64,
        /// In percent.
        active: f64,
    },
    /// It took too long.
    #[error(
        "95% of its responses began within {candidate:?}; of the active handler's within {active:?}"
    )]
    Latency {
        /// Of the candidate.
        candidate: Duration,
        /// Of the active handler.
        active: Duration,
    },
    /// It had too few requests to decide.
    #[error("{requests} requests came in that time, and it takes {needed} to tell")]
    TooFew {
        /// That came.
        requests: u64,
        /// That it takes.
        needed: u64,
    },
}

impl Rules {
    /// What is wrong with the candidate as far as can be known in the middle of
    /// a trial. A single failure is an accident.
    pub fn interim(&self, active: &Tally, candidate: &Tally) -> Option<Shortfall> {
        if candidate.requests < self.min_requests {
            return None;
        }
        let (rate, yardstick) = (candidate.error_rate(), active.error_rate());
        if candidate.errors > 1 && rate > yardstick + self.max_error_increase {
            return Some(Shortfall::Errors { candidate: rate * 100.0, active: yardstick * 100.0 });
        }
        let allowed = active.p95.mul_f64(self.max_latency_ratio).max(self.latency_floor);
        if active.requests >= self.min_requests && candidate.p95 > allowed {
            return Some(Shortfall::Latency { candidate: candidate.p95, active: active.p95 });
        }
        None
    }

    /// What is wrong with the candidate at the end of a trial. A trial of
    /// too few requests to judge by is not passed.
    pub fn verdict(&self, active: &Tally, candidate: &Tally) -> Result<(), Shortfall> {
        if candidate.requests < self.min_requests {
            let (requests, needed) = (candidate.requests, self.min_requests);
            return Err(Shortfall::TooFew { requests, needed });
        }
        self.interim(active, candidate).map_or(Ok(()), Err)
    }
}

/// Picks `percent` of a sequence, spread as evenly as whole numbers allow:
/// whether the item of this number, from 0, is one of them.
pub fn is_chosen(number: u64, percent: u8) -> bool {
    let percent = u64::from(percent.min(100));
    let in_hundred = number % 100;
    (in_hundred + 1) * percent / 100 > in_hundred * percent / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        min_requests: 20,
        max_error_increase: 0.01,
        max_latency_ratio: 2.0,
        latency_floor: Duration::from_millis(20),
    };

    fn tally(requests: u64, errors: u64, p95_ms: u64) -> Tally {
        Tally { requests, errors, p95: Duration::from_millis(p95_ms) }
    }

    #[test]
    fn as_good_as_the_active_one_is_good_enough() {
        assert_eq!(RULES.verdict(&tally(1000, 50, 100), &tally(100, 5, 199)), Ok(()));
    }

    #[test]
    fn too_many_failures_end_a_trial_before_its_time() {
        let shortfall = RULES.interim(&tally(1000, 0, 10), &tally(20, 2, 10));
        assert!(matches!(shortfall, Some(Shortfall::Errors { .. })), "{shortfall:?}");
        assert_eq!(RULES.interim(&tally(1000, 0, 10), &tally(20, 1, 10)), None);
        assert_eq!(RULES.interim(&tally(1000, 0, 10), &tally(19, 19, 10)), None);
    }

    #[test]
    fn slowness_is_measured_by_the_active_one_and_noise_is_none() {
        assert!(RULES.interim(&tally(100, 0, 50), &tally(100, 0, 101)).is_some());
        assert_eq!(RULES.interim(&tally(100, 0, 1), &tally(100, 0, 19)), None);
        // Nothing to measure by.
        assert_eq!(RULES.interim(&tally(3, 0, 1), &tally(100, 0, 500)), None);
    }

    #[test]
    fn a_trial_without_traffic_is_not_passed() {
        let verdict = RULES.verdict(&tally(0, 0, 0), &tally(3, 0, 0));
        assert_eq!(verdict, Err(Shortfall::TooFew { requests: 3, needed: 20 }));
    }

    #[test]
    fn a_share_is_exact_in_each_hundred_and_even_within() {
        for percent in 0..=100 {
            let chosen: Vec<u64> = (0..100).filter(|n| is_chosen(*n, percent)).collect();
            assert_eq!(chosen.len(), usize::from(percent));
        }
        let tenth: Vec<u64> = (0..40).filter(|n| is_chosen(*n, 10)).collect();
        assert_eq!(tenth, [9, 19, 29, 39]);
    }
}
