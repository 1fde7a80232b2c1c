//! Tiny models of every form, against what the published libraries compute with
//! them: `golden/make.py` makes both.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use ragtime_embed::{EmbedError, Embedder, LoadError, Options, Pooling, Precision, Reranker, Role};
use serde_json::{Value, json};

/// Rounding of 32-bit floats through two layers.
const TOLERANCE: f64 = 1e-5;

fn golden() -> BTreeMap<String, Value> {
    serde_json::from_str(&fs::read_to_string(folder("golden.json")).unwrap()).unwrap()
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn assert_near(what: &str, found: &[f32], expected: &Value) {
    let expected: Vec<f64> = serde_json::from_value(expected.clone()).unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        let distance = (f64::from(*found) - expected).abs();
        assert!(distance < TOLERANCE, "{what}: {found} is not {expected}");
    }
}

#[test]
fn vectors_of_every_form_are_those_of_the_published_libraries() {
    let mut forms = 0;
    for (name, golden) in golden() {
        let Some(passages) = golden["passages"].as_array() else { continue };
        let embedder = Embedder::open(&folder(&name), Options::default()).unwrap();
        assert_eq!((embedder.dimensions(), embedder.max_tokens()), (24, 24));
        let texts: Vec<&str> = passages.iter().map(|case| case[0].as_str().unwrap()).collect();
        let vectors = embedder.embed(&texts).unwrap();
        for (vector, case) in vectors.iter().zip(passages) {
            assert_near(&format!("{name}, {}", case[0]), vector, &case[1]);
        }
        for case in golden["queries"].as_array().unwrap() {
            let vector = embedder.embed_query(case[0].as_str().unwrap()).unwrap();
            assert_near(&format!("{name}, query {}", case[0]), &vector, &case[1]);
        }
        forms += 1;
    }
    assert_eq!(forms, 7);
}

#[test]
fn scores_of_both_rerankers_are_those_of_the_published_libraries() {
    for (name, form) in [("bert-reranker", "BERT"), ("xlmr-reranker", "XLM-RoBERTa")] {
        let reranker = Reranker::open(&folder(name), Options::default()).unwrap();
        assert!(reranker.form().starts_with(form), "{}", reranker.form());
        let golden = golden();
        let pairs = golden[name]["pairs"].as_array().unwrap();
        for query in ["what is lift", "Drag at speed?"] {
            let cases: Vec<&Value> = pairs.iter().filter(|case| case[0] == query).collect();
            let passages: Vec<&str> = cases.iter().map(|case| case[1].as_str().unwrap()).collect();
            let scores = reranker.score(query, &passages, &|| true).unwrap();
            assert_eq!(scores.len(), 6);
            for (score, case) in scores.iter().zip(cases) {
                assert_near(&format!("{name}, {case}"), &[score.logit], &json!([case[2]]));
                let logistic = 1.0 / (1.0 + (-score.logit).exp());
                assert!((score.relevance - logistic).abs() < 1e-6);
            }
        }
        assert!(reranker.score("a", &["b"], &|| false).is_err());
        assert!(reranker.score("a", &[], &|| true).unwrap().is_empty());
    }
}

#[test]
fn a_long_query_is_refused_and_a_long_passage_is_cut() {
    let reranker = Reranker::open(&folder("bert-reranker"), Options::default()).unwrap();
    assert_eq!((reranker.max_tokens(), reranker.max_query_tokens()), (32, 14));
    let long = "wing ".repeat(14);
    let pairs = reranker.tokens(&long, &["lift ".repeat(50).as_str()]).unwrap();
    assert_eq!(pairs[0].len(), 32);
    let error = reranker.tokens(&"wing ".repeat(15), &["lift"]).unwrap_err().to_string();
    assert!(error.contains("more than 14 tokens"), "{error}");
}

