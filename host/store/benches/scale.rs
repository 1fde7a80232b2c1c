//! The store at scale, without a model: Zipf text, and vectors that lie as those of texts
//! do.
//!
//! `RAGTIME_BENCH_ROWS=1000000 cargo bench -p ragtime-store --bench scale`
//! (100,000 chunks by default). Prints a table; recall is measured against the exact scan,
//! with queries that are not among the rows.
//!
//! `RAGTIME_BENCH_VECTORS=DIR/ragtime.sqlite` takes the vectors of the texts in the data
//! folder of a server, each moved a little towards others for as many rows as are wanted.
//! Without it vectors lie around random centres. `RAGTIME_BENCH_LISTS` is
//! `data.vector_search_lists`. `RAGTIME_BENCH_EXPORT=DIR` writes the vectors of rows and
//! queries there, for `tests/bench/vector_peers.py`, and ends.

#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::indexing_slicing)]

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ragtime_policy::chunking::ChunkingSpec;
use ragtime_store::{
    BoxError, CandidateQuery, Details, Embed, Filter, NewChunk, NewDocument, Settings, Store,
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
/// Chunks that move the vector of a second question.
const FEEDBACK: usize = 4;
/// Where this process has hardly any of a processor for so long, it is done.
const QUIET: Duration = Duration::from_secs(2);
/// That is a fiftieth of one.
const IDLE_TICKS: u64 = 4;
/// Chunks taken from each leg.
const DEPTH: usize = 100;
const TIMED_QUERIES: u64 = 500;
const RECALL_QUERIES: u64 = 100;
const RECALL_AT: usize = 10;
/// A filter lets one document of so many through.
const ONE_IN: u64 = 100;
/// Of texts one in so many is a query and no row.
const TEXTS_PER_QUERY: usize = 20;
/// How far a row lies from the vector of its text, towards another text's.
const JITTER: f32 = 0.5;
/// Rows of queries: far beyond those that are stored.
const HELD_OUT: u64 = 1 << 40;

fn main() {
    let rows: u64 = number("RAGTIME_BENCH_ROWS").unwrap_or(DEFAULT_ROWS);
    let made = Arc::new(Made::new(rows));
    if let Ok(dir) = std::env::var("RAGTIME_BENCH_EXPORT") {
        return export(&made, rows, Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let usual = Settings::default();
    let lists = number("RAGTIME_BENCH_LISTS").map(|lists| usize::try_from(lists).unwrap());
    let vector_search_lists = lists.unwrap_or(usual.vector_search_lists);
    let settings = Settings { vector_search_lists, ..usual };
    let open = |settings: &Settings| {
        let store = Store::open(dir.path(), settings.clone()).unwrap();
        store.set_embedder(Arc::new(Model(Arc::clone(&made))));
        store
    };
    let store = open(&settings);
    let took = runtime.block_on(ingest(&store, rows));
    print("chunks", rows);
    print("vectors", made.kind());
    print("ingested, chunks/s", format!("{:.0}", rows as f64 / took.as_secs_f64()));
    print("lists made after, s", format!("{:.1}", settled().as_secs_f64()));
    print("resident, MB, own / all", resident());
    let queries = Queries { store: &store, made: &made };
    let (_, first) = queries.ask(Kind::Filtered, 0, DEPTH);
    print("first with a filter, ms", format!("{:.2}", first.as_secs_f64() * 1e3));
    for kind in [Kind::Hybrid, Kind::Lexical, Kind::Vector, Kind::Filtered, Kind::Twice] {
        print(&format!("{}, p50 / p99 ms", kind.name()), queries.latencies(kind));
    }
    let nearest = Nearest::of(&made, rows);
    print("vector recall@10", format!("{:.3}", queries.recall(Kind::Vector, &nearest.all)));
    print("filtered recall@10", format!("{:.3}", queries.recall(Kind::Filtered, &nearest.some)));
    print("on disk, MB", bytes_under(dir.path()) >> 20);
    runtime.block_on(store.close());
    drop(store);
    let start = Instant::now();
    let store = open(&settings);
    let opened = start.elapsed();
    Queries { store: &store, made: &made }.ask(Kind::Hybrid, 0, DEPTH);
    let answered = start.elapsed();
    print(
        "open / first answer, s",
        format!("{:.2} / {:.2}", opened.as_secs_f64(), answered.as_secs_f64()),
    );
    print("resident, MB, own / all", resident());
    runtime.block_on(store.close());
    drop(store);
    // Every list: what a scan over all codes takes.
    let store = open(&Settings { vector_search_lists: usize::MAX, ..settings });
    let queries = Queries { store: &store, made: &made };
    print("all lists, p50 / p99 ms", queries.latencies(Kind::Vector));
    print("all lists, recall@10", format!("{:.3}", queries.recall(Kind::Vector, &nearest.all)));
    runtime.block_on(store.close());
}

/// Writes the vectors of rows and of the queries that are timed.
fn export(made: &Made, rows: u64, dir: &Path) {
    let write = |name: &str, of: std::ops::Range<u64>| {
        let mut file = std::io::BufWriter::new(std::fs::File::create(dir.join(name)).unwrap());
        for value in of.flat_map(|row| made.vector(row)) {
            file.write_all(&value.to_le_bytes()).unwrap();
        }
        file.flush().unwrap();
    };
    std::fs::create_dir_all(dir).unwrap();
    write("rows.f32", 0..rows);
    write("queries.f32", HELD_OUT..HELD_OUT + TIMED_QUERIES);
    std::fs::write(dir.join("dimensions"), made.dimensions().to_string()).unwrap();
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|value| value.parse().unwrap())
}

fn print(what: &str, value: impl std::fmt::Display) {
    println!("{what:<28}{value}");
}

/// What vectors are made of.
enum Made {
    /// So many random centres.
    Clusters(u64),
    /// The vectors of texts: those of rows, and those of queries.
    Texts(Vec<Vec<f32>>, Vec<Vec<f32>>),
}

impl Made {
    fn new(rows: u64) -> Self {
        match std::env::var("RAGTIME_BENCH_VECTORS") {
            Ok(database) => Self::of_texts(&database),
            Err(_) => Self::Clusters((rows / ROWS_PER_CLUSTER).max(1)),
        }
    }

    fn of_texts(database: &str) -> Self {
        let db = rusqlite::Connection::open(database).unwrap();
        let mut statement = db.prepare("SELECT vector FROM vectors ORDER BY chunk").unwrap();
        let vectors = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).unwrap();
        let decode = |bytes: Vec<u8>| -> Vec<f32> {
            bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
        };
        let (mut rows, mut queries) = (Vec::new(), Vec::new());
        for (place, vector) in vectors.map(|bytes| decode(bytes.unwrap())).enumerate() {
            let to = if place % TEXTS_PER_QUERY == 0 { &mut queries } else { &mut rows };
            to.push(vector);
        }
        Self::Texts(rows, queries)
    }

    fn kind(&self) -> String {
        match self {
            Self::Clusters(count) => format!("around {count} random centres"),
            Self::Texts(rows, queries) => format!("of {} texts", rows.len() + queries.len()),
        }
    }

    fn vector(&self, row: u64) -> Vec<f32> {
        let mut random = random(row);
        let mut below = |count: usize| (random.next().unwrap() * count as f64) as usize;
        match self {
            Self::Clusters(count) => {
                let centre = direction(HELD_OUT * 2 + below(*count as usize) as u64);
                unit(centre.iter().zip(direction(row)).map(|(a, b)| a + SPREAD * b).collect())
            }
            Self::Texts(rows, queries) => {
                let of = if row < HELD_OUT { rows } else { queries };
                let own = &of[below(of.len())];
                let [to, from] = [&rows[below(rows.len())], &rows[below(rows.len())]];
                let moved = own.iter().zip(to.iter().zip(from));
                unit(moved.map(|(own, (to, from))| own + JITTER * (to - from)).collect())
            }
        }
    }

    fn dimensions(&self) -> usize {
        match self {
            Self::Clusters(_) => DIMENSIONS,
            Self::Texts(rows, _) => rows.first().map_or(DIMENSIONS, Vec::len),
        }
    }
}

/// Stands in for a model: the text names the row, the row gives the vector.
struct Model(Arc<Made>);

impl Embed for Model {
    fn dimensions(&self) -> usize {
        self.0.dimensions()
    }

    fn name(&self) -> &str {
        "made"
    }

    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, BoxError> {
        texts
            .iter()
            .map(|text| {
                let name = text.split_whitespace().find_map(|word| word.strip_prefix("row"));
                Ok(self.0.vector(name.ok_or("a text without a row")?.parse()?))
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

fn words(seed: u64, count: u64) -> String {
    let rank = |at: f64| VOCABULARY.powf(at) as u64;
    let words = random(seed).take(usize::try_from(count).unwrap());
    words.map(|at| format!("w{}", rank(at))).collect::<Vec<_>>().join(" ")
}

/// By which a filter chooses a document.
fn part(row: u64) -> u64 {
    row / CHUNKS_PER_DOCUMENT % ONE_IN
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
        metadata: format!("{{\"part\":{}}}", part(first)),
        chunks,
        cut: ChunkingSpec::default(),
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

/// How long until nothing is at work any more: lists are made in the background.
fn settled() -> Duration {
    let start = Instant::now();
    loop {
        let before = processor_ticks();
        std::thread::sleep(QUIET);
        if processor_ticks() - before <= IDLE_TICKS {
            return start.elapsed().saturating_sub(QUIET);
        }
    }
}

/// Hundredths of seconds of processors that this process has had.
fn processor_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    // The 14th and the 15th of all, of which two are before the last bracket.
    fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
}

/// What is asked.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Hybrid,
    Lexical,
    Vector,
    /// By vectors, with a filter.
    Filtered,
    /// Hybrid, as a handler does it: the second time with the vector moved towards the
    /// first that were found.
    Twice,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Lexical => "lexical",
            Self::Vector => "vector",
            Self::Filtered => "filtered",
            Self::Twice => "with feedback",
        }
    }
}

struct Queries<'a> {
    store: &'a Store,
    made: &'a Made,
}

impl Queries<'_> {
    /// The cosines of what was found, and how long it took.
    fn ask(&self, kind: Kind, query: u64, depth: usize) -> (Vec<f32>, Duration) {
        let text = words(HELD_OUT + query, WORDS_PER_QUERY);
        let mut vector = self.made.vector(HELD_OUT + query);
        let filter = Filter::parse("{\"part\":7}").unwrap();
        let ask = |vector: &[f32]| {
            let query = CandidateQuery {
                text: &text,
                lexical: matches!(kind, Kind::Hybrid | Kind::Lexical | Kind::Twice),
                vector: (kind != Kind::Lexical).then_some(vector),
                depth,
                filter: (kind == Kind::Filtered).then_some(&filter),
                required: &[],
                excluded: &[],
                model: None,
                known: None,
            };
            self.store.candidates(COLLECTION, &query).unwrap()
        };
        let start = Instant::now();
        let mut found = ask(&vector);
        if kind == Kind::Twice {
            found.sort_by(|a, b| b.vector.unwrap().total_cmp(&a.vector.unwrap()));
            let best: Vec<_> = found.iter().take(FEEDBACK).map(|one| one.chunk).collect();
            for near in self.store.vectors(COLLECTION, &best).unwrap() {
                vector.iter_mut().zip(&near).for_each(|(to, from)| *to += from / FEEDBACK as f32);
            }
            found = ask(&unit(vector));
        }
        let took = start.elapsed();
        assert!(!found.is_empty());
        (found.iter().filter_map(|one| one.vector).collect(), took)
    }

    fn latencies(&self, kind: Kind) -> String {
        let mut times: Vec<_> =
            (0..TIMED_QUERIES).map(|query| self.ask(kind, query, DEPTH).1).collect();
        times.sort_unstable();
        let at = |part: usize| times[times.len() * part / 100].as_secs_f64() * 1e3;
        format!("{:.2} / {:.2}", at(50), at(99))
    }

    /// How many of the nearest are among those found.
    fn recall(&self, kind: Kind, nearest: &[Vec<f32>]) -> f64 {
        let right = |(query, nearest): (u64, &Vec<f32>)| {
            let bar = nearest.last().unwrap() - 1e-5;
            let (found, _) = self.ask(kind, query, RECALL_AT);
            found.iter().filter(|cosine| **cosine >= bar).count()
        };
        let right: usize = (0..).zip(nearest).map(right).sum();
        right as f64 / (nearest.len() * RECALL_AT) as f64
    }
}

