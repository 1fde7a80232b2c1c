//! The real model, against vectors from a plain float64 implementation of the
//! published formulas over the same weights.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::path::PathBuf;
use std::sync::LazyLock;

use ragtime_embed::files::{ModelFiles, Source, ensure};
use ragtime_embed::{Embedder, Options, Pooling, Precision};

static EMBEDDER: LazyLock<Embedder> = LazyLock::new(|| {
    let files = files();
    Embedder::load(&files.weights, &files.tokenizer).unwrap()
});

fn files() -> ModelFiles {
    let _ = rustls::crypto::ring::default_provider().install_default();
    ensure(&model_dir(), Source::Auto, &mut |_| ()).unwrap()
}

/// The folder that the server uses by default.
fn model_dir() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| std::env::home_dir().unwrap().join(".cache"));
    let usual = cache.join("ragtime/models").join(Embedder::NAME);
    std::env::var_os("RAGTIME_MODEL__DIR").map_or(usual, PathBuf::from)
}

const GOLDEN: [(&str, [f32; 8]); 3] = [
    (
        "That is a happy person",
        [-0.033877, 0.091942, 0.048701, -0.034884, -0.064829, -0.026686, 0.134293, -0.006915],
    ),
    (
        "Das ist ein glücklicher Mensch",
        [0.005914, 0.077022, -0.013337, 0.038141, 0.010063, -0.017694, 0.097328, 0.010949],
    ),
    (
        "an experimental study of a wing in a propeller slipstream was made in order to determine \
         the spanwise distribution of the lift increase",
        [-0.020893, -0.010031, 0.000239, 0.002859, 0.012649, 0.020344, -0.049317, 0.035088],
    ),
];
/// "word " 400 times, which is cut at 256 tokens.
const GOLDEN_CUT: [f32; 8] =
    [-0.008124, -0.095586, -0.038673, 0.049662, -0.043794, 0.02372, -0.018142, -0.020207];
/// Rounding of 32-bit floats through six layers.
const TOLERANCE: f32 = 2e-5;

fn assert_near(vector: &[f32], golden: &[f32; 8]) {
    assert_eq!(vector.len(), Embedder::DIMENSIONS);
    for (found, expected) in vector.iter().zip(golden) {
        assert!((found - expected).abs() < TOLERANCE, "{:?} is not {golden:?}", &vector[..8]);
    }
}

#[test]
fn vectors_agree_with_the_published_model() {
    for (text, golden) in GOLDEN {
        assert_near(&EMBEDDER.embed(&[text]).unwrap()[0], &golden);
    }
}

#[test]
fn a_text_has_the_same_vector_alone_and_in_any_company() {
    let long = "word ".repeat(400);
    let mut texts: Vec<&str> = vec![&long, ""];
    texts.extend((0..60).map(|n| GOLDEN[n % 3].0));
    let vectors = EMBEDDER.embed(&texts).unwrap();
    assert_near(&vectors[0], &GOLDEN_CUT);
    for (place, vector) in vectors.iter().enumerate().skip(2) {
        assert_near(vector, &GOLDEN[(place - 2) % 3].1);
    }
    for vector in &vectors {
        let length: f32 = vector.iter().map(|value| value * value).sum();
        assert!((length - 1.0).abs() < 1e-4);
    }
}

/// The published `config.json`, without what is not read.
const CONFIG: &str = include_str!("golden/built-in.json");
/// Where kernels multiply whole bytes, sentences have 0.998 and the empty text,
/// of which there are only special tokens, has 0.993; where weights have a bit
/// less (AVX2 without VNNI), 0.996 and 0.989.
const INTEGER_COSINE: f32 = 0.985;

/// The model opened from a folder as any other.
fn open(precision: Precision) -> Embedder {
    let (dir, files) = (tempfile::tempdir().unwrap(), files());
    std::fs::write(dir.path().join("config.json"), CONFIG).unwrap();
    std::os::unix::fs::symlink(files.weights, dir.path().join("model.safetensors")).unwrap();
    std::os::unix::fs::symlink(files.tokenizer, dir.path().join("tokenizer.json")).unwrap();
    let (pooling, max_tokens) = (Some(Pooling::Mean), Some(Embedder::MAX_TOKENS));
    let options = Options { precision, pooling, max_tokens, ..Options::default() };
    Embedder::open(dir.path(), options).unwrap()
}

#[test]
fn the_model_from_a_folder_is_the_model() {
    let opened = open(Precision::F32);
    assert_eq!(opened.form(), EMBEDDER.form());
    for (text, _) in GOLDEN {
        assert_eq!(opened.embed(&[text]).unwrap(), EMBEDDER.embed(&[text]).unwrap());
    }
}

#[test]
fn vectors_in_eight_bits_are_near_those_in_floats() {
    let integers = open(Precision::Int8);
    assert!(integers.memory_bytes() * 7 < EMBEDDER.memory_bytes() * 2);
    let long = "word ".repeat(400);
    let mut texts: Vec<&str> = GOLDEN.iter().map(|(text, _)| *text).collect();
    texts.extend([long.as_str(), "", "What is lift?", "The cat sat on the mat.", "x", "1 + 1 = 2"]);
    let pairs = EMBEDDER.embed(&texts).unwrap().into_iter().zip(integers.embed(&texts).unwrap());
    for (text, (float, integer)) in texts.iter().zip(pairs) {
        let cosine: f32 = float.iter().zip(&integer).map(|(a, b)| a * b).sum();
        assert!(cosine > INTEGER_COSINE, "{text:.40}: {cosine}");
    }
}

#[test]
fn no_texts_have_no_vectors() {
    assert!(EMBEDDER.embed(&[]).unwrap().is_empty());
}

#[test]
fn token_starts_ascend_on_character_boundaries_and_are_not_cut() {
    let text = "Naïve Bäume: unbelievably 漢字 ".repeat(200);
    let starts = EMBEDDER.token_starts(&text).unwrap();
    assert!(starts.len() > 1_000);
    assert!(starts.is_sorted());
    assert!(starts.iter().all(|at| text.is_char_boundary(*at as usize)));
    assert_eq!(starts[0], 0);
}

#[test]
fn files_that_are_not_the_model_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "{}").unwrap();
    assert!(Embedder::load(&file, &file).is_err());
    assert!(Embedder::load(&dir.path().join("none"), &file).is_err());
}
