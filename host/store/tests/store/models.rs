//! Collections with embedding models of their own, and the change from one to another.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use parking_lot::Mutex;
use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::version::Condition;
use ragtime_store::{
    BoxError, CandidateQuery, CollectionModels, Details, Embed, Error, NewChunk, NewDocument,
    OpenError, Settings, Store,
};

/// Counts some letters: texts with the same ones are near. It embeds as many texts as
/// it has leave for.
struct Letters {
    name: &'static str,
    letters: &'static str,
    leave: Mutex<usize>,
    broken: AtomicBool,
    seen: Mutex<Vec<String>>,
}

impl Letters {
    fn new(name: &'static str, letters: &'static str) -> Arc<Self> {
        Self::with_leave(name, letters, usize::MAX)
    }

    fn with_leave(name: &'static str, letters: &'static str, texts: usize) -> Arc<Self> {
        let (leave, seen) = (Mutex::new(texts), Mutex::default());
        Arc::new(Self { name, letters, leave, broken: AtomicBool::new(false), seen })
    }

    fn vector(&self, text: &str) -> Vec<f32> {
        let counts = self.letters.chars().map(|one| text.matches(one).count() as f32 + 0.01);
        let counts: Vec<f32> = counts.collect();
        let norm = counts.iter().map(|count| count * count).sum::<f32>().sqrt();
        counts.into_iter().map(|count| count / norm).collect()
    }

    fn allow(&self, texts: usize) {
        *self.leave.lock() = texts;
    }

    fn seen(&self) -> usize {
        self.seen.lock().len()
    }
}

impl Embed for Letters {
    fn dimensions(&self) -> usize {
        self.letters.len()
    }

    fn name(&self) -> &str {
        self.name
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        if self.broken.load(Relaxed) {
            return Err("it is out of reach".into());
        }
        loop {
            let mut leave = self.leave.lock();
            if let Some(left) = leave.checked_sub(texts.len()) {
                *leave = left;
                break;
            }
            drop(leave);
            std::thread::sleep(Duration::from_millis(1));
        }
        self.seen.lock().extend(texts.iter().map(|&text| text.to_owned()));
        Ok(texts.iter().map(|text| self.vector(text)).collect())
    }
}

fn settings() -> Settings {
    Settings {
        models: BTreeSet::from(["first".to_owned(), "second".to_owned()]),
        default_model: Some("first".into()),
        embed_batch: 4,
        ..Settings::default()
    }
}

fn open(dir: &Path) -> Store {
    open_with(dir, &settings())
}

/// Opens a folder once whoever had it has let go of it.
fn open_with(dir: &Path, settings: &Settings) -> Store {
    loop {
        match Store::open(dir, settings.clone()) {
            Err(OpenError::InUse) => std::thread::sleep(Duration::from_millis(2)),
            store => return store.unwrap(),
        }
    }
}

async fn put(store: &Store, collection: &str, id: &str, text: &str) {
    let document = NewDocument {
        id: Some(id.into()),
        title: None,
        text: text.into(),
        media_type: "text/plain".into(),
        metadata: "{}".into(),
        chunks: vec![NewChunk { span: 0..text.len() as u64, headings: Vec::new(), page: None }],
        cut: ChunkingSpec::default(),
        outline: String::new(),
        details: Details::default(),
    };
    let put = store.put(collection, document, Condition::default()).await.unwrap();
    store.wait_document_searchable(put.seq).await;
}

async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The documents nearest to a text by the vectors of a model, best first.
fn nearest(store: &Store, collection: &str, model: &Letters, text: &str) -> Vec<String> {
    let vector = model.vector(text);
    let query = CandidateQuery {
        lexical: false,
        vector: Some(&vector),
        model: Some(model.name),
        ..CandidateQuery::by_words(text, 100)
    };
    let mut found = store.candidates(collection, &query).unwrap();
    found.sort_by(|a, b| b.vector.unwrap().total_cmp(&a.vector.unwrap()));
    let chunks: Vec<_> = found.iter().map(|one| one.chunk).collect();
    let passages = store.passages(collection, &chunks).unwrap();
    let of = |chunk: &u64| passages.iter().find(|one| one.chunk == *chunk);
    chunks.iter().filter_map(of).map(|one| one.document_id.clone()).collect()
}

