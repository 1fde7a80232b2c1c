//! What is there after an end, an index that was lost, and a second process.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_survives_a_process_that_just_ends() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..50 {
        store
            .put(
                "default",
                document(&number.to_string(), &format!("common word{number}")),
                Condition::default(),
            )
            .await
            .unwrap();
    }
    store.delete_document("default", "7", Condition::default()).await.unwrap();
    // The folder as a kill would leave it: nothing closed, nothing flushed.
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir.path(), copy.path());
    let reopened = open(copy.path());
    reopened.wait_searchable(50).await;
    assert_eq!(reopened.collection("default").unwrap().documents, 49);
    for number in 0..50 {
        let expected = if number == 7 { vec![] } else { vec![number.to_string()] };
        assert_eq!(find(&reopened, &format!("word{number}")), expected);
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy_files(&entry.path(), &target);
        } else {
            // The indexer may be replacing a file just now.
            let _ = std::fs::copy(entry.path(), target);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_lost_or_damaged_is_built_anew() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "phoenix").await;
    store.close().await;
    drop(store);
    let meta = dir.path().join("index/1/meta.json");
    for damage in [None, Some("no json"), Some("")] {
        match damage {
            None => std::fs::remove_dir_all(dir.path().join("index")).unwrap(),
            Some(bytes) => std::fs::write(&meta, bytes).unwrap(),
        }
        let store = open_when_free(dir.path());
        store.wait_searchable(1).await;
        assert_eq!(find(&store, "phoenix"), ["a"], "{damage:?}");
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_open_in_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    assert!(matches!(Store::open(dir.path(), Settings::default()), Err(OpenError::InUse)));
}
