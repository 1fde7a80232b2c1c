//! The store at scale, without a model: Zipf text, clustered vectors.
//!
//! `RAGTIME_BENCH_ROWS=1000000 cargo bench -p ragtime-store --bench scale`
//! (100,000 chunks by default). Prints a table; recall is measured against the
//! exact scan, with queries that are not among the rows.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ragtime_policy::chunking::Cut;
use ragtime_store::{
    BoxError, CandidateQuery, Details, Embed, NewChunk, NewDocument, Settings, Store,
};

const COLLECTION: &str = "bench";
const DEFAULT_ROWS: u64 = 100_000;
/// As of all-MiniLM-L6-v2.
const DIMENSIONS: usize = 384;
/// Rows around one centre of the vectors.
const ROWS_PER_CLUSTER: u64 = 100;
/// Length of the noise around a centre of length 1.
const SPREAD: f32 = 0.8;
const VOCABULARY: f64 = 50_000.0;
const WORDS_PER_CHUNK: u64 = 100;
const WORDS_PER_QUERY: u64 = 7;
const CHUNKS_PER_DOCUMENT: u64 = 10;
const DOCUMENTS_PER_JOB: u64 = 100;
/// Chunks taken from each leg.
const DEPTH: usize = 100;
const TIMED_QUERIES: u64 = 500;
const RECALL_QUERIES: u64 = 100;
const RECALL_AT: usize = 10;
/// Rows of queries: far beyond those that are stored.
const HELD_OUT: u64 = 1 << 40;

fn main() {
    let rows =
        std::env::var("RAGTIME_BENCH_ROWS").map_or(DEFAULT_ROWS, |rows| rows.parse().unwrap());
    let clusters = (rows / ROWS_PER_CLUSTER).max(1);
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let open = || {
        let store = Store::open(dir.path(), Settings::default()).unwrap();
        store.set_embedder(Arc::new(Clustered { clusters }));
        store
    };
    let store = open();
    let took = runtime.block_on(ingest(&store, rows));
    print("chunks", rows);
    print("ingested, chunks/s", format!("{:.0}", rows as f64 / took.as_secs_f64()));
    for (name, lexical, vector) in
        [("hybrid", true, true), ("lexical", true, false), ("vector", false, true)]
    {
        let times = latencies(&store, clusters, lexical, vector);
        let at = |part: usize| times.get(times.len() * part / 100).unwrap().as_secs_f64() * 1e3;
        print(&format!("{name}, p50 / p99 ms"), format!("{:.2} / {:.2}", at(50), at(99)));
    }
    print("resident, MB", resident_kib() / 1_024);
    print("on disk, MB", bytes_under(dir.path()) >> 20);
    print("vector recall@10", format!("{:.3}", recall(&store, rows, clusters)));
    runtime.block_on(store.close());
    drop(store);
    let start = Instant::now();
    let store = open();
    search(&store, 0, clusters, true, true, DEPTH);
    print("start to first answer, s", format!("{:.1}", start.elapsed().as_secs_f64()));
    runtime.block_on(store.close());
}

fn print(what: &str, value: impl std::fmt::Display) {
    println!("{what:<28}{value}");
}

/// Stands in for a model: the text names the row, the row gives the vector.
struct Clustered {
    clusters: u64,
}

impl Embed for Clustered {
    fn dimensions(&self) -> usize {
        DIMENSIONS
    }

    fn name(&self) -> &str {
        "clustered"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        texts
            .iter()
            .map(|text| {
                let name = text.split_whitespace().find_map(|word| word.strip_prefix("row"));
                Ok(vector(name.ok_or("a text without a row")?.parse()?, self.clusters))
            })
            .collect()
    }
}

/// A sequence of random numbers in 0..1 (splitmix64).
fn random(seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_mul(0xd134_2543_de82_ef95);
    std::iter::repeat_with(move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    })
}

fn direction(seed: u64) -> Vec<f32> {
    unit(random(seed).take(DIMENSIONS).map(|value| value as f32 - 0.5).collect())
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    values.iter_mut().for_each(|value| *value /= length);
    values
}

fn vector(row: u64, clusters: u64) -> Vec<f32> {
    let cluster = (random(row).next().unwrap() * clusters as f64) as u64;
    let centre = direction(HELD_OUT * 2 + cluster);
    unit(centre.iter().zip(direction(row)).map(|(a, b)| a + SPREAD * b).collect())
}