fn serving(store: &Store, collection: &str) -> Option<String> {
    store.serving_model(collection).unwrap()
}

fn models(store: &Store, collection: &str) -> CollectionModels {
    store.collection_models(&[collection.to_owned()]).unwrap().remove(0)
}

fn rows(dir: &Path, table: &str) -> u64 {
    let database = rusqlite::Connection::open(dir.join("ragtime.sqlite")).unwrap();
    database.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_collections_have_two_models_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (first, second) = (Letters::new("first", "abcdef"), Letters::new("second", "xyz"));
    store.set_embedder(Arc::clone(&first) as Arc<dyn Embed>);
    store.set_embedder(Arc::clone(&second) as Arc<dyn Embed>);
    store.create_collection("other", None, Some("second".into())).await.unwrap();
    for collection in ["default", "other"] {
        put(&store, collection, "b", "bbb zzz").await;
        put(&store, collection, "c", "ccc yyy").await;
    }
    assert_eq!(nearest(&store, "default", &first, "b"), ["b", "c"]);
    assert_eq!(nearest(&store, "other", &second, "y"), ["c", "b"]);
    assert!(nearest(&store, "other", &first, "b").is_empty(), "vectors of another model");
    let other = models(&store, "other");
    assert_eq!(
        (other.chosen.as_deref(), other.serving.as_deref()),
        (Some("second"), Some("second"))
    );
    let refused = store.create_collection("third", None, Some("none".into())).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no embedding model is called \"none\"; there are: first, second"
    );
    assert!(matches!(store.collection("third"), Err(Error::UnknownCollection)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_vectors_of_a_model_serve_until_all_of_the_next_are_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = Letters::new("first", "abcdef");
    let second = Letters::with_leave("second", "abcxyz", 8);
    store.set_embedder(Arc::clone(&first) as Arc<dyn Embed>);
    store.set_embedder(Arc::clone(&second) as Arc<dyn Embed>);
    for n in 0..20 {
        put(&store, "default", &format!("old{n}"), "ddd xxx").await;
    }
    store.set_collection_model("default", Some("second".into())).await.unwrap();
    until(|| second.seen() == 8).await;
    until(|| models(&store, "default").next_made == 8).await;
    // While they are made the old ones serve, for what comes meanwhile too.
    put(&store, "default", "new", "fff yyy").await;
    put(&store, "default", "gone", "eee yyy").await;
    store.delete_document("default", "gone", Condition::default()).await.unwrap();
    assert_eq!(serving(&store, "default").as_deref(), Some("first"));
    assert_eq!(nearest(&store, "default", &first, "fff")[0], "new");
    assert_eq!(nearest(&store, "default", &first, "d").len(), 21);
    let now = models(&store, "default");
    assert_eq!((now.serving.as_deref(), now.next.as_deref()), (Some("first"), Some("second")));

    second.allow(usize::MAX);
    until(|| serving(&store, "default").as_deref() == Some("second")).await;
    let found = nearest(&store, "default", &second, "yyy");
    assert_eq!((found.len(), found[0].as_str()), (21, "new"));
    let now = models(&store, "default");
    assert_eq!((now.serving.as_deref(), now.next), (Some("second"), None));
    put(&store, "default", "later", "zzz").await;
    assert_eq!(nearest(&store, "default", &second, "zzz")[0], "later");
    // What is left of the old model goes.
    until(|| rows(dir.path(), "vectors") == 0).await;
    assert_eq!(rows(dir.path(), "vectors_1"), 22);
    // And back again, by the other table.
    store.set_collection_model("default", None).await.unwrap();
    until(|| serving(&store, "default").as_deref() == Some("first")).await;
    assert_eq!(nearest(&store, "default", &first, "fff")[0], "new");
    until(|| rows(dir.path(), "vectors_1") == 0).await;
    assert_eq!(rows(dir.path(), "vectors"), 22);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_goes_on_where_it_was_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let first = Letters::new("first", "abcdef");
    store.set_embedder(Arc::clone(&first) as Arc<dyn Embed>);
    for n in 0..20 {
        put(&store, "default", &n.to_string(), "ddd xxx").await;
    }
    let second = Letters::with_leave("second", "abcxyz", 8);
    store.set_embedder(Arc::clone(&second) as Arc<dyn Embed>);
    store.set_collection_model("default", Some("second".into())).await.unwrap();
    until(|| rows(dir.path(), "vectors_1") == 8).await;
    // What a kill would leave.
    let copy = tempfile::tempdir().unwrap();
    let database = rusqlite::Connection::open(dir.path().join("ragtime.sqlite")).unwrap();
    let target = copy.path().join("ragtime.sqlite");
    database.execute("VACUUM INTO ?1", [target.to_str().unwrap()]).unwrap();
    second.allow(usize::MAX);
    store.close().await;

    let store = open(copy.path());
    let first = Letters::new("first", "abcdef");
    let second = Letters::new("second", "abcxyz");
    store.set_embedder(Arc::clone(&first) as Arc<dyn Embed>);
    until(|| nearest(&store, "default", &first, "ddd").len() == 20).await;
    store.set_embedder(Arc::clone(&second) as Arc<dyn Embed>);
    until(|| serving(&store, "default").as_deref() == Some("second")).await;
    assert_eq!((first.seen(), second.seen()), (0, 12));
    assert_eq!(nearest(&store, "default", &second, "xxx").len(), 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_is_out_of_reach_holds_up_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (first, second) = (Letters::new("first", "abcdef"), Letters::new("second", "xyz"));
    second.broken.store(true, Relaxed);
    store.set_embedder(Arc::clone(&first) as Arc<dyn Embed>);
    store.set_embedder(Arc::clone(&second) as Arc<dyn Embed>);
    store.create_collection("other", None, Some("second".into())).await.unwrap();
    // Each is found by its words as soon as it is known that the model fails.
    for n in 0..5 {
        put(&store, "other", &n.to_string(), "zzz").await;
        put(&store, "default", &n.to_string(), "abc").await;
    }
    assert_eq!(nearest(&store, "default", &first, "a").len(), 5);
    let status = store.status();
    let states: Vec<_> = status.models.iter().map(|one| (one.complete, one.failing)).collect();
    assert_eq!(states, [(true, false), (false, true)]);
    assert!(!status.vectors_complete);
    assert_eq!(store.status().index_lag, 0);
    second.broken.store(false, Relaxed);
    until(|| store.status().vectors_complete).await;
    until(|| nearest(&store, "other", &second, "z").len() == 5).await;
    assert!(store.status().models.iter().all(|one| !one.failing));
}

/// Leaves a folder with one document, embedded by a model.
async fn fill(dir: &Path, model: &Arc<Letters>) {
    let store = open(dir);
    store.set_embedder(Arc::clone(model) as Arc<dyn Embed>);
    put(&store, "default", "a", "abc").await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_a_model_that_is_no_more_are_dropped_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let first = Letters::new("first", "abcdef");
    fill(dir.path(), &first).await;
    let settings = Settings {
        models: BTreeSet::from(["third".to_owned()]),
        default_model: Some("third".into()),
        ..settings()
    };
    let store = open_with(dir.path(), &settings);
    let third = Letters::new("third", "cba");
    store.set_embedder(Arc::clone(&third) as Arc<dyn Embed>);
    until(|| nearest(&store, "default", &third, "abc") == ["a"]).await;
    assert!(nearest(&store, "default", &first, "abc").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_from_before_models_had_names_keeps_its_vectors() {
    let dir = tempfile::tempdir().unwrap();
    let first = Letters::new("first", "abcdef");
    fill(dir.path(), &first).await;
    let database = rusqlite::Connection::open(dir.path().join("ragtime.sqlite")).unwrap();
    database
        .execute_batch(
            "INSERT INTO meta VALUES ('embedding_model', 'first');
             DELETE FROM meta WHERE name = 'migration';
             UPDATE collections SET vectors_model = NULL;",
        )
        .unwrap();
    drop(database);
    let store = open(dir.path());
    let first = Letters::new("first", "abcdef");
    store.set_embedder(Arc::clone(&first) as Arc<dyn Embed>);
    until(|| store.status().vectors_complete).await;
    assert_eq!(nearest(&store, "default", &first, "abc"), ["a"]);
    assert_eq!(first.seen(), 0);
}