#[test]
fn prompts_stand_before_the_role_that_they_are_for() {
    let embedder = Embedder::open(&folder("xlmr-mean-prompts"), Options::default()).unwrap();
    assert_eq!((embedder.query_prompt(), embedder.passage_prompt()), ("query: ", "passage: "));
    let without = Options {
        query_prompt: Some(String::new()),
        passage_prompt: Some(String::new()),
        ..Options::default()
    };
    let plain = Embedder::open(&folder("xlmr-mean-prompts"), without).unwrap();
    for (role, prompt) in [(Role::Query, "query: "), (Role::Passage, "passage: ")] {
        let prompted = embedder.tokens_as(role, &["the wing"]).unwrap();
        assert_eq!(plain.tokens_as(role, &[&format!("{prompt}the wing")]).unwrap(), prompted);
    }
}

#[test]
fn a_long_text_in_pieces_has_the_tokens_of_the_whole_with_unigrams() {
    let embedder = Embedder::open(&folder("xlmr-cls"), Options::default()).unwrap();
    let starts = embedder.token_starts(&"the wing of a plane ".repeat(2_000)).unwrap();
    let once = embedder.token_starts("the wing of a plane").unwrap();
    assert_eq!(starts.len(), 2_000 * once.len());
    assert!(starts.is_sorted());
    assert!(embedder.unknown_share("\u{1f3b9}").unwrap() > 0.0);
    assert!(embedder.unknown_share("the wing").unwrap() < 0.01);
}

#[test]
fn eight_bits_are_near_and_smaller() {
    let float = Embedder::open(&folder("bert-mean"), Options::default()).unwrap();
    let options = Options { precision: Precision::Int8, ..Options::default() };
    let integer = Embedder::open(&folder("bert-mean"), options.clone()).unwrap();
    assert!(integer.memory_bytes() < float.memory_bytes() / 2);
    assert!(integer.form().ends_with("mean pooling, int8"), "{}", integer.form());
    let texts = ["the wing of a plane", "what is drag"];
    for (a, b) in float.embed(&texts).unwrap().iter().zip(&integer.embed(&texts).unwrap()) {
        let cosine: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
        assert!(cosine > 0.99, "{cosine}");
    }
    assert!(Reranker::open(&folder("xlmr-reranker"), options).is_ok());
}

/// A copy of a model's folder with one of its JSON files changed.
fn changed(name: &str, file: &str, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("1_Pooling")).unwrap();
    for place in ["", "1_Pooling"] {
        let Ok(entries) = fs::read_dir(folder(name).join(place)) else { continue };
        for entry in entries.map(Result::unwrap).filter(|entry| entry.path().is_file()) {
            fs::copy(entry.path(), copy.path().join(place).join(entry.file_name())).unwrap();
        }
    }
    let path = copy.path().join(file);
    let mut value = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
    change(&mut value);
    fs::write(&path, value.to_string()).unwrap();
    copy
}

#[test]
fn forms_that_would_be_run_wrongly_are_refused_with_their_name() {
    let cases = [
        ("config.json", "/architectures/0", json!("NomicBertModel"), "NomicBertModel"),
        ("config.json", "/hidden_act", json!("relu"), "relu"),
        ("config.json", "/is_decoder", json!(true), "is_decoder"),
        ("config.json", "/num_hidden_layers", json!(3), "encoder.layer.2"),
        ("config.json", "/vocab_size", json!(79), "word_embeddings"),
        ("config.json", "/intermediate_size", json!(96), "intermediate.dense"),
        ("modules.json", "/2/type", json!("sentence_transformers.models.Dense"), "Dense"),
        ("1_Pooling/config.json", "/pooling_mode_mean_tokens", json!(false), "pooling"),
        ("1_Pooling/config.json", "/pooling_mode_max_tokens", json!(true), "max_tokens"),
        ("1_Pooling/config.json", "/word_embedding_dimension", json!(25), "25"),
        ("sentence_bert_config.json", "/do_lower_case", json!(true), "do_lower_case"),
        ("sentence_bert_config.json", "/max_seq_length", json!(1), "length"),
        ("tokenizer.json", "/model/type", json!("WordLevel"), "WordLevel"),
        ("tokenizer.json", "/pre_tokenizer/type", json!("Whitespace"), "WordPiece"),
        ("tokenizer.json", "/normalizer", json!(null), "BERT's normalizer"),
        ("tokenizer.json", "/post_processor", json!(null), "special tokens"),
    ];
    for (file, pointer, value, said) in cases {
        let copy = changed("bert-mean", file, |json| {
            *json.pointer_mut(pointer).unwrap() = value.clone();
        });
        let error = Embedder::open(copy.path(), Options::default()).err().unwrap().to_string();
        assert!(error.contains(said), "{file}{pointer}: {error}");
    }
}

