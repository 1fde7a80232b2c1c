#![allow(clippy::unwrap_used)]

use proptest::prelude::*;
use ragtime_store::{Settings, Store};

use super::super::budgets::Budgets;
use super::*;

/// What an admin does. Numbers name keys: of the admin who does it, and of the
/// one it is done to.
#[derive(Debug, Clone)]
enum Act {
    Update(usize, usize, Option<Scopes>, Option<u64>),
    Revoke(usize, usize),
    Rotate(usize, usize),
    Abandon(usize, usize),
}

fn act(keys: usize) -> impl Strategy<Value = Act> {
    let scopes = prop::option::of(prop::sample::select(vec!["read", "admin", "read write admin"]));
    let scopes = scopes.prop_map(|words| words.map(|words| words.parse().unwrap()));
    let expiry = prop::option::of(prop::sample::select(vec![1, u64::MAX / 4]));
    prop_oneof![
        (0..keys, 0..keys, scopes, expiry).prop_map(|(a, b, s, e)| Act::Update(a, b, s, e)),
        (0..keys, 0..keys).prop_map(|(a, b)| Act::Revoke(a, b)),
        (0..keys, 0..keys).prop_map(|(a, b)| Act::Rotate(a, b)),
        (0..keys, 0..keys).prop_map(|(a, b)| Act::Abandon(a, b)),
    ]
}

fn new_key(name: &str) -> NewKey {
    NewKey {
        name: name.into(),
        scopes: Scope::ALL.into_iter().collect(),
        collections: None,
        expires_at: None,
        limits: Limits { rate_per_minute: 60, burst: 60 },
    }
}

/// Whether the change reported the key as gone.
async fn run(keyring: &Keyring, ids: &[KeyId], act: Act) -> Option<KeyId> {
    let actor = |one: usize| Actor::Key(ids[one].clone());
    match act {
        Act::Update(maker, one, scopes, expires_at) => {
            let change = Change { scopes, expires_at, ..Change::default() };
            let _ = keyring.update(actor(maker), ids[one].as_str(), change).await;
            None
        }
        Act::Revoke(maker, one) => {
            let revoked = keyring.revoke(actor(maker), ids[one].as_str()).await;
            revoked.is_ok().then(|| ids[one].clone())
        }
        Act::Rotate(maker, one) => {
            let _ = keyring.rotate(actor(maker), ids[one].as_str(), 3_600).await;
            None
        }
        // A client that goes away while its request is at work.
        Act::Abandon(maker, one) => {
            let revoke = keyring.revoke(actor(maker), ids[one].as_str());
            let _ = tokio::time::timeout(std::time::Duration::ZERO, revoke).await;
            None
        }
    }
}

/// What is in memory, to be compared with what is in the store.
fn records(keyring: &Keyring) -> Vec<KeyRecord> {
    let mut records: Vec<_> = keyring.all().iter().map(|key| key.record.clone()).collect();
    records.sort_by(|a, b| a.id.cmp(&b.id));
    records
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_between_no_key_comes_back_and_an_unlimited_admin_stays(
        acts in prop::collection::vec(act(4), 2..24),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = Store::open(folder.path(), Settings::default()).unwrap();
            let keyring = Arc::new(Keyring::open(store.clone(), Budgets::own()).unwrap());
            let mut ids = Vec::new();
            for name in ["a", "b", "c", "d"] {
                let (key, _) = keyring.issue(Actor::Operator, new_key(name)).await.unwrap();
                ids.push(key.record.id.clone());
            }
            let tasks: Vec<_> = acts
                .into_iter()
                .map(|act| {
                    let (keyring, ids) = (Arc::clone(&keyring), ids.clone());
                    tokio::spawn(async move { run(&keyring, &ids, act).await })
                })
                .collect();
            let mut revoked = Vec::new();
            for task in tasks {
                revoked.extend(task.await.unwrap());
            }
            // What was abandoned is done before this, since changes queue.
            let last = keyring.update(Actor::Operator, "000000000000", Change::default()).await;
            assert!(matches!(last, Err(KeyringError::Unknown)));
            let kept = records(&keyring);
            assert!(kept.iter().any(KeyRecord::is_unlimited), "{kept:?}");
            for id in &revoked {
                assert!(kept.iter().all(|record| record.id != *id), "{id} came back");
            }
            let again = Keyring::open(store.clone(), Budgets::own()).unwrap();
            assert_eq!(records(&again), kept, "memory is not what a restart finds");
            store.close().await;
        });
    }
}

#[tokio::test]
async fn a_key_grants_no_more_than_it_has_and_not_once_it_has_ended() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Settings::default()).unwrap();
    let keyring = Keyring::open(store, Budgets::own()).unwrap();
    let (first, _) = keyring.issue(Actor::Operator, new_key("first")).await.unwrap();
    let small = NewKey { scopes: "read admin".parse().unwrap(), ..new_key("small") };
    let small = NewKey { expires_at: Some(ragtime_policy::clock::unix_now() + 3_600), ..small };
    let first = Actor::Key(first.record.id.clone());
    let (small, _) = keyring.issue(first.clone(), small).await.unwrap();
    let actor = Actor::Key(small.record.id.clone());
    let wider = keyring.issue(actor.clone(), new_key("wider")).await;
    assert!(matches!(wider, Err(KeyringError::Refused(_))));
    let id = small.record.id.to_string();
    let wider = Change { scopes: Some(Scope::ALL.into_iter().collect()), ..Change::default() };
    let wider = keyring.update(actor.clone(), &id, wider).await;
    assert!(matches!(wider, Err(KeyringError::Refused(_))));
    let Actor::Key(other) = &first else { unreachable!() };
    let rotated = keyring.rotate(actor.clone(), other.as_str(), 0).await;
    assert!(matches!(rotated, Err(KeyringError::Refused(_))));
    keyring.revoke(first.clone(), &id).await.unwrap();
    let gone = keyring.revoke(actor, other.as_str()).await;
    assert!(matches!(gone, Err(KeyringError::NotAdmin)));
}

#[tokio::test]
async fn a_change_of_a_key_refills_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), Settings::default()).unwrap();
    let keyring = Keyring::open(store, Budgets::own()).unwrap();
    let (key, _) = keyring.issue(Actor::Operator, new_key("one")).await.unwrap();
    keyring.admit(&key, 60).await;
    let slot = key.enter(1).unwrap();
    let id = key.record.id.to_string();
    let renamed = Change { name: Some("two".into()), ..Change::default() };
    let key = keyring.update(Actor::Operator, &id, renamed).await.unwrap();
    assert!(keyring.quota(&key).await.remaining <= 1);
    assert!(key.enter(1).is_none(), "a request of before is still at work");
    drop(slot);
    assert!(key.enter(1).is_some());
}
