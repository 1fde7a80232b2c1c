//! `ragtime eval`: retrieval and answers measured through the API, as a client
//! gets them.

mod answers;
mod questions;
mod risk;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use reqwest::Method;
use serde_json::{Value, json};

use super::metrics::{self, Judgements};
use super::{CliError, Context, ingest, list, out, text};

/// The measures' depths, as BEIR reports them.
const NDCG_AT: usize = 10;
const RECALL_AT: usize = 100;
const MRR_AT: usize = 10;

/// What to measure.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A folder with corpus.jsonl, queries.jsonl and qrels/test.tsv
    dir: PathBuf,
    /// Measure answers: DIR's questions, and those of OTHER, which DIR's
    /// documents should not answer
    #[arg(long, value_name = "OTHER")]
    answers: Option<PathBuf>,
    /// Check the quotes of so many answers, with titles and sentences of the
    /// documents as further questions
    #[arg(long, value_name = "N", requires = "answers", default_value_t = 1_000)]
    questions: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Queries and what is relevant to them.
pub(super) struct Task {
    queries: Vec<(String, String)>,
    judgements: HashMap<String, Judgements>,
}

/// The figures of one mode.
pub(super) struct Figures {
    mode: &'static str,
    pub(super) ndcg: f64,
    recall: f64,
    mrr: f64,
    latencies_ms: Vec<f64>,
}

/// Ingests, asks every judged query in each mode, and prints the figures.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let task = Task::read(&args.dir)?;
    let collection = scratch_collection();
    let measure = async {
        match &args.answers {
            Some(other) => answers::measure(&args, other, &task, &collection, context).await,
            None => measure(&args, &task, &collection, context).await,
        }
    };
    let measured = tokio::select! {
        measured = measure => measured,
        _ = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
    };
    // Whatever happened, the scratch collection goes.
    let deleted = delete(&collection, context).await;
    measured?;
    deleted
}

/// The name of a collection that nobody has.
pub(super) fn scratch_collection() -> String {
    format!("eval-{}", uuid::Uuid::now_v7().simple())
}

pub(super) async fn delete(collection: &str, context: &Context) -> Result<(), CliError> {
    let request = context.request(Method::DELETE, &["collections", collection])?;
    context.send(request).await.map(|_| ())
}

/// Puts the corpus in. Collections of old hold empty documents; that is no
/// reason not to measure.
pub(super) async fn put_in(
    dir: &Path,
    collection: &str,
    context: &Context,
) -> Result<ingest::Progress, CliError> {
    let mut corpus = ingest::Progress::new();
    ingest::ingest(&[dir.join("corpus.jsonl")], collection, true, &mut corpus, context).await?;
    for failure in &corpus.failed {
        out::note(&format!("left out: {failure}"));
    }
    Ok(corpus)
}

async fn measure(
    args: &Args,
    task: &Task,
    collection: &str,
    context: &Context,
) -> Result<(), CliError> {
    let started = Instant::now();
    let corpus = put_in(&args.dir, collection, context).await?;
    let seconds = started.elapsed().as_secs_f64();
    let mut figures = Vec::new();
    for mode in ["hybrid", "lexical", "vector"] {
        match ask_all(task, collection, mode, context).await {
            Ok(measured) => figures.push(measured),
            Err(error) if error.is("embedding_unavailable") => {
                out::note("no embedding model: vector left out, and hybrid is lexical alone");
            }
            Err(error) => return Err(error),
        }
    }
    match args.json {
        true => out::data(&to_json(&figures, &corpus, seconds).to_string()),
        false => print(&figures, corpus.indexed, seconds),
    }
    Ok(())
}

pub(super) async fn ask_all(
    task: &Task,
    collection: &str,
    mode: &'static str,
    context: &Context,
) -> Result<Figures, CliError> {
    let mut figures = Figures { mode, ndcg: 0.0, recall: 0.0, mrr: 0.0, latencies_ms: Vec::new() };
    for (id, query) in &task.queries {
        let Some(judgements) = task.judgements.get(id) else { continue };
        let request = context.request(Method::POST, &["collections", collection, "search"])?;
        let body = json!({"query": query, "top_k": RECALL_AT, "mode": mode});
        let started = Instant::now();
        let answer = context.json(request.json(&body)).await?;
        figures.latencies_ms.push(started.elapsed().as_secs_f64() * 1e3);
        let ranking: Vec<String> = list(&answer, "results")
            .iter()
            .map(|result| text(result, "document_id").to_owned())
            .collect();
        figures.ndcg += metrics::ndcg(&ranking, judgements, NDCG_AT);
        figures.recall += metrics::recall(&ranking, judgements, RECALL_AT);
        figures.mrr += metrics::reciprocal_rank(&ranking, judgements, MRR_AT);
    }
    let queries = figures.latencies_ms.len().max(1) as f64;
    figures.ndcg /= queries;
    figures.recall /= queries;
    figures.mrr /= queries;
    figures.latencies_ms.sort_by(f64::total_cmp);
    Ok(figures)
}

