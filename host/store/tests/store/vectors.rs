//! The files of vectors, on a collection that is large enough to have some.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::version::Condition;
use ragtime_store::{
    BoxError, Candidate, CandidateQuery, Details, Embed, NewChunk, NewDocument, OpenError,
    Settings, Store,
};

/// A vector for each number that a text begins with.
struct Numbers;

const DIMENSIONS: usize = 16;

impl Embed for Numbers {
    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn name(&self) -> &str {
        "numbers"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        let number = |text: &&str| {
            let digits: String = text.chars().filter(char::is_ascii_digit).collect();
            Ok(vector(digits.parse()?))
        };
        texts.iter().map(number).collect()
    }
}

fn vector(number: u64) -> Vec<f32> {
    let value = |at: u64| ((number * 131 + at * at * 17 + 1) as f32 * 0.61).sin();
    let values: Vec<f32> = (0..DIMENSIONS as u64).map(value).collect();
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter().map(|value| value / length).collect()
}

/// Documents of so many chunks each.
const CHUNKS: u64 = 600;
/// More than go to a file together, also without one of them.
const DOCUMENTS: u64 = 29;

fn document(number: u64) -> NewDocument {
    let (mut text, mut chunks) = (String::new(), Vec::new());
    for chunk in number * CHUNKS..(number + 1) * CHUNKS {
        let start = text.len() as u64;
        text.push_str(&format!("n{chunk} "));
        chunks.push(NewChunk { span: start..text.len() as u64, headings: Vec::new(), page: None });
    }
    NewDocument {
        id: Some(number.to_string()),
        title: None,
        text,
        media_type: "text/plain".into(),
        metadata: "{}".into(),
        chunks,
        cut: ChunkingSpec::default(),
        outline: String::new(),
        details: Details::default(),
    }
}

/// The store of a folder as soon as nobody else has it, with the model.
fn open(dir: &Path) -> Store {
    loop {
        match Store::open(dir, Settings { embed_batch: 512, ..Settings::default() }) {
            Err(OpenError::InUse) => std::thread::sleep(std::time::Duration::from_millis(5)),
            opened => {
                let store = opened.unwrap();
                store.set_embedder(Arc::new(Numbers));
                return store;
            }
        }
    }
}

async fn close(store: Store) {
    store.close().await;
    drop(store);
}

/// What is found beside a vector, and by words where there are some.
fn candidates(store: &Store, text: &str, number: u64) -> Vec<Candidate> {
    let vector = vector(number);
    let query = CandidateQuery {
        lexical: !text.is_empty(),
        vector: Some(&vector),
        ..CandidateQuery::by_words(text, 20)
    };
    store.candidates("default", &query).unwrap()
}

/// Chunks and cosines, best first.
fn nearest(store: &Store, number: u64) -> Vec<(u64, f32)> {
    let found = candidates(store, "", number);
    let mut found: Vec<_> = found.iter().map(|one| (one.chunk, one.vector.unwrap())).collect();
    found.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    found
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("index/1/vectors")).into_iter().flatten();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|end| end == "segment")).collect()
}

