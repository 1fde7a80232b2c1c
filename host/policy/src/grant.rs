//! What one key may give another: never more than it has.

use std::collections::BTreeSet;

use crate::bucket::LEAST_BURST;
use crate::key_record::KeyRecord;
use crate::scope::Scope;

/// What a key would get that its maker does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Excess {
    /// A scope.
    #[error("the maker's key lacks the scope {0}")]
    Scope(Scope),
    /// Collections that the maker does not reach.
    #[error("the key would reach collections that its maker's key does not")]
    Collections,
    /// A longer life, in seconds since the Unix epoch.
    #[error("the key would outlive its maker's key, which ends at {0} (Unix time)")]
    Expiry(u64),
    /// A higher rate, in units per minute.
    #[error("rate_per_minute would be above that of the maker's key, {0}")]
    Rate(u32),
    /// A larger burst, in units.
    #[error("burst would be above that of the maker's key, {0}")]
    Burst(u32),
}

/// Why a key cannot be as it is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Whoever manages keys can make one for any collection, so that a limit to
    /// some of them would be none.
    #[error("a key with the scope admin cannot be limited to collections")]
    LimitedAdmin,
    /// The budget never pays for an answer.
    #[error("the burst is {0} and must be at least {LEAST_BURST}, which is what an answer costs")]
    Burst(u32),
    /// The budget never fills.
    #[error("the rate per minute must be at least 1, or what is spent never comes back")]
    Rate,
    /// Nobody grants more than they have.
    #[error(transparent)]
    Excess(#[from] Excess),
}

/// Whether `maker` may turn `was` into `is`, or make `is` where there was
/// nothing. What the key had already is not granted, so it may stay. Without a
/// maker it is the operator, who may grant anything.
///
/// # Errors
///
/// The first thing that is too much.
pub fn check(
    maker: Option<&KeyRecord>,
    was: Option<&KeyRecord>,
    is: &KeyRecord,
) -> Result<(), Refused> {
    if is.scopes.contains(Scope::Admin) && is.collections.is_some() {
        return Err(Refused::LimitedAdmin);
    }
    if is.burst < LEAST_BURST && was.is_none_or(|was| was.burst != is.burst) {
        return Err(Refused::Burst(is.burst));
    }
    if is.rate_per_minute == 0 && was.is_none_or(|was| was.rate_per_minute != 0) {
        return Err(Refused::Rate);
    }
    let Some(maker) = maker else { return Ok(()) };
    let had = |scope| was.is_some_and(|was| was.scopes.contains(scope));
    if let Some(scope) = is.scopes.iter().find(|scope| !had(*scope) && !maker.allows(*scope)) {
        return Err(Excess::Scope(scope).into());
    }
    let kept = was.is_some_and(|was| within(&is.collections, &was.collections));
    if !kept && !within(&is.collections, &maker.collections) {
        return Err(Excess::Collections.into());
    }
    let kept = was.is_some_and(|was| ends_by(is.expires_at, was.expires_at));
    if let Some(end) =
        maker.expires_at.filter(|_| !kept && !ends_by(is.expires_at, maker.expires_at))
    {
        return Err(Excess::Expiry(end).into());
    }
    if is.rate_per_minute > was.map_or(0, |was| was.rate_per_minute).max(maker.rate_per_minute) {
        return Err(Excess::Rate(maker.rate_per_minute).into());
    }
    if is.burst > was.map_or(0, |was| was.burst).max(maker.burst) {
        return Err(Excess::Burst(maker.burst).into());
    }
    Ok(())
}

/// Whether `inner` reaches no collection that `outer` does not; `None` is all
/// of them.
fn within(inner: &Option<BTreeSet<String>>, outer: &Option<BTreeSet<String>>) -> bool {
    match (inner, outer) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(inner), Some(outer)) => inner.is_subset(outer),
    }
}

