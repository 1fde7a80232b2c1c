//! The token bucket, in exact integers.

use std::time::Duration;

/// Units regained per minute by a key that does not say otherwise: a hundred
/// searches a second, more than a person and most programs ask for.
pub const DEFAULT_RATE_PER_MINUTE: u32 = 6_000;

/// Units spent at once by a key that does not say otherwise: six seconds of
/// its rate, so that a program that starts up is not refused.
pub const DEFAULT_BURST: u32 = 600;

/// The least burst of a key: what an answer costs, the dearest request there is.
/// A bucket that never holds as much would never pay for one.
pub const LEAST_BURST: u32 = 4;

/// One unit in the bucket's own: a rate of 1 per minute adds exactly
/// 1 of these per nanosecond.
const PER_UNIT: u128 = 60_000_000_000;

/// How fast a bucket fills and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Units per minute; at least 1. A rate of 0 refills nothing, and the
    /// waits that are returned are those of a rate of 1.
    pub rate_per_minute: u32,
    /// Units when full.
    pub burst: u32,
}

/// A budget as draft-ietf-httpapi-ratelimit-headers-11 states it. The window
/// is the time in which an empty bucket fills, so `limit / window_seconds` is
/// the sustained rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// `q`: units when full.
    pub limit: u32,
    /// `w`: seconds in which an empty bucket fills, rounded up.
    pub window_seconds: u32,
    /// `r`: whole units left.
    pub remaining: u32,
    /// `t`: seconds until full, rounded up.
    pub reset_seconds: u32,
}

/// The answer to a wish to spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The units are taken.
    Admitted(Quota),
    /// Nothing is taken; the same wish is met after `retry_after`.
    Exhausted {
        /// The budget as it stands.
        quota: Quota,
        /// How long to wait.
        retry_after: Duration,
    },
    /// Nothing is taken, and no waiting helps.
    CostAboveBurst(Quota),
}

/// A bucket that fills with time and is emptied by requests.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    limits: Limits,
    /// In [`PER_UNIT`]ths of a unit.
    level: u128,
    /// The latest time seen, since an epoch of the caller's choice.
    seen: Duration,
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(limits: Limits, now: Duration) -> Self {
        Self { limits, level: capacity(limits), seen: now }
    }

    /// A bucket that holds nothing at the start of time.
    pub fn empty(limits: Limits) -> Self {
        Self::at_level(limits, 0)
    }

    /// A bucket that holds `nanos` of its own unit at the start of time: one whose level is
    /// kept elsewhere.
    pub(crate) fn at_level(limits: Limits, nanos: u128) -> Self {
        Self { limits, level: nanos.min(capacity(limits)), seen: Duration::ZERO }
    }

    /// Goes on with other limits. What was spent stays spent, so that a change
    /// of limits is no way to fill the bucket.
    pub fn set_limits(&mut self, now: Duration, limits: Limits) {
        self.fill(now);
        let spent = capacity(self.limits).saturating_sub(self.level);
        self.level = capacity(limits).saturating_sub(spent);
        self.limits = limits;
    }

    /// Takes `cost` units, if they are there. A clock that goes back adds
    /// nothing and takes nothing.
    pub fn try_take(&mut self, now: Duration, cost: u32) -> Decision {
        self.fill(now);
        let price = u128::from(cost) * PER_UNIT;
        if price > capacity(self.limits) {
            return Decision::CostAboveBurst(self.state());
        }
        match self.level.checked_sub(price) {
            Some(rest) => {
                self.level = rest;
                Decision::Admitted(self.state())
            }
            None => Decision::Exhausted {
                quota: self.state(),
                retry_after: Duration::from_nanos(saturate(self.nanos_to_gain(price - self.level))),
            },
        }
    }

    /// The budget at `now`.
    pub fn quota(&mut self, now: Duration) -> Quota {
        self.fill(now);
        self.state()
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = now.saturating_sub(self.seen).as_nanos();
        self.seen = self.seen.max(now);
        let gained = elapsed.saturating_mul(u128::from(self.limits.rate_per_minute));
        self.level = self.level.saturating_add(gained).min(capacity(self.limits));
    }

    fn state(&self) -> Quota {
        let full = capacity(self.limits);
        Quota {
            limit: self.limits.burst,
            window_seconds: self.seconds_to_gain(full).max(1),
            remaining: u32::try_from(self.level / PER_UNIT).unwrap_or(u32::MAX),
            reset_seconds: self.seconds_to_gain(full - self.level),
        }
    }

    fn nanos_to_gain(&self, amount: u128) -> u128 {
        amount.div_ceil(u128::from(self.limits.rate_per_minute.max(1)))
    }

    fn seconds_to_gain(&self, amount: u128) -> u32 {
        u32::try_from(self.nanos_to_gain(amount).div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
    }
}

