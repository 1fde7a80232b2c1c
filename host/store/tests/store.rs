//! The store as its callers see it, on real files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use proptest::prelude::*;
use ragtime_policy::chunking::{Chunking, Cut};
use ragtime_policy::version::Condition;
use ragtime_store::{
    BoxError, CandidateQuery, Details, Embed, Error, Failure, Filter, NewChunk, NewDocument,
    OpenError, Outcome, Settings, Store,
};

/// Vectors from letter counts: no model, but near texts have near vectors.
#[derive(Default)]
struct Letters {
    calls: AtomicUsize,
}

impl Embed for Letters {
    fn dimensions(&self) -> usize {
        26
    }

    fn name(&self) -> &str {
        "letters"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        self.calls.fetch_add(1, Relaxed);
        Ok(texts.iter().map(|text| letters(text)).collect())
    }
}

fn letters(text: &str) -> Vec<f32> {
    let mut counts = [0.0_f32; 26];
    for byte in text.bytes().filter(u8::is_ascii_lowercase) {
        counts[usize::from(byte - b'a')] += 1.0;
    }
    let norm = counts.iter().map(|count| count * count).sum::<f32>().sqrt().max(1.0);
    counts.iter().map(|count| count / norm).collect()
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Settings::default()).unwrap()
}

fn document(id: &str, text: &str) -> NewDocument {
    NewDocument {
        id: Some(id.into()),
        title: None,
        text: text.into(),
        media_type: "text/plain".into(),
        metadata: "{}".into(),
        chunks: vec![NewChunk { span: 0..text.len() as u64, headings: Vec::new(), page: None }],
        cut: Cut::default(),
        outline: String::new(),
        details: Details::default(),
    }
}

/// A document with a chunk for each word.
fn by_words(id: &str, text: &str, cut: &Cut) -> NewDocument {
    let start = |word: &str| (word.as_ptr() as usize - text.as_ptr() as usize) as u64;
    let chunk = |word: &str| NewChunk {
        span: start(word)..start(word) + word.len() as u64,
        headings: Vec::new(),
        page: None,
    };
    let chunks = text.split(' ').map(chunk).collect();
    NewDocument { chunks, cut: cut.clone(), ..document(id, text) }
}

async fn put(store: &Store, id: &str, text: &str) -> Outcome {
    let put = store.put("default", document(id, text), Condition::default()).await.unwrap();
    store.wait_searchable(put.seq).await;
    put.outcome
}

fn find(store: &Store, text: &str) -> Vec<String> {
    find_with(store, text, None, None)
}

/// A query by words, yet to be said which.
fn by_text() -> CandidateQuery<'static> {
    CandidateQuery {
        text: "",
        lexical: true,
        vector: None,
        depth: 10,
        filter: None,
        required: &[],
        excluded: &[],
        model: None,
        known: None,
    }
}