/// Whether a life ends no later than another; `None` is never.
fn ends_by(end: Option<u64>, limit: Option<u64>) -> bool {
    match (end, limit) {
        (_, None) => true,
        (None, Some(_)) => false,
        (Some(end), Some(limit)) => end <= limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Credential;
    use proptest::prelude::*;

    prop_compose! {
        fn record()(
            scopes in prop::collection::vec(prop::sample::select(&Scope::ALL[..]), 1..4),
            collections in prop::option::of(prop::collection::btree_set("[a-c]", 1..3)),
            expires_at in prop::option::of(1_u64..4),
            rate_per_minute in 1_u32..4,
            burst in LEAST_BURST..LEAST_BURST + 3,
        ) -> KeyRecord {
            let credential = Credential::from_entropy([0; 9], [0; 32]);
            KeyRecord {
                id: credential.id().clone(),
                digest: credential.digest(),
                name: "test".into(),
                scopes: scopes.into_iter().collect(),
                collections,
                created_at: 0,
                expires_at,
                rate_per_minute,
                burst,
            }
        }
    }

    /// Every single thing that a key allows, in a world of few of them.
    fn powers(key: &KeyRecord) -> BTreeSet<String> {
        let mut powers = BTreeSet::new();
        for scope in Scope::ALL.into_iter().filter(|scope| key.allows(*scope)) {
            for collection in ["a", "b", "c"] {
                let reached = key.allows_collection(collection);
                for now in (0..5).filter(|now| reached && key.admits_at(*now).is_ok()) {
                    powers.insert(format!("{scope} {collection} at {now}"));
                }
            }
        }
        powers
    }

    proptest! {
        #[test]
        fn a_new_key_has_no_power_that_its_maker_lacks(maker in record(), is in record()) {
            if check(Some(&maker), None, &is).is_ok() {
                prop_assert!(powers(&is).is_subset(&powers(&maker)));
                prop_assert!(is.rate_per_minute <= maker.rate_per_minute);
                prop_assert!(is.burst <= maker.burst);
            }
        }

        #[test]
        fn a_key_may_always_become_less(maker in record(), was in record(), name: String) {
            prop_assume!(check(None, None, &was).is_ok());
            let is = KeyRecord { name, rate_per_minute: 1, burst: LEAST_BURST, ..was.clone() };
            prop_assert_eq!(check(Some(&maker), Some(&was), &is), Ok(()));
        }

        #[test]
        fn what_a_change_adds_the_maker_has(
            maker in record(), was in record(), is in record(),
        ) {
            if check(Some(&maker), Some(&was), &is).is_ok() {
                for scope in Scope::ALL {
                    prop_assert!(!is.allows(scope) || was.scopes.contains(scope) || maker.allows(scope));
                }
                for now in 0..5 {
                    let lives = |key: &KeyRecord| key.admits_at(now).is_ok();
                    prop_assert!(!lives(&is) || lives(&was) || lives(&maker));
                }
                prop_assert!(is.burst <= was.burst.max(maker.burst));
            }
        }

        #[test]
        fn no_key_is_made_that_can_never_answer(is in record(), burst in 0..LEAST_BURST) {
            prop_assume!(check(None, None, &is).is_ok());
            let short = KeyRecord { burst, ..is.clone() };
            prop_assert_eq!(check(None, None, &short), Err(Refused::Burst(burst)));
            prop_assert_eq!(check(None, Some(&is), &short), Err(Refused::Burst(burst)));
            // One of a time that took it may keep it.
            prop_assert_eq!(check(None, Some(&short), &short), Ok(()));
            let dry = KeyRecord { rate_per_minute: 0, ..is };
            prop_assert_eq!(check(None, None, &dry), Err(Refused::Rate));
        }

        #[test]
        fn nobody_makes_an_admin_that_is_limited_to_collections(
            maker in prop::option::of(record()), was in prop::option::of(record()), is in record(),
        ) {
            let limited = is.scopes.contains(Scope::Admin) && is.collections.is_some();
            let found = check(maker.as_ref(), was.as_ref(), &is);
            prop_assert_eq!(limited, found == Err(Refused::LimitedAdmin));
        }
    }
}
