//! Prints what the model does on this machine: `cargo bench -p ragtime-embed`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use ragtime_embed::Embedder;
use ragtime_embed::files::{Source, ensure};

const TEXTS: usize = 256;
const QUERIES: usize = 200;

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let dir = std::env::home_dir().unwrap().join(".cache/ragtime/models").join(Embedder::NAME);
    let files = ensure(&dir, Source::Auto, &mut |_| ()).unwrap();
    let started = Instant::now();
    let embedder = Embedder::load(&files.weights, &files.tokenizer).unwrap();
    println!("load                {:>8.1} ms", millis(started.elapsed()));

    // 126 words of one token each and the two special tokens.
    let text = "wing ".repeat(126);
    let texts = vec![text.as_str(); TEXTS];
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let all = rayon::ThreadPoolBuilder::new().build().unwrap();
    for (name, pool) in [("one thread", &one), ("all threads", &all)] {
        let best =
            (0..3).map(|_| pool.install(|| time(|| drop(embedder.embed(&texts).unwrap())))).min();
        let rate = TEXTS as f64 / best.unwrap().as_secs_f64();
        println!("128 tokens, {name:<11} {rate:>5.1} chunks/s");
    }
    let query = "what similarity laws must be obeyed when constructing aeroelastic models";
    let mut times: Vec<_> = (0..QUERIES)
        .map(|_| one.install(|| time(|| drop(embedder.embed(&[query]).unwrap()))))
        .collect();
    times.sort();
    println!("one query, median   {:>8.2} ms", millis(times.get(QUERIES / 2).copied().unwrap()));
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