/// The cosines of the nearest rows to each query, by comparing all.
struct Nearest {
    all: Vec<Vec<f32>>,
    /// Of those that the filter lets through.
    some: Vec<Vec<f32>>,
}

impl Nearest {
    fn of(made: &Made, rows: u64) -> Self {
        let queries: Vec<_> =
            (0..RECALL_QUERIES).map(|query| made.vector(HELD_OUT + query)).collect();
        let none = || vec![Vec::new(); queries.len()];
        let mut nearest = Self { all: none(), some: none() };
        for row in 0..rows {
            let vector = made.vector(row);
            for (place, query) in queries.iter().enumerate() {
                let cosine: f32 = query.iter().zip(&vector).map(|(a, b)| a * b).sum();
                insert(&mut nearest.all[place], cosine);
                if part(row) == 7 {
                    insert(&mut nearest.some[place], cosine);
                }
            }
        }
        nearest
    }
}

fn insert(nearest: &mut Vec<f32>, cosine: f32) {
    if nearest.len() < RECALL_AT || nearest.last().is_some_and(|last| cosine > *last) {
        let at = nearest.partition_point(|near| *near > cosine);
        nearest.insert(at, cosine);
        nearest.truncate(RECALL_AT);
    }
}

/// Memory of its own, and with the files that are mapped.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> u64 {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    format!("{} / {}", field("RssAnon:") / 1_024, field("VmRSS:") / 1_024)
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
