//! The store as its callers see it, on real files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod check;
mod models;
mod queue;
mod rebuild;
mod restart;
mod vectors;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use ragtime_policy::chunking::{Chunking, ChunkingSpec};
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
        cut: ChunkingSpec::default(),
        outline: String::new(),
        details: Details::default(),
    }
}

/// A document with a chunk for each word.
fn by_words(id: &str, text: &str, cut: &ChunkingSpec) -> NewDocument {
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
fn find_with(
    store: &Store,
    text: &str,
    vector: Option<&[f32]>,
    filter: Option<&Filter>,
) -> Vec<String> {
    let query = CandidateQuery {
        lexical: vector.is_none(),
        vector,
        filter,
        ..CandidateQuery::by_words(text, 10)
    };
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
    assert_eq!(wanted, ChunkingSpec { chunking, model: None });
    assert_eq!(store.collection("default").unwrap().uncut, 1);
    assert_eq!(store.stale_collections().unwrap(), ["default"]);
    let (uncut, next) = store.stale("default", None, 5).unwrap();
    assert_eq!((uncut[0].text.as_str(), next), ("the quick brown fox", None));

    let new = by_words("a", &uncut[0].text, &wanted);
    let cut = async |sha256: &str| {
        let (chunks, wanted) = (new.chunks.clone(), wanted.clone());
        store.rechunk("default", "a", sha256, chunks, wanted).await.unwrap()
    };
    assert!(!cut("another text's").await);
    assert!(cut(&uncut[0].sha256).await);
    assert_eq!(store.stale("default", None, 5).unwrap().0.len(), 0);
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
    assert!(store.rechunk("default", "a", &sha256, same, wanted).await.unwrap());
    assert_eq!(store.stale("default", None, 5).unwrap().0.len(), 0);
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
    let query = CandidateQuery { vector: Some(&vector), ..CandidateQuery::by_words("abc", 1) };
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
                    vector,
                    filter,
                    required,
                    excluded,
                    ..CandidateQuery::by_words(text, 1)
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
            vector,
            filter,
            required,
            excluded,
            ..CandidateQuery::by_words(text, 2)
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

/// Closes a store and waits until its folder is free.
async fn close(store: Store, dir: &Path) {
    store.close().await;
    drop(store);
    drop(open_when_free(dir));
    while matches!(ragtime_store::check(dir, false), Err(OpenError::InUse)) {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