async fn until(mut done: impl FnMut() -> bool) {
    while !done() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

/// A check of a folder as soon as nobody has it: what differs.
fn check(dir: &Path, repair: bool) -> Vec<String> {
    loop {
        match ragtime_store::check(dir, repair) {
            Err(OpenError::InUse) => std::thread::sleep(std::time::Duration::from_millis(5)),
            report => {
                let report = report.unwrap();
                assert!(report.lost.is_empty(), "{report:?}");
                return report.differing;
            }
        }
    }
}

/// Changes the last vector of a file.
fn damage(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let last = bytes.len() - 2;
    bytes[last] ^= 0x40;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn vectors_in_files_are_those_of_the_database_whatever_becomes_of_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let store = open(dir);
    let documents = (0..DOCUMENTS).map(document).collect();
    let (_, seq) = store.ingest("default", documents, Vec::new()).await.unwrap();
    store.wait_searchable(seq).await;
    until(|| files(dir).len() == 1).await;
    let asked = [0, 777, 5_000, 16_383, 16_500];
    let all = |store: &Store| asked.map(|number| nearest(store, number));
    let before = all(&store);
    assert!(before.iter().zip(asked).all(|(found, number)| found[0].0 == number + 1));
    close(store).await;

    let store = open(dir);
    assert_eq!(all(&store), before, "after a restart");
    store.delete_document("default", "1", Condition::default()).await.unwrap();
    let gone = |chunk: u64| (CHUNKS + 1..=2 * CHUNKS).contains(&chunk);
    let is_clean = |found: &[Vec<(u64, f32)>]| found.iter().flatten().all(|(one, _)| !gone(*one));
    let after = all(&store);
    assert!(is_clean(&after) && !is_clean(&before));
    close(store).await;

    let store = open(dir);
    assert_eq!(all(&store), after, "what was deleted is in the file, and is not found");
    close(store).await;
    assert!(check(dir, false).is_empty());

    damage(&files(dir)[0]);
    let differing = check(dir, true);
    assert!(differing.len() == 1 && differing[0].contains("damaged"), "{differing:?}");
    assert!(files(dir).is_empty());
    let store = open(dir);
    assert_eq!(all(&store), after, "without files");
    close(store).await;

    let made = files(dir);
    assert_eq!(made.len(), 1, "they are made again");
    let bytes = std::fs::read(&made[0]).unwrap();
    for left in [0, 100, bytes.len() / 2] {
        std::fs::write(&made[0], &bytes[..left]).unwrap();
        let store = open(dir);
        assert_eq!(all(&store), after, "with {left} bytes of the file");
        close(store).await;
    }
    assert!(check(dir, false).is_empty());

    // The last vector is one that each start compares.
    damage(&files(dir)[0]);
    let store = open(dir);
    assert_eq!(all(&store), after, "with another vector in the file");
    close(store).await;
    assert!(check(dir, false).is_empty());
}

/// The lexical scores of the chunks that a hybrid search finds, by chunk.
fn scores(store: &Store, text: &str, number: u64) -> Vec<(u64, Option<f32>)> {
    let found = candidates(store, text, number);
    let mut found: Vec<_> = found.iter().map(|one| (one.chunk, one.lexical)).collect();
    found.sort_by_key(|(chunk, _)| *chunk);
    found
}

fn word(id: u64, text: &str) -> NewDocument {
    NewDocument {
        text: text.into(),
        chunks: vec![NewChunk { span: 0..text.len() as u64, headings: Vec::new(), page: None }],
        ..document(id)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_question_with_the_same_words_finds_the_same_until_the_index_changes() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    for number in 0..40 {
        let text = if number % 2 == 0 { "maple" } else { "leaf" };
        let put =
            store.put("default", word(number, &format!("{text} {number}")), Condition::default());
        store.wait_document_searchable(put.await.unwrap().seq).await;
    }
    let first = scores(&store, "maple", 3);
    assert_eq!(scores(&store, "maple", 3), first);
    let scored = |found: &[(u64, Option<f32>)]| {
        let scored = found.iter().filter(|(_, score)| score.is_some());
        scored.copied().collect::<Vec<_>>()
    };
    assert_eq!(scored(&first).len(), 20);
    for moved in [8, 15, 22] {
        assert_eq!(scored(&scores(&store, "maple", moved)), scored(&first), "another vector");
    }
    store.delete_document("default", "0", Condition::default()).await.unwrap();
    assert_eq!(scored(&scores(&store, "maple", 3)).len(), 19);
    let put = store.put("default", word(99, "maple 99"), Condition::default()).await.unwrap();
    store.wait_document_searchable(put.seq).await;
    let found = scored(&scores(&store, "maple", 3));
    assert_eq!((found.len(), found.last().unwrap().0), (20, put.seq));
}