fn capacity(limits: Limits) -> u128 {
    u128::from(limits.burst) * PER_UNIT
}

fn saturate(nanos: u128) -> u64 {
    u64::try_from(nanos).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use governor::{Quota as GovernorQuota, RateLimiter};
    use proptest::prelude::*;
    use std::num::NonZeroU32;

    const LIMITS: Limits = Limits { rate_per_minute: 60, burst: 60 };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    #[test]
    fn the_example_of_the_contract_holds() {
        let mut bucket = TokenBucket::new(LIMITS, seconds(0));
        let quota = Quota { limit: 60, window_seconds: 60, remaining: 59, reset_seconds: 1 };
        assert_eq!(bucket.try_take(seconds(0), 1), Decision::Admitted(quota));
    }

    #[test]
    fn waiting_as_told_is_enough_and_no_less_is() {
        let mut bucket = TokenBucket::new(LIMITS, seconds(0));
        bucket.try_take(seconds(0), 60);
        let Decision::Exhausted { retry_after, .. } = bucket.try_take(seconds(0), 7) else {
            panic!()
        };
        assert_eq!(retry_after, seconds(7));
        let early = retry_after - Duration::from_nanos(1);
        assert!(matches!(bucket.clone().try_take(early, 7), Decision::Exhausted { .. }));
        assert!(matches!(bucket.try_take(retry_after, 7), Decision::Admitted(_)));
    }

    #[test]
    fn other_limits_give_no_more_than_the_difference() {
        let mut bucket = TokenBucket::new(LIMITS, seconds(0));
        bucket.try_take(seconds(0), 60);
        bucket.set_limits(seconds(0), LIMITS);
        assert_eq!(bucket.quota(seconds(0)).remaining, 0);
        bucket.set_limits(seconds(0), Limits { rate_per_minute: 60, burst: 100 });
        assert_eq!(bucket.quota(seconds(0)).remaining, 40);
        bucket.set_limits(seconds(0), Limits { rate_per_minute: 60, burst: 50 });
        assert_eq!(bucket.quota(seconds(0)).remaining, 0);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing() {
        let mut bucket = TokenBucket::new(LIMITS, seconds(100));
        bucket.try_take(seconds(100), 60);
        assert_eq!(bucket.quota(seconds(0)).remaining, 0);
        assert_eq!(bucket.quota(seconds(101)).remaining, 1);
    }

    #[test]
    fn a_cost_above_the_burst_is_never_met() {
        let mut bucket = TokenBucket::new(LIMITS, seconds(0));
        assert!(matches!(bucket.try_take(seconds(1_000), 61), Decision::CostAboveBurst(_)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn no_window_admits_more_than_burst_and_rate(
            rate in 1_u32..10_000, burst in 1_u32..1_000,
            steps in prop::collection::vec((0_u64..5_000_000_000, 1_u32..50), 1..100),
        ) {
            let mut bucket = TokenBucket::new(Limits { rate_per_minute: rate, burst }, Duration::ZERO);
            let (mut now, mut taken) = (0_u128, 0_u128);
            for (gap, cost) in steps {
                now += u128::from(gap);
                if let Decision::Admitted(_) = bucket.try_take(Duration::from_nanos(now as u64), cost) {
                    taken += u128::from(cost);
                }
                prop_assert!(taken * PER_UNIT <= u128::from(burst) * PER_UNIT + now * u128::from(rate));
            }
        }

        /// Time counts once, at its furthest: going back and forth over the same
        /// seconds refills nothing more. Far more is asked for than they refill.
        #[test]
        fn a_clock_that_jumps_gives_no_more_than_its_furthest_point(
            rate in 1_u32..600, burst in 1_u32..20,
            steps in prop::collection::vec((0_u64..2_000_000_000, 1_u32..5), 1..200),
        ) {
            let mut bucket = TokenBucket::new(Limits { rate_per_minute: rate, burst }, Duration::ZERO);
            let (mut furthest, mut taken) = (0_u128, 0_u128);
            for (now, cost) in steps {
                furthest = furthest.max(u128::from(now));
                if let Decision::Admitted(quota) = bucket.try_take(Duration::from_nanos(now), cost) {
                    taken += u128::from(cost);
                    prop_assert!(quota.remaining <= burst);
                }
                let refilled = furthest * u128::from(rate);
                prop_assert!(taken * PER_UNIT <= u128::from(burst) * PER_UNIT + refilled);
            }
        }

        /// The same limit in another formula: the generic cell rate algorithm
        /// (ITU-T I.371) keeps the time at which the bucket would be full, here
        /// in nanoseconds times rate, so that it is exact.
        #[test]
        fn decisions_and_waits_agree_with_the_cell_rate_algorithm(
            rate in 1_u32..10_000, burst in 1_u32..1_000,
            steps in prop::collection::vec((0_u64..5_000_000_000, 0_u32..200), 1..100),
        ) {
            let mut bucket = TokenBucket::new(Limits { rate_per_minute: rate, burst }, Duration::ZERO);
            let (rate, tolerance) = (u128::from(rate), u128::from(burst) * PER_UNIT);
            let (mut now, mut full_at) = (0_u128, 0_u128);
            for (gap, cost) in steps {
                now += u128::from(gap);
                let after = full_at.max(now * rate) + u128::from(cost) * PER_UNIT;
                match bucket.try_take(Duration::from_nanos(now as u64), cost) {
                    Decision::Admitted(quota) => {
                        prop_assert!(after <= now * rate + tolerance);
                        full_at = after;
                        let left = now * rate + tolerance - after;
                        prop_assert_eq!(u128::from(quota.remaining), left / PER_UNIT);
                    }
                    Decision::Exhausted { retry_after, .. } => {
                        prop_assert!(after > now * rate + tolerance);
                        prop_assert_eq!(retry_after.as_nanos(), (after - tolerance - now * rate).div_ceil(rate));
                    }
                    Decision::CostAboveBurst(_) => prop_assert!(cost > burst),
                }
            }
        }

        /// `governor` is a well-known GCRA; with whole seconds between units the
        /// two must agree on every request.
        #[test]
        fn decisions_agree_with_governor(
            burst in 1_u32..50,
            steps in prop::collection::vec((0_u64..4_000, 1_u32..8), 1..200),
        ) {
            let clock = FakeRelativeClock::default();
            let quota = GovernorQuota::per_second(NonZeroU32::new(1).unwrap())
                .allow_burst(NonZeroU32::new(burst).unwrap());
            let oracle = RateLimiter::direct_with_clock(quota, clock.clone());
            let mut bucket = TokenBucket::new(Limits { rate_per_minute: 60, burst }, Duration::ZERO);
            let mut now = Duration::ZERO;
            for (gap, cost) in steps {
                now += Duration::from_millis(gap);
                clock.advance(Duration::from_millis(gap));
                let expected = matches!(oracle.check_n(NonZeroU32::new(cost).unwrap()), Ok(Ok(())));
                let admitted = matches!(bucket.try_take(now, cost), Decision::Admitted(_));
                prop_assert_eq!(admitted, expected);
            }
        }
    }
}