fn find_with(
    store: &Store,
    text: &str,
    vector: Option<&[f32]>,
    filter: Option<&Filter>,
) -> Vec<String> {
    let query = CandidateQuery { text, lexical: vector.is_none(), vector, filter, ..by_text() };
    let mut found = store.candidates("default", &query).unwrap();
    let score = |c: &ragtime_store::Candidate| c.lexical.or(c.vector).unwrap();
    found.sort_by(|a, b| score(b).total_cmp(&score(a)).then(a.chunk.cmp(&b.chunk)));
    let chunks: Vec<_> = found.iter().map(|candidate| candidate.chunk).collect();
    let passages = store.passages("default", &chunks).unwrap();
    passages.into_iter().map(|passage| passage.document_id).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_found_once_it_is_searchable() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(put(&store, "a", "the quick brown fox").await, Outcome::Created);
    assert_eq!(put(&store, "b", "a lazy dog").await, Outcome::Created);
    assert_eq!(find(&store, "foxes"), ["a"]);
    assert!(store.document("default", "a").unwrap().summary.searchable);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_cut_anew_while_its_old_chunks_are_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "the quick brown fox").await;
    let chunking = Chunking { tokens: 1, overlap: 0 };
    store.set_chunking("default", chunking).await.unwrap();
    let wanted = store.wanted_cut("default").unwrap();
    assert_eq!(wanted, Cut { chunking, model: None });
    assert_eq!(store.collection("default").unwrap().uncut, 1);
    assert_eq!(store.uncut_collections().unwrap(), ["default"]);
    let (uncut, next) = store.uncut("default", None, 5).unwrap();
    assert_eq!((uncut[0].text.as_str(), next), ("the quick brown fox", None));

    let new = by_words("a", &uncut[0].text, &wanted);
    let cut = async |sha256: &str| {
        let (chunks, wanted) = (new.chunks.clone(), wanted.clone());
        store.recut("default", "a", sha256, chunks, wanted).await.unwrap()
    };
    assert!(!cut("another text's").await);
    assert!(cut(&uncut[0].sha256).await);
    assert_eq!(store.uncut("default", None, 5).unwrap().0.len(), 0);
    for _ in 0..500 {
        // Never gone, and in the end by its new chunk alone.
        assert!(
            find(&store, "foxes").iter().all(|id| id == "a") && !find(&store, "foxes").is_empty()
        );
        if store.collection("default").unwrap().uncut == 0 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let (chunks, _) = store.chunks("default", "a", None, 9).unwrap();
    assert_eq!(
        chunks.iter().map(|c| c.text.as_str()).collect::<Vec<_>>(),
        ["the", "quick", "brown", "fox"]
    );
    assert_eq!(store.document("default", "a").unwrap().summary.chunks, 4);
    let again = store.put("default", new, Condition::default()).await.unwrap();
    assert_eq!(again.outcome, Outcome::Unchanged);
    store.close().await;
    drop(store);
    let report = ragtime_store::check(dir.path(), false).unwrap();
    assert!(report.lost.is_empty() && report.differing.is_empty(), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_cut_by_estimate_is_cut_anew_when_the_model_comes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "the quick brown fox").await;
    assert_eq!(store.collection("default").unwrap().uncut, 0);
    store.set_embedder(Arc::new(Letters::default()));
    assert_eq!(store.collection("default").unwrap().uncut, 1);
    let wanted = store.wanted_cut("default").unwrap();
    assert_eq!(wanted.model.as_deref(), Some("letters"));
    let sha256 = store.document("default", "a").unwrap().summary.sha256;
    let same = document("a", "the quick brown fox").chunks;
    assert!(store.recut("default", "a", &sha256, same, wanted).await.unwrap());
    assert_eq!(store.uncut("default", None, 5).unwrap().0.len(), 0);
    assert_eq!(find(&store, "fox"), ["a"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_content_is_not_written_again_and_another_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    assert_eq!(put(&store, "a", "apples").await, Outcome::Created);
    assert_eq!(put(&store, "a", "apples").await, Outcome::Unchanged);
    assert_eq!(put(&store, "a", "pears").await, Outcome::Replaced);
    assert!(find(&store, "apples").is_empty());
    assert_eq!(find(&store, "pears"), ["a"]);
    assert_eq!(store.collection("default").unwrap().chunks, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_document_is_gone_when_the_call_returns() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_embedder(Arc::new(Letters::default()));
    for round in 0..20 {
        let id = format!("doc{round}");
        put(&store, &id, "zebra stripes").await;
        store.delete_document("default", &id, Condition::default()).await.unwrap();
        assert!(find(&store, "zebra").is_empty());
        assert!(find_with(&store, "", Some(&letters("zebra stripes")), None).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_document_that_was_deleted_before_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let put = store.put("default", document("a", "brief"), Condition::default()).await.unwrap();
    store.delete_document("default", "a", Condition::default()).await.unwrap();
    store.wait_searchable(put.seq).await;
    assert!(find(&store, "brief").is_empty());
}

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

/// The writing thread lets go of the folder a moment after the last handle.
fn open_when_free(dir: &Path) -> Store {
    loop {
        match Store::open(dir, Settings::default()) {
            Err(OpenError::InUse) => std::thread::sleep(std::time::Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_open_in_one_process_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path());
    assert!(matches!(Store::open(dir.path(), Settings::default()), Err(OpenError::InUse)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_comes_late_gives_every_chunk_its_vector() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "kangaroo").await;
    put(&store, "b", "zzz").await;
    let query = letters("kangaroo");
    assert!(find_with(&store, "", Some(&query), None).is_empty());
    store.set_embedder(Arc::new(Letters::default()));
    while !store.status().vectors_complete {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(find_with(&store, "", Some(&query), None)[0], "a");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_leg_gives_its_score_for_what_the_other_found() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_embedder(Arc::new(Letters::default()));
    while !store.status().vectors_complete {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    put(&store, "word", "abc qqqq").await;
    put(&store, "letters", "cab cab cab").await;
    let vector = letters("abc");
    let query = CandidateQuery {
        text: "abc",
        lexical: true,
        vector: Some(&vector),
        depth: 1,
        filter: None,
        required: &[],
        excluded: &[],
        model: None,
        known: None,
    };
    let found = store.candidates("default", &query).unwrap();
    assert_eq!(found.len(), 2);
    let by_word = found.iter().find(|candidate| candidate.lexical.is_some()).unwrap();
    let by_vector = found.iter().find(|candidate| candidate.lexical.is_none()).unwrap();
    assert!(by_word.vector.unwrap() < by_vector.vector.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_meets_a_deletion_leaves_no_folder_behind() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let searching = std::thread::spawn({
        let store = store.clone();
        move || {
            let mut refused = 0;
            while refused < 500 {
                let (text, vector, filter) = ("x", None, None);
                let (required, excluded) = (&[][..], &[][..]);
                let query = CandidateQuery {
                    text,
                    lexical: true,
                    vector,
                    depth: 1,
                    filter,
                    required,
                    excluded,
                    model: None,
                    known: None,
                };
                match store.candidates("passing", &query) {
                    Ok(_) => {}
                    Err(Error::UnknownCollection) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    while !searching.is_finished() {
        store.create_collection("passing", None, None).await.unwrap();
        store.delete_collection("passing").await.unwrap();
    }
    searching.join().unwrap();
    store.close().await;
    let left: Vec<_> = std::fs::read_dir(dir.path().join("index"))
        .map(|folders| folders.map(|one| one.unwrap().file_name()).collect())
        .unwrap_or_default();
    assert!(left.len() <= 1, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_that_are_conditions_bind_the_vector_leg_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_embedder(Arc::new(Letters::default()));
    while !store.status().vectors_complete {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    put(&store, "near", "abc abc").await;
    put(&store, "far", "zzz yyy").await;
    let vector = letters("abc");
    let find = |required: &[String], excluded: &[String]| {
        let (text, filter) = ("abc", None);
        let vector = Some(&vector[..]);
        let query = CandidateQuery {
            text,
            lexical: true,
            vector,
            depth: 2,
            filter,
            required,
            excluded,
            model: None,
            known: None,
        };
        store.candidates("default", &query).unwrap().len()
    };
    assert_eq!(find(&[], &[]), 2);
    assert_eq!(find(&["zzz yyy".into()], &[]), 1);
    assert_eq!(find(&[], &["zzz".into()]), 1);
    assert_eq!(find(&["yyy zzz".into()], &[]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_hold_in_both_legs_without_making_the_list_short() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_embedder(Arc::new(Letters::default()));
    for number in 0..40 {
        let mut new = document(&number.to_string(), "same text");
        new.metadata = format!("{{\"n\":{number}}}");
        let put = store.put("default", new, Condition::default()).await.unwrap();
        store.wait_searchable(put.seq).await;
    }
    let filter = Filter::parse(r#"{"n": {"gte": 30}}"#).unwrap();
    let wanted: Vec<_> = (30..40).map(|number| number.to_string()).collect();
    assert_eq!(find_with(&store, "same", None, Some(&filter)), wanted);
    while !store.status().vectors_complete {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(find_with(&store, "", Some(&letters("same text")), Some(&filter)), wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_account_of_a_job_always_adds_up() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let mut documents: Vec<_> = (0..300).map(|n| document(&n.to_string(), "text")).collect();
    documents[5].chunks[0].span.end = 999;
    let failure = Failure { position: 0, id: None, reason: "not text".into() };
    let (job, seq) = store.ingest("default", documents, vec![failure]).await.unwrap();
    loop {
        let now = store.job(&job.id).unwrap();
        assert_eq!(now.received, 301);
        assert_eq!(now.received, now.indexed + now.pending + now.failed.len() as u32);
        if now.pending == 0 {
            assert_eq!((now.failed[0].position, now.failed[1].position), (0, 6));
            break;
        }
        store.wait_searchable(seq).await;
    }
    assert_eq!(store.jobs(None, None, 10).unwrap().0[0].id, job.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_at_once_lose_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let writes = (0..200).map(|n| {
        let store = store.clone();
        tokio::spawn(async move {
            store.put("default", document(&n.to_string(), "crowd"), Condition::default()).await
        })
    });
    for write in writes.collect::<Vec<_>>() {
        write.await.unwrap().unwrap();
    }
    assert_eq!(store.collection("default").unwrap().documents, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_stay_where_they_are_while_documents_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for id in ["b", "d", "f"] {
        put(&store, id, "x").await;
    }
    let (first, next) = store.documents("default", None, 2).unwrap();
    assert_eq!(first.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["b", "d"]);
    put(&store, "a", "x").await;
    store.delete_document("default", "b", Condition::default()).await.unwrap();
    let (second, next) = store.documents("default", next.as_deref(), 2).unwrap();
    assert_eq!(second.iter().map(|d| d.id.as_str()).collect::<Vec<_>>(), ["f"]);
    assert_eq!(next, None);
    assert!(matches!(store.documents("default", Some("!"), 2), Err(Error::InvalidCursor)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quote_is_the_stored_bytes_or_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "naïve café").await;
    let quote =
        |span| store.quotes("default", &[("a", span)]).map(|quotes| quotes[0].quote.clone());
    assert_eq!(quote(0..6).unwrap(), "naïve");
    for bad in [3..6, 0..99, 4..4, std::ops::Range { start: 6, end: 2 }] {
        assert!(matches!(quote(bad.clone()), Err(Error::Invalid(_))), "{bad:?}");
    }
    assert!(matches!(store.quotes("default", &[("b", 0..1)]), Err(Error::UnknownDocument)));
}

#[tokio::test(flavor = "multi_thread")]
async fn collections_do_not_see_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.create_collection("other", None, None).await.unwrap();
    let put = store.put("other", document("a", "secret"), Condition::default()).await.unwrap();
    store.wait_searchable(put.seq).await;
    assert!(find(&store, "secret").is_empty());
    let chunk = store.chunks("other", "a", None, 10).unwrap().0[0].id;
    assert!(store.passages("default", &[chunk]).unwrap().is_empty());
    store.delete_collection("other").await.unwrap();
    assert!(matches!(store.document("other", "a"), Err(Error::UnknownCollection)));
    assert!(matches!(store.delete_collection("default").await, Err(Error::CollectionProtected)));
    assert!(matches!(store.create_collection("No!", None, None).await, Err(Error::Invalid(_))));
    assert!(matches!(
        store.create_collection("default", None, None).await,
        Err(Error::CollectionExists)
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_query_text_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "a", "plain words").await;
    for text in ["", "   ", "\"", "AND OR NOT", "title:(", "*?~^[]{}", "words)", "\u{0}\u{ffff}"] {
        find(&store, text);
    }
    assert_eq!(find(&store, "words)"), ["a"]);
}

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

/// Closes a store and waits until its folder is free.
async fn close(store: Store, dir: &Path) {
    store.close().await;
    drop(store);
    drop(open_when_free(dir));
    while matches!(ragtime_store::check(dir, false), Err(OpenError::InUse)) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// As [`Letters`], but fails at some texts, until it is told not to.
#[derive(Default)]
struct Picky {
    healed: std::sync::atomic::AtomicBool,
}

impl Embed for Picky {
    fn dimensions(&self) -> usize {
        26
    }

    fn name(&self) -> &str {
        "picky"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        if !self.healed.load(Relaxed) && texts.iter().any(|text| text.contains("poison")) {
            return Err("a text that no model can stand".into());
        }
        Ok(texts.iter().map(|text| letters(text)).collect())
    }
}

async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_the_model_fails_at_fails_alone_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let model = Arc::new(Picky::default());
    store.set_embedder(Arc::clone(&model) as Arc<dyn Embed>);
    let mut documents: Vec<_> = (0..20).map(|n| document(&n.to_string(), "kangaroo")).collect();
    documents[7] = document("bad", "poison zebra");
    let (job, seq) = store.ingest("default", documents, Vec::new()).await.unwrap();
    store.wait_searchable(seq).await;
    until(|| store.status().vectors_complete).await;

    let now = store.job(&job.id).unwrap();
    assert_eq!((now.received, now.indexed, now.pending), (20, 19, 0));
    assert_eq!((now.failed[0].position, now.failed[0].id.as_deref()), (7, Some("bad")));
    assert!(now.failed[0].reason.contains("embedding model fails"));
    assert_eq!(find(&store, "poison"), ["bad"]);
    let near = |text| find_with(&store, "", Some(&letters(text)), None);
    assert!(near("kangaroo").len() > 5 && !near("zebra").contains(&"bad".into()));

    model.healed.store(true, Relaxed);
    store.retry_job(&job.id).await.unwrap();
    until(|| near("poison zebra").contains(&"bad".into())).await;
    let now = store.job(&job.id).unwrap();
    assert_eq!((now.received, now.indexed, now.failed.len()), (20, 20, 0));
    assert!(matches!(store.retry_job("none").await, Err(Error::UnknownJob)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_job_leaves_nothing_pending_and_no_half_of_a_document() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    put(&store, "kept", "walrus").await;
    let mut documents: Vec<_> = (0..500).map(|n| document(&n.to_string(), "walrus")).collect();
    documents.push(document("kept", "walrus"));
    let (job, seq) = store.ingest("default", documents, Vec::new()).await.unwrap();
    store.cancel_job(&job.id).await.unwrap();
    let now = store.job(&job.id).unwrap();
    assert_eq!((now.received, now.pending), (501, 0));
    assert_eq!(now.received, now.indexed + now.failed.len() as u32);
    assert!(now.failed.iter().all(|failure| failure.reason == "cancelled"));

    store.wait_searchable(seq).await;
    let stored = store.collection("default").unwrap().documents;
    // What was indexed in time is there, and so is what another call had stored.
    assert_eq!(stored, u64::from(now.indexed));
    assert_eq!(store.job(&job.id).unwrap().failed.len(), now.failed.len());
    assert!(store.document("default", "kept").is_ok());
    assert!(matches!(store.cancel_job("none").await, Err(Error::UnknownJob)));
}

/// Notes what it embeds, a batch at a time, and begins with the first once there is
/// leave to.
struct Noting {
    leave: std::sync::Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    batches: std::sync::Mutex<Vec<Vec<String>>>,
}

impl Noting {
    fn held() -> (Arc<Self>, std::sync::mpsc::Sender<()>) {
        let (leave, held) = std::sync::mpsc::channel();
        let noting =
            Self { leave: std::sync::Mutex::new(Some(held)), batches: std::sync::Mutex::default() };
        (Arc::new(noting), leave)
    }

    /// The batch that a text was in.
    fn batch_of(&self, text: &str) -> Option<usize> {
        let batches = self.batches.lock().unwrap();
        batches.iter().position(|batch| batch.iter().any(|one| one.ends_with(text)))
    }
}

impl Embed for Noting {
    fn dimensions(&self) -> usize {
        26
    }

    fn name(&self) -> &str {
        "noting"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        if let Some(held) = self.leave.lock().unwrap().take() {
            let _ = held.recv();
        }
        self.batches.lock().unwrap().push(texts.iter().map(|&text| text.to_owned()).collect());
        Ok(texts.iter().map(|text| letters(text)).collect())
    }
}

/// Waits until a document is found by a word, whatever waits for vectors.
async fn words_found(store: &Store, id: &str, word: &str) {
    until(|| find(store, word).contains(&id.to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_document_holds_up_no_small_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (model, leave) = Noting::held();
    store.set_embedder(Arc::clone(&model) as Arc<dyn Embed>);
    store.create_collection("other", None, None).await.unwrap();
    let words: Vec<_> = (0..2_000).map(|n| format!("word{n}")).collect();
    let large = by_words("large", &words.join(" "), &Cut::default());
    let large = store.put("default", large, Condition::default()).await.unwrap();
    // Its words are found before any of it is embedded.
    words_found(&store, "large", "word1999").await;
    assert!(!store.document("default", "large").unwrap().summary.searchable);

    let mut small = Vec::new();
    for (collection, text) in [("default", "walrus"), ("other", "zebra")] {
        let put = store.put(collection, document(text, text), Condition::default()).await;
        small.push(put.unwrap());
    }
    assert_eq!(store.status().index_lag, 2_002);
    // Only what is found by its words is embedded, and this model takes no time.
    let query = CandidateQuery { text: "zebra", ..by_text() };
    until(|| store.candidates("other", &query).unwrap().len() == 1).await;
    leave.send(()).unwrap();
    for put in small {
        store.wait_document_searchable(put.seq).await;
    }
    store.wait_searchable(large.seq).await;
    assert!(store.document("default", "large").unwrap().summary.searchable);
    // The batch that was at work, and the one after it.
    assert!(model.batch_of("walrus").unwrap() <= 1, "{:?}", model.batch_of("walrus"));
    assert!(model.batch_of("zebra").unwrap() <= 1, "{:?}", model.batch_of("zebra"));
    assert!(model.batch_of("word1999").unwrap() > 10);
    assert_eq!(find_with(&store, "", Some(&letters("walrus")), None)[0], "walrus");
    assert_eq!(store.status().index_lag, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_small_documents_do_not_hold_up_a_large_one_for_ever() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (model, leave) = Noting::held();
    store.set_embedder(Arc::clone(&model) as Arc<dyn Embed>);
    let words: Vec<_> = (0..64).map(|n| format!("word{n}")).collect();
    let large = by_words("large", &words.join(" "), &Cut::default());
    store.put("default", large, Condition::default()).await.unwrap();
    let small = (0..1_000).map(|n| document(&n.to_string(), &format!("small{n}"))).collect();
    let (job, seq) = store.ingest("default", small, Vec::new()).await.unwrap();
    let now = store.job(&job.id).unwrap();
    assert_eq!((now.indexed, now.pending), (0, 1_000));
    leave.send(()).unwrap();
    store.wait_job_searchable(&job.id, seq).await;
    let (last_of_large, last_of_small) = (model.batch_of("word63"), model.batch_of("small999"));
    assert!(last_of_large < last_of_small, "{last_of_large:?} {last_of_small:?}");
    assert_eq!(store.job(&job.id).unwrap().indexed, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waited_for_its_vectors_gets_them_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    store.set_embedder(Arc::new(Letters::default()));
    put(&store, "a", "kangaroo").await;
    close(store, dir.path()).await;
    // As if it had been killed before the vector was there.
    let database = rusqlite::Connection::open(dir.path().join("ragtime.sqlite")).unwrap();
    database.execute("DELETE FROM vectors", []).unwrap();
    database.execute("INSERT INTO embedding_queue VALUES (1, 0, 1, 1)", []).unwrap();
    drop(database);
    // Words alone are enough where there is no model.
    let store = open_when_free(dir.path());
    store.wait_searchable(1).await;
    assert!(store.document("default", "a").unwrap().summary.searchable);
    store.set_embedder(Arc::new(Letters::default()));
    until(|| store.status().vectors_complete).await;
    assert_eq!(find_with(&store, "", Some(&letters("kangaroo")), None), ["a"]);
}

/// Embeds once there is leave to.
struct Held(std::sync::Mutex<std::sync::mpsc::Receiver<()>>);

impl Embed for Held {
    fn dimensions(&self) -> usize {
        26
    }

    fn name(&self) -> &str {
        "held"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        let _ = self.0.lock().unwrap().recv();
        Ok(texts.iter().map(|text| letters(text)).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_refused_as_busy_while_the_indexes_are_behind() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { max_index_lag: 0, ..Settings::default() };
    let store = Store::open(dir.path(), settings).unwrap();
    let (release, held) = std::sync::mpsc::channel();
    store.set_embedder(Arc::new(Held(std::sync::Mutex::new(held))));
    let first = store.put("default", document("a", "one"), Condition::default()).await.unwrap();
    let refused = store.put("default", document("b", "two"), Condition::default()).await;
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    let refused = store.ingest("default", vec![document("b", "two")], Vec::new()).await;
    assert!(matches!(refused, Err(Error::Busy { .. })), "{refused:?}");
    store.delete_document("default", "a", Condition::default()).await.unwrap();
    drop(release);
    store.wait_searchable(first.seq).await;
    store.put("default", document("b", "two"), Condition::default()).await.unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    /// Pages of a list, while others write: what was there all the time comes
    /// once, in order, and nothing comes twice.
    #[test]
    fn pages_are_stable_under_writes(
        ids in prop::collection::btree_set("[a-zé %:/]{1,6}", 1..24),
        new in prop::collection::vec("[a-zé %:/]{1,6}", 0..12),
        limit in 1_usize..7,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let store = open(dir.path());
            for id in &ids {
                store.put("default", document(id, "text"), Condition::default()).await.unwrap();
            }
            let (mut cursor, mut seen) = (None, Vec::new());
            let mut new = new.iter();
            loop {
                let (page, next) = store.documents("default", cursor.as_deref(), limit).unwrap();
                prop_assert!(page.len() <= limit);
                seen.extend(page.into_iter().map(|summary| summary.id));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
                if let Some(id) = new.next() {
                    store.put("default", document(id, "more"), Condition::default()).await.unwrap();
                    let last = seen.last().unwrap().clone();
                    store.delete_document("default", &last, Condition::default()).await.unwrap();
                }
            }
            prop_assert!(seen.is_sorted() && seen.windows(2).all(|pair| pair[0] != pair[1]));
            prop_assert!(ids.iter().all(|id| seen.contains(id)));
            Ok(())
        })?;
    }
}
