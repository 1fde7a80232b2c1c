//! Every quote of every answer stands in its source, byte for byte.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::Path;

use crate::harness::{ADMIN, Answer, Setup, binary};
use reqwest::Method;
use serde_json::{Value, json};

/// What Ragtime says about itself.
const OWN: [(&str, &str); 13] = [
    ("README.md", include_str!("../README.md")),
    ("ARCHITECTURE.md", include_str!("../ARCHITECTURE.md")),
    ("SECURITY.md", include_str!("../SECURITY.md")),
    ("api.md", include_str!("../docs/api.md")),
    ("operation.md", include_str!("../docs/operation.md")),
    ("handlers.md", include_str!("../docs/handlers.md")),
    ("answers.md", include_str!("../docs/answers.md")),
    ("benchmarks.md", include_str!("../docs/benchmarks.md")),
    ("clients.md", include_str!("../docs/clients.md")),
    ("command-line.md", include_str!("../docs/command-line.md")),
    ("documents.md", include_str!("../docs/documents.md")),
    ("languages.md", include_str!("../docs/languages.md")),
    ("models.md", include_str!("../docs/models.md")),
];

/// The corpus: this project's own pages, a document for each paragraph.
const PAGES: [&str; 7] = [
    include_str!("../README.md"),
    include_str!("../docs/api.md"),
    include_str!("../docs/operation.md"),
    include_str!("../docs/handlers.md"),
    include_str!("../ARCHITECTURE.md"),
    include_str!("../CHANGELOG.md"),
    include_str!("../ragtime.example.toml"),
];

/// Questions asked; `docs/benchmarks.md` has the command of the long form.
const QUESTIONS: usize = 250;

const DOCUMENTS: &str = "/v1/collections/default/documents";

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
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(report["questions"], QUESTIONS, "{report}");
    assert!(report["quotes_checked"].as_u64().unwrap() > 200, "{report}");
    assert_eq!(report["quotes_checked"], report["quotes_equal"]);
    let curve = report["curve"].as_array().unwrap();
    assert_eq!((&curve[0]["coverage"], &curve[0]["right"]), (&json!(1.0), &json!(1.0)), "{report}");
    let set = curve.iter().find(|point| point["threshold"] == 0.15).unwrap();
    assert_eq!(set["false_answers"], 0.0, "{report}");
    assert!(
        curve.windows(2).all(|pair| pair[0]["coverage"].as_f64() >= pair[1]["coverage"].as_f64())
    );
}

#[tokio::test]
async fn a_conversation_on_two_subjects_is_understood_turn_by_turn() {
    let server = Setup::new().start();
    let pages = [
        (
            "quay",
            "# The east quay\n\nThe east quay was built by the harbour company of Norvik. It cost four million crowns. \
             It was finished in 2019. The quay is 310 metres long.",
        ),
        (
            "joplin",
            "# Scott Joplin\n\nScott Joplin was a composer of ragtime. He was born in Texas in 1868. \
             Joplin published the Maple Leaf Rag in 1899. He died in New York in 1917.",
        ),
        ("tide", "# Tides\n\nThe tide at Norvik rises by two metres. The moon makes the tide."),
    ];
    for (id, text) in pages {
        server.document(id, text).await;
    }
    let turns = [
        ("When was the east quay finished?", "It was finished in 2019."),
        ("What did it cost?", "It cost four million crowns."),
        ("And how long is it?", "310 metres long"),
        (
            "When did Scott Joplin publish the Maple Leaf Rag?",
            "published the Maple Leaf Rag in 1899",
        ),
        ("And where did he die?", "He died in New York in 1917."),
    ];
    let mut messages = Vec::new();
    for (question, fact) in turns {
        messages.push(json!({"role": "user", "content": question}));
        let body = json!({"model": "ragtime/default", "messages": messages});
        let answer = server.post("/v1/chat/completions", body).await;
        let message = answer.body["choices"][0]["message"].clone();
        let said = message["content"].as_str().unwrap();
        assert!(said.contains(fact), "{question} {said}");
        let confidence = message["confidence"].as_f64().unwrap();
        assert!((0.15..=1.0).contains(&confidence), "{confidence}");
        messages.push(message);
    }
}

#[tokio::test]
async fn the_least_confidence_is_a_setting() {
    let asked = async |least: &str| {
        let server = Setup::new().set("GENERATOR__MIN_CONFIDENCE", least).start();
        server.document("quay", "The quay was finished in 2019. It cost four million.").await;
        let body = json!({"query": "When was the quay finished?"});
        let answer = server.post("/v1/collections/default/query", body).await;
        (answer.body["abstained"].as_bool().unwrap(), answer.body["confidence"].as_f64().unwrap())
    };
    let (abstained, confidence) = asked("0").await;
    assert!(!abstained && confidence > 0.5, "{confidence}");
    assert_eq!(asked("1").await, (true, confidence));
}

#[derive(serde::Deserialize)]
struct Asked {
    question: String,
    /// Of each, one of the wordings is in a right answer.
    facts: Vec<Vec<String>>,
}

/// Of forty. `docs/answers.md` has what is reached.
const LEAST_RIGHT: usize = 36;

#[tokio::test(flavor = "multi_thread")]
async fn forty_questions_on_ragtime_are_answered_from_its_pages() {
    let server = Setup::with_model().start();
    server.model().await;
    for (name, text) in OWN {
        let request = server.request(Method::PUT, &format!("{DOCUMENTS}/{name}?wait=searchable"));
        let put = Answer::of(request.header("content-type", "text/markdown").body(text)).await;
        assert_eq!(put.status, 201, "{put:?}");
    }
    let asked: Vec<Asked> =
        serde_json::from_str(include_str!("fixtures/questions/own.json")).unwrap();
    assert_eq!(asked.len(), 40);
    let plain = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
    let mut wrong = Vec::new();
    for Asked { question, facts } in &asked {
        let body = json!({"query": question});
        let answer = server.post("/v1/collections/default/query", body).await;
        let said = plain(answer.body["answer"].as_str().unwrap());
        assert!(!said.starts_with(&plain(question)), "an echo: {said}");
        let heading =
            |line: &str| line.starts_with('#') && plain(line.trim_matches(['#', ' '])) == said;
        assert!(!OWN.iter().any(|(_, text)| text.lines().any(heading)), "a heading: {said}");
        if !facts.iter().all(|wordings| wordings.iter().any(|fact| said.contains(&plain(fact)))) {
            wrong.push(format!("{question} {said}"));
        }
    }
    println!("{} of {} right", asked.len() - wrong.len(), asked.len());
    assert!(asked.len() - wrong.len() >= LEAST_RIGHT, "{wrong:#?}");
}