fn print(figures: &[Figures], documents: u64, seconds: f64) {
    out::data(&format!(
        "{documents} documents in {seconds:.1} s ({:.0}/s), {} queries",
        documents as f64 / seconds,
        queries(figures)
    ));
    out::data("mode      nDCG@10  Recall@100  MRR@10   p50 ms   p95 ms   p99 ms");
    for one in figures {
        let at = |percent| metrics::percentile(&one.latencies_ms, percent);
        out::data(&format!(
            "{:<8}  {:>7.4}  {:>10.4}  {:>6.4}  {:>7.2}  {:>7.2}  {:>7.2}",
            one.mode,
            one.ndcg,
            one.recall,
            one.mrr,
            at(50.0),
            at(95.0),
            at(99.0)
        ));
    }
}

fn queries(figures: &[Figures]) -> usize {
    figures.first().map_or(0, |figures| figures.latencies_ms.len())
}

fn to_json(figures: &[Figures], corpus: &ingest::Progress, seconds: f64) -> Value {
    let modes: serde_json::Map<_, _> = figures
        .iter()
        .map(|one| {
            let at = |percent| metrics::percentile(&one.latencies_ms, percent);
            let figures = json!({
                "ndcg_at_10": one.ndcg, "recall_at_100": one.recall, "mrr_at_10": one.mrr,
                "p50_ms": at(50.0), "p95_ms": at(95.0), "p99_ms": at(99.0),
            });
            (one.mode.to_owned(), figures)
        })
        .collect();
    json!({
        "documents": corpus.indexed, "documents_left_out": corpus.failed.len(),
        "ingest_seconds": seconds,
        "documents_per_second": corpus.indexed as f64 / seconds,
        "queries": queries(figures), "modes": modes,
    })
}

impl Task {
    pub(super) fn read(dir: &Path) -> Result<Self, CliError> {
        let queries = records(dir, "queries.jsonl")?;
        let queries: Vec<_> = queries
            .iter()
            .map(|query| (text(query, "_id").to_owned(), text(query, "text").to_owned()))
            .collect();
        let mut judgements: HashMap<String, Judgements> = HashMap::new();
        let qrels = read(&dir.join("qrels").join("test.tsv"))?;
        for (number, line) in qrels.lines().enumerate() {
            let mut fields = line.split('\t');
            let (query, document) = (fields.next(), fields.next());
            let grade = fields.next().and_then(|grade| grade.trim().parse::<i64>().ok());
            let (Some(query), Some(document), Some(grade)) = (query, document, grade) else {
                if number == 0 {
                    continue; // The names of the columns.
                }
                return Err(CliError::new(format!(
                    "qrels/test.tsv: \"{line}\" is not query, document and grade"
                )));
            };
            let grade = u32::try_from(grade).unwrap_or(0);
            judgements.entry(query.to_owned()).or_default().insert(document.to_owned(), grade);
        }
        if !queries.iter().any(|(id, _)| judgements.contains_key(id)) {
            return Err(CliError::new("qrels/test.tsv judges none of queries.jsonl"));
        }
        Ok(Self { queries, judgements })
    }
}

/// The objects of a file with one on each line.
fn records(dir: &Path, name: &str) -> Result<Vec<Value>, CliError> {
    let lines = read(&dir.join(name))?;
    let lines = lines.lines().filter(|line| !line.trim().is_empty());
    let parsed = lines.map(serde_json::from_str).collect::<Result<_, _>>();
    parsed.map_err(|error| CliError::new(format!("{name}: {error}")))
}

fn read(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path)
        .map_err(|error| CliError::new(format!("{} cannot be read: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(qrels: &str) -> Result<Task, CliError> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("qrels")).unwrap();
        std::fs::write(dir.path().join("queries.jsonl"), "{\"_id\":\"1\",\"text\":\"a\"}\n")
            .unwrap();
        std::fs::write(dir.path().join("qrels/test.tsv"), qrels).unwrap();
        Task::read(dir.path())
    }

    #[test]
    fn judgements_are_read_with_column_names_or_without() {
        for header in ["query-id\tcorpus-id\tscore\n", ""] {
            let task = task(&format!("{header}1\td\t2\r\n1\te\t-1\n")).unwrap();
            let expected = Judgements::from([("d".into(), 2), ("e".into(), 0)]);
            assert_eq!(task.judgements["1"], expected);
        }
    }

    #[test]
    fn judgements_of_other_queries_are_an_error() {
        assert!(task("2\td\t1\n").is_err());
        assert!(task("1\td\t1\n1\td\n").is_err());
    }
}