#[test]
fn unigrams_that_cannot_be_parted_are_refused() {
    let refused = |pre_tokenizer: Value, said: &str| {
        let copy = changed("xlmr-cls", "tokenizer.json", |tokenizer| {
            tokenizer["pre_tokenizer"] = pre_tokenizer.clone();
        });
        let error = Embedder::open(copy.path(), Options::default()).err().unwrap().to_string();
        assert!(error.contains(said), "{error}");
    };
    let first = json!({"type": "Metaspace", "replacement": "\u{2581}", "prepend_scheme": "first"});
    refused(first, "prepend_scheme First");
    refused(json!({"type": "WhitespaceSplit"}), "without Metaspace");
    refused(json!(null), "without Metaspace");
}

#[test]
fn an_embedder_is_no_reranker_nor_the_other_way_round() {
    let error = Embedder::open(&folder("bert-reranker"), Options::default()).err().unwrap();
    assert!(error.to_string().contains("a classifier of pairs"), "{error}");
    let error = Reranker::open(&folder("bert-mean"), Options::default()).err().unwrap();
    assert!(error.to_string().contains("without a classifier"), "{error}");
    let labels = changed("xlmr-reranker", "config.json", |config| {
        config["id2label"] = json!({"0": "a", "1": "b", "2": "c"});
    });
    let error = Reranker::open(labels.path(), Options::default()).err().unwrap();
    assert!(error.to_string().contains("3 labels"), "{error}");
    let options = Options { pooling: Some(Pooling::Mean), ..Options::default() };
    assert!(Reranker::open(&folder("bert-reranker"), options).is_err());
}

#[test]
fn a_length_beyond_the_positions_is_refused() {
    let options = |max_tokens| Options { max_tokens: Some(max_tokens), ..Options::default() };
    let embedder = Embedder::open(&folder("xlmr-cls"), options(40)).unwrap();
    assert_eq!(embedder.tokens(&["wing ".repeat(99).as_str()]).unwrap()[0].len(), 40);
    let refused = Embedder::open(&folder("xlmr-cls"), options(41));
    assert!(matches!(refused, Err(LoadError::Bound { found: 41, most: 40, .. })));
}

#[test]
fn what_is_called_off_stops_at_the_next_layer() {
    let embedder = Embedder::open(&folder("bert-mean"), Options::default()).unwrap();
    for texts in [1, 200] {
        let ids = vec![vec![2, 3]; texts];
        let asked = AtomicUsize::new(0);
        // Wanted when the first layer asks, and no longer when the second does.
        let wanted = || asked.fetch_add(1, Ordering::Relaxed) == 0;
        let called_off = embedder.embed_tokens(&ids, &wanted);
        assert!(matches!(called_off, Err(EmbedError::CalledOff)));
        assert_eq!(asked.into_inner(), 2);
    }
}

#[test]
fn tokens_that_the_model_does_not_have_are_refused() {
    let embedder = Embedder::open(&folder("bert-mean"), Options::default()).unwrap();
    assert!(embedder.embed_tokens(&[vec![2, 80, 3]], &|| true).is_err());
    assert!(embedder.embed_tokens(&[vec![2; 41]], &|| true).is_err());
    for name in ["bert-mean", "bert-cls-prompt"] {
        let embedder = Embedder::open(&folder(name), Options::default()).unwrap();
        let some = [vec![2, 7, 3], vec![], vec![2, 8, 9, 3]];
        let vectors = embedder.embed_tokens(&some, &|| true).unwrap();
        assert_eq!(vectors[1], [0.0; 24]);
        let alone = embedder.embed_tokens(&some[2..], &|| true).unwrap();
        let same = vectors[2].iter().zip(&alone[0]).all(|(a, b)| (a - b).abs() < 1e-6);
        assert!(same, "{name}");
    }
}
