//! Every quote of every answer stands in its source, byte for byte.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod harness;

use std::path::Path;

use harness::{ADMIN, Setup, binary};
use serde_json::{Value, json};

/// The corpus: this project's own pages, a document for each paragraph.
const PAGES: [&str; 4] = [
    include_str!("../README.md"),
    include_str!("../ARCHITECTURE.md"),
    include_str!("../CHANGELOG.md"),
    include_str!("../ragtime.example.toml"),
];

/// Questions asked; the long form is in the README.
const QUESTIONS: usize = 250;

fn lines(path: &Path, values: impl Iterator<Item = Value>) {
    std::fs::write(path, values.map(|value| format!("{value}\n")).collect::<String>()).unwrap();
}

/// Questions on the pages, with a word that every paragraph has that may answer.
const ASKED: [(&str, &str); 2] = [
    ("What does a handler without a permit reach?", "permit"),
    ("Where does the host read a quote from?", "quote"),
];

/// The pages and the questions on them, in BEIR's layout.
fn own(dir: &Path) {
    let paragraphs = PAGES.iter().flat_map(|page| page.split("\n\n"));
    let paragraphs: Vec<_> = paragraphs.filter(|text| !text.trim().is_empty()).collect();
    let documents = paragraphs
        .iter()
        .enumerate()
        .map(|(id, text)| json!({"_id": id.to_string(), "title": "", "text": text}));
    lines(&dir.join("corpus.jsonl"), documents);
    let queries = ASKED.iter().enumerate();
    let queries = queries.map(|(id, (text, _))| json!({"_id": id.to_string(), "text": text}));
    lines(&dir.join("queries.jsonl"), queries);
    let mut judged = String::new();
    for (query, (_, word)) in ASKED.iter().enumerate() {
        for (document, _) in paragraphs.iter().enumerate().filter(|(_, text)| text.contains(word)) {
            judged.push_str(&format!("{query}\t{document}\t1\n"));
        }
    }
    std::fs::create_dir(dir.join("qrels")).unwrap();
    std::fs::write(dir.join("qrels/test.tsv"), judged).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_answers_quote_nothing_but_stored_bytes() {
    let server = Setup::new().start();
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    own(dir.path());
    let strange = ["How is sourdough bread baked?", "Who won the football championship of 1958?"];
    lines(&other.path().join("queries.jsonl"), strange.iter().map(|text| json!({"text": text})));
    let done = binary()
        .args(["eval", "--json", "--questions", &QUESTIONS.to_string(), "--answers"])
        .args([other.path(), dir.path()])
        .env("RAGTIME_SERVER", &server.url)
        .env("RAGTIME_KEY", ADMIN)
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let told: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(told["questions"], QUESTIONS, "{told}");
    assert!(told["quotes_checked"].as_u64().unwrap() > 200, "{told}");
    assert_eq!(told["quotes_checked"], told["quotes_equal"]);
    let curve = told["curve"].as_array().unwrap();
    assert_eq!((&curve[0]["coverage"], &curve[0]["right"]), (&json!(1.0), &json!(1.0)), "{told}");
    let set = curve.iter().find(|point| point["threshold"] == 0.15).unwrap();
    assert_eq!(set["false_answers"], 0.0, "{told}");
    assert!(
        curve.windows(2).all(|pair| pair[0]["coverage"].as_f64() >= pair[1]["coverage"].as_f64())
    );
}
