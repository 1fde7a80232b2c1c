//! Prints what the model does on this machine, in floats and in 8-bit integers:
//! `cargo bench -p ragtime-embed`. It uses the cores that the process may run on.
//! `peers.py` beside this file measures other libraries with the same texts.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::time::{Duration, Instant};

use ragtime_embed::files::{ModelFiles, Source, ensure};
use ragtime_embed::{Embedder, Options, Pooling, Precision};

const TEXTS: usize = 128;
const QUERIES: usize = 200;
const ROUNDS: usize = 3;
/// The published `config.json`, without what is not read.
const CONFIG: &str = include_str!("../tests/golden/built-in.json");

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = std::env::home_dir().unwrap().join(".cache/ragtime/models").join(Embedder::NAME);
    let files = ensure(&dir, Source::Auto, &mut |_| ()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    lay_out(&files, folder.path());
    for (name, precision) in [("f32", Precision::F32), ("int8", Precision::Int8)] {
        let pooling = Some(Pooling::Mean);
        let options = Options { precision, pooling, ..Options::default() };
        let started = Instant::now();
        let embedder = Embedder::open(folder.path(), options).unwrap();
        println!("{name}, load                {:>8.1} ms", millis(started.elapsed()));
        println!("{name}, weights             {:>8.1} MB", embedder.memory_bytes() as f64 / 1e6);
        measure(name, &embedder);
    }
}

/// The model's files as a hub has them.
fn lay_out(files: &ModelFiles, folder: &Path) {
    std::fs::write(folder.join("config.json"), CONFIG).unwrap();
    std::os::unix::fs::symlink(&files.weights, folder.join("model.safetensors")).unwrap();
    std::os::unix::fs::symlink(&files.tokenizer, folder.join("tokenizer.json")).unwrap();
}

fn measure(name: &str, embedder: &Embedder) {
    // 126 words of one token each and the two special tokens.
    let text = "wing ".repeat(126);
    let texts = vec![text.as_str(); TEXTS];
    let best = (0..ROUNDS).map(|_| time(|| drop(embedder.embed(&texts).unwrap()))).min();
    let rate = TEXTS as f64 / best.unwrap().as_secs_f64();
    println!("{name}, 128 tokens         {rate:>8.1} texts/s");
    let query = "what similarity laws must be obeyed when constructing aeroelastic models";
    let mut times: Vec<_> =
        (0..QUERIES).map(|_| time(|| drop(embedder.embed(&[query]).unwrap()))).collect();
    times.sort();
    println!(
        "{name}, one query, median   {:>8.2} ms",
        millis(times.get(QUERIES / 2).copied().unwrap())
    );
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