fn words(seed: u64, count: u64) -> String {
    let rank = |at: f64| VOCABULARY.powf(at) as u64;
    let words = random(seed).take(usize::try_from(count).unwrap());
    words.map(|at| format!("w{}", rank(at))).collect::<Vec<_>>().join(" ")
}

fn document(first: u64) -> NewDocument {
    let mut text = String::new();
    let mut chunks = Vec::new();
    for row in first..first + CHUNKS_PER_DOCUMENT {
        let start = text.len() as u64;
        text.push_str(&format!("row{row} {}\n", words(row, WORDS_PER_CHUNK)));
        chunks.push(NewChunk { span: start..text.len() as u64, headings: Vec::new(), page: None });
    }
    NewDocument {
        id: Some(format!("d{first}")),
        title: None,
        text,
        media_type: "text/plain".into(),
        metadata: "{}".into(),
        chunks,
        cut: Cut::default(),
        outline: String::new(),
        details: Details::default(),
    }
}

/// Ends when search finds every row. One job waits while another is indexed.
async fn ingest(store: &Store, rows: u64) -> Duration {
    store.create_collection(COLLECTION, None, None).await.unwrap();
    let start = Instant::now();
    let mut before = 0;
    let per_job = CHUNKS_PER_DOCUMENT * DOCUMENTS_PER_JOB;
    for job in 0..rows.div_ceil(per_job) {
        let first = (job * per_job..rows.min((job + 1) * per_job))
            .step_by(usize::try_from(CHUNKS_PER_DOCUMENT).unwrap());
        let documents = first.map(document).collect();
        let (_, seq) = store.ingest(COLLECTION, documents, Vec::new()).await.unwrap();
        store.wait_searchable(before).await;
        before = seq;
    }
    store.wait_searchable(before).await;
    start.elapsed()
}

/// The cosines of what the vector leg found, or of all that both did.
fn search(
    store: &Store,
    query: u64,
    clusters: u64,
    lexical: bool,
    with_vector: bool,
    depth: usize,
) -> (Vec<f32>, Duration) {
    let text = words(HELD_OUT + query, WORDS_PER_QUERY);
    let vector = vector(HELD_OUT + query, clusters);
    let query = CandidateQuery {
        text: &text,
        lexical,
        vector: with_vector.then_some(&vector),
        depth,
        filter: None,
        required: &[],
        excluded: &[],
        model: None,
        known: None,
    };
    let start = Instant::now();
    let found = store.candidates(COLLECTION, &query).unwrap();
    let took = start.elapsed();
    assert!(!found.is_empty());
    (found.iter().filter_map(|one| one.vector).collect(), took)
}

fn latencies(store: &Store, clusters: u64, lexical: bool, vector: bool) -> Vec<Duration> {
    let mut times: Vec<_> = (0..TIMED_QUERIES)
        .map(|query| search(store, query, clusters, lexical, vector, DEPTH).1)
        .collect();
    times.sort_unstable();
    times
}

/// How many of the nearest by an exact scan are among those found.
fn recall(store: &Store, rows: u64, clusters: u64) -> f64 {
    let queries: Vec<_> =
        (0..RECALL_QUERIES).map(|query| vector(HELD_OUT + query, clusters)).collect();
    let mut nearest = vec![Vec::new(); queries.len()];
    for row in 0..rows {
        let row = vector(row, clusters);
        for (query, nearest) in queries.iter().zip(&mut nearest) {
            let cosine: f32 = query.iter().zip(&row).map(|(a, b)| a * b).sum();
            if nearest.len() < RECALL_AT || nearest.last().is_some_and(|last| cosine > *last) {
                let at = nearest.partition_point(|near| *near > cosine);
                nearest.insert(at, cosine);
                nearest.truncate(RECALL_AT);
            }
        }
    }
    let right = |(query, nearest): (u64, Vec<f32>)| {
        let bar = nearest.last().unwrap() - 1e-5;
        let (found, _) = search(store, query, clusters, false, true, RECALL_AT);
        found.iter().filter(|cosine| **cosine >= bar).count()
    };
    let right: usize = (0..).zip(nearest).map(right).sum();
    right as f64 / (queries.len() * RECALL_AT) as f64
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn bytes_under(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            folder if folder.is_dir() => bytes_under(&entry.path()),
            file => file.len(),
        })
        .sum()
}
