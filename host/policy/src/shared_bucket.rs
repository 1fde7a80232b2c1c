//! The token bucket of [`bucket`](crate::bucket) as a script of Redis or Valkey, so that
//! many hosts take from one.
//!
//! The script decides by its server's clock and answers with the level; what the
//! client gets to know of it is computed here, by the code of the bucket itself.

use std::time::Duration;

use crate::bucket::{Decision, Limits, TokenBucket};

/// The script. Its own head says what it takes and answers.
pub const SCRIPT: &str = include_str!("shared_bucket.lua");

/// The largest burst that the script counts exactly: a full bucket in its unit, a
/// sixty-millionth of a unit of a budget, stays below 2^53, up to which doubles hold every
/// whole number.
pub const MAX_BURST: u32 = 150_119_987;

/// One of the script's unit in that of the bucket.
const NANOS_PER_MICRO: u128 = 1_000;

/// What the script's answer means for who wanted `cost` units: whether they were `taken`,
/// and the `level` then.
pub fn decision(limits: Limits, cost: u32, taken: bool, level: u64) -> Decision {
    let mut bucket = TokenBucket::at_level(limits, u128::from(level) * NANOS_PER_MICRO);
    match taken {
        true => Decision::Admitted(bucket.quota(Duration::ZERO)),
        false => bucket.try_take(Duration::ZERO, cost),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PER_UNIT: f64 = 60e6;

    /// The lines of the script that compute, in the doubles that Lua has.
    struct Script {
        kept: Option<[f64; 4]>,
    }

    impl Script {
        fn take(&mut self, now: f64, rate: f64, burst: f64, cost: f64) -> (bool, u64) {
            let full = burst * PER_UNIT;
            let (mut level, mut seen) = (full, now);
            if let Some([kept_level, kept_seen, kept_rate, kept_burst]) = self.kept {
                let kept_full = kept_burst * PER_UNIT;
                (level, seen) = (kept_level, kept_seen);
                if now > seen {
                    let gained = ((now - seen) * kept_rate).min(kept_full);
                    level = kept_full.min(level + gained);
                    seen = now;
                }
                if kept_rate != rate || kept_burst != burst {
                    level = (full - (kept_full - level)).max(0.0);
                }
            }
            let price = cost * PER_UNIT;
            let taken = price <= level;
            if taken {
                level -= price;
            }
            if self.kept.is_some() || (taken && cost > 0.0) {
                self.kept = Some([level, seen, rate, burst]);
            }
            (taken, level as u64)
        }
    }

    fn limits() -> impl Strategy<Value = Limits> {
        let burst = prop_oneof![1..500_u32, 1..=MAX_BURST];
        let rate = prop_oneof![0..10_000_u32, any::<u32>()];
        (rate, burst).prop_map(|(rate_per_minute, burst)| Limits { rate_per_minute, burst })
    }

    #[test]
    fn the_largest_burst_is_counted_exactly_and_no_larger_one() {
        let full = |burst: u32| u64::from(burst) * 60_000_000;
        assert!(full(MAX_BURST) < 1 << 53);
        assert!(full(MAX_BURST + 1) >= 1 << 53);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        /// The bucket in exact integers is the oracle: every answer and every wait of the
        /// script is the same, to the last nanosecond, whatever changes meanwhile.
        #[test]
        fn the_script_decides_as_the_bucket_does(
            first in limits(),
            steps in prop::collection::vec(
                (prop_oneof![0..5_000_000_u64, 0..40_000_000_000_u64], any::<bool>(), 0..200_u32,
                 prop::option::weighted(0.1, limits())),
                1..100,
            ),
        ) {
            let mut limits = first;
            // As many microseconds as there are since 1970.
            let mut now = 1_800_000_000_000_000_u64;
            let mut bucket = TokenBucket::new(limits, Duration::from_micros(now));
            let mut script = Script { kept: None };
            // A bucket that is not kept is full, whatever its server's clock says.
            bucket.try_take(Duration::from_micros(now), 1);
            script.take(now as f64, f64::from(limits.rate_per_minute), f64::from(limits.burst), 1.0);
            for (gap, back, cost, changed) in steps {
                now = if back { now - gap.min(1_000_000) } else { now + gap };
                let at = Duration::from_micros(now);
                if let Some(changed) = changed {
                    // The script hears of other limits at the next take.
                    bucket.set_limits(at, changed);
                    limits = changed;
                }
                let rate = f64::from(limits.rate_per_minute);
                let (taken, level) =
                    script.take(now as f64, rate, f64::from(limits.burst), f64::from(cost));
                let expected = bucket.try_take(at, cost);
                prop_assert_eq!(decision(limits, cost, taken, level), expected);
            }
        }
    }
}
