//! Vectors that come later than words: texts the model fails at, the queue and its order,
//! and writes that are refused while the indexes are behind.

use proptest::prelude::*;

use super::*;

/// As [`Letters`], but fails at some texts, until the test lets it succeed.
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
    leave: parking_lot::Mutex<Option<std::sync::mpsc::Receiver<()>>>,
    batches: parking_lot::Mutex<Vec<Vec<String>>>,
}

impl Noting {
    fn held() -> (Arc<Self>, std::sync::mpsc::Sender<()>) {
        let (leave, held) = std::sync::mpsc::channel();
        let noting = Self {
            leave: parking_lot::Mutex::new(Some(held)),
            batches: parking_lot::Mutex::default(),
        };
        (Arc::new(noting), leave)
    }

    /// The batch that a text was in.
    fn batch_of(&self, text: &str) -> Option<usize> {
        let batches = self.batches.lock();
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
        if let Some(held) = self.leave.lock().take() {
            let _ = held.recv();
        }
        self.batches.lock().push(texts.iter().map(|&text| text.to_owned()).collect());
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
    let large = by_words("large", &words.join(" "), &ChunkingSpec::default());
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
    let query = CandidateQuery::by_words("zebra", 10);
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
    let large = by_words("large", &words.join(" "), &ChunkingSpec::default());
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
struct Held(parking_lot::Mutex<std::sync::mpsc::Receiver<()>>);

impl Embed for Held {
    fn dimensions(&self) -> usize {
        26
    }

    fn name(&self) -> &str {
        "held"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        let _ = self.0.lock().recv();
        Ok(texts.iter().map(|text| letters(text)).collect())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_are_refused_as_busy_while_the_indexes_are_behind() {
    let dir = tempfile::tempdir().unwrap();
    let settings = Settings { max_index_lag: 0, ..Settings::default() };
    let store = Store::open(dir.path(), settings).unwrap();
    let (release, held) = std::sync::mpsc::channel();
    store.set_embedder(Arc::new(Held(parking_lot::Mutex::new(held))));
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
