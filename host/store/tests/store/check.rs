//! What `ragtime check` and `ragtime backup` ask of the store.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_check_finds_what_differs_and_repair_makes_it_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "phoenix").await;
    put(&store, "b", "griffin").await;
    store.wait_searchable(2).await;
    assert!(matches!(ragtime_store::check(dir.path(), false), Err(OpenError::InUse)));
    close(store, dir.path()).await;
    let report = ragtime_store::check(dir.path(), false).unwrap();
    assert_eq!((report.documents, report.chunks), (2, 2));
    assert!(report.lost.is_empty() && report.differing.is_empty(), "{report:?}");
    let database = rusqlite::Connection::open(dir.path().join("ragtime.sqlite")).unwrap();
    // A chunk that the index has and the truth does not.
    database.execute("DELETE FROM chunks WHERE id = 1", []).unwrap();
    database.execute("UPDATE documents SET chunk_count = 0 WHERE id = 'a'", []).unwrap();
    drop(database);
    std::fs::create_dir_all(dir.path().join("index/77")).unwrap();
    let report = ragtime_store::check(dir.path(), true).unwrap();
    assert_eq!(report.differing.len(), 2, "{report:?}");
    assert!(report.differing[0].contains("1 are there that should not be"), "{report:?}");
    let store = open(dir.path());
    store.wait_searchable(2).await;
    assert_eq!(find(&store, "griffin"), ["b"]);
    assert!(find(&store, "phoenix").is_empty());
    close(store, dir.path()).await;
    let report = ragtime_store::check(dir.path(), false).unwrap();
    assert!(report.lost.is_empty() && report.differing.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_tells_damage_to_the_truth_from_damage_to_what_is_derived() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "phoenix").await;
    store.wait_searchable(1).await;
    close(store, dir.path()).await;
    let database = rusqlite::Connection::open(dir.path().join("ragtime.sqlite")).unwrap();
    database.execute("UPDATE documents SET text = 'pheonix'", []).unwrap();
    database.execute("INSERT INTO vectors VALUES (1, x'0000')", []).unwrap();
    drop(database);
    let report = ragtime_store::check(dir.path(), false).unwrap();
    assert!(report.lost[0].contains("not the one that was stored"), "{report:?}");
    assert!(report.differing[0].contains("vector"), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_made_while_the_store_is_at_work_comes_back_whole() {
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("copy.sqlite");
    let (old, new) = (dir.path().join("old"), dir.path().join("new"));
    let store = open(&old);
    put(&store, "a", "phoenix").await;
    assert_eq!(ragtime_store::backup(&old, &copy).unwrap(), 1);
    put(&store, "b", "griffin").await;
    assert!(ragtime_store::backup(&old, &copy).is_err(), "a copy is never written over");
    assert_eq!(ragtime_store::restore(&copy, &new, false).unwrap(), 1);
    assert!(matches!(ragtime_store::restore(&copy, &new, false), Err(OpenError::Exists)));
    assert!(matches!(ragtime_store::restore(&copy, &old, true), Err(OpenError::InUse)));
    close(store, &old).await;
    assert_eq!(ragtime_store::restore(&copy, &old, true).unwrap(), 1);
    for folder in [&old, &new] {
        let store = open_when_free(folder);
        store.wait_searchable(1).await;
        assert_eq!(find(&store, "phoenix griffin"), ["a"]);
    }
    std::fs::write(&copy, "SQLite format 3\0 and nothing else").unwrap();
    assert!(ragtime_store::restore(&copy, &new, true).is_err());
}
