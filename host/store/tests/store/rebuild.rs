//! An index that an earlier version made serves until the next one is complete.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use ragtime_policy::chunking::ChunkingSpec;
use ragtime_policy::version::Condition;
use ragtime_store::{CandidateQuery, Details, NewChunk, NewDocument, Settings, Store};
use tantivy::schema::{FAST, INDEXED, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};
use tantivy::{Index, TantivyDocument};

/// Enough, one at a time, that the first search comes before the last of them.
const DOCUMENTS: u64 = 200;
/// A word of the old index alone, by which it is recognised.
const MARK: &str = "zyzzyva";

fn settings() -> Settings {
    Settings { index_batch: 1, ..Settings::default() }
}

fn document(number: u64) -> NewDocument {
    let text = format!("Die H\u{e4}user von Bezirk {number} sind nicht alle gleich hoch.");
    NewDocument {
        id: Some(format!("d{number}")),
        title: None,
        media_type: "text/plain".into(),
        metadata: "{}".into(),
        chunks: vec![NewChunk { span: 0..text.len() as u64, headings: Vec::new(), page: None }],
        text,
        cut: ChunkingSpec::default(),
        outline: String::new(),
        details: Details::default(),
    }
}

fn found(store: &Store, text: &str) -> usize {
    let query = CandidateQuery::by_words(text, 1_000);
    store.candidates("default", &query).unwrap().len()
}

/// The folder of the one collection's indexes.
fn folder(dir: &Path) -> PathBuf {
    let mut all = std::fs::read_dir(dir.join("index")).unwrap();
    all.next().unwrap().unwrap().path()
}

/// Puts in the place of an index one as the first version made it: words of English
/// in one field, in the collection's folder itself. The index that stood there is moved
/// away, not deleted: a merge that the closed store cut off may still write a file to
/// it, and a folder that is written to cannot be deleted.
fn make_old(folder: &Path, chunks: u64) {
    std::fs::rename(folder, folder.with_extension("before")).unwrap();
    std::fs::create_dir_all(folder).unwrap();
    let mut schema = Schema::builder();
    let chunk = schema.add_u64_field("chunk", INDEXED | FAST);
    let words = TextFieldIndexing::default()
        .set_tokenizer("ragtime_en")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let body = schema.add_text_field("body", TextOptions::default().set_indexing_options(words));
    let index = Index::create_in_dir(folder, schema.build()).unwrap();
    index.tokenizers().register("ragtime_en", tantivy::tokenizer::WhitespaceTokenizer::default());
    let mut writer = index.writer_with_num_threads(1, 15_000_000).unwrap();
    for number in 1..=chunks {
        let mut document = TantivyDocument::default();
        document.add_u64(chunk, number);
        document.add_text(body, format!("{MARK} bezirk {number}"));
        writer.add_document(document).unwrap();
    }
    let mut commit = writer.prepare_commit().unwrap();
    commit.set_payload(&format!("{chunks} 0"));
    commit.commit().unwrap();
    writer.wait_merging_threads().unwrap();
}

async fn filled(dir: &Path) {
    let store = Store::open(dir, Settings::default()).unwrap();
    let mut last = 0;
    for number in 1..=DOCUMENTS {
        last = store.put("default", document(number), Condition::default()).await.unwrap().seq;
    }
    store.wait_searchable(last).await;
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_index_serves_until_the_new_one_takes_its_place() {
    let dir = tempfile::tempdir().unwrap();
    filled(dir.path()).await;
    let folder = folder(dir.path());
    make_old(&folder, DOCUMENTS);

    let store = Store::open(dir.path(), settings()).unwrap();
    assert_eq!(found(&store, MARK), DOCUMENTS as usize, "the old index is read");
    store.delete_document("default", "d7", Condition::default()).await.unwrap();
    let put = store.put("default", document(DOCUMENTS + 1), Condition::default()).await.unwrap();
    store.wait_searchable(put.seq).await;
    let mut looks = 0;
    while found(&store, MARK) > 0 {
        assert_eq!(found(&store, "bezirk"), DOCUMENTS as usize, "search is served meanwhile");
        looks += 1;
        tokio::task::yield_now().await;
    }
    assert!(looks > 0);
    assert_eq!(found(&store, "bezirk"), DOCUMENTS as usize, "changes meanwhile are in the new one");
    assert_eq!(found(&store, "Haus"), DOCUMENTS as usize, "by stems of its language");
    assert!(!folder.join("meta.json").exists(), "the old one is gone");
    store.close().await;
    drop(store);

    let again = Store::open(dir.path(), settings()).unwrap();
    assert_eq!(found(&again, "Haus"), DOCUMENTS as usize);
    again.close().await;
}
