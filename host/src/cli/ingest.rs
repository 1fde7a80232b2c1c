//! `ragtime ingest`
//!
//! Goes on where it stopped by sending everything again: ids are stable, and
//! the server takes a document it has for what it is, unchanged, in a fraction
//! of the time.

mod sources;

use std::collections::VecDeque;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use super::{CliError, Context, count, list, out, text};
use sources::{Document, Sources};

/// Documents and bytes of one request: large enough for the server to embed in
/// full batches, small enough to show progress.
const BATCH_DOCUMENTS: usize = 256;
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Batches that the server is still indexing while the next is sent.
const BATCHES_AHEAD: usize = 2;
/// How often to ask how far a job is.
const POLL: Duration = Duration::from_millis(100);

/// What to put in.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders, files (.txt .md .html) or NDJSON (.ndjson .jsonl)
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Where to put it; made if it does not exist
    #[arg(long, default_value = "default")]
    collection: String,
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Done {
    /// Documents that search finds.
    pub indexed: u64,
    /// What could not be taken, and why.
    pub failed: Vec<String>,
}

/// Ingests and says what became of it.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let done = tokio::select! {
        done = ingest(&args.paths, &args.collection, context) => done?,
        _ = tokio::signal::ctrl_c() => {
            return Err(CliError::with_hint("interrupted", "run the same command again to go on"));
        }
    };
    for failure in &done.failed {
        out::note(&format!("failed: {failure}"));
    }
    out::note(&format!("{} documents searchable, {} failed", done.indexed, done.failed.len()));
    match done.failed.is_empty() {
        true => Ok(()),
        false => Err(CliError::new("some documents could not be taken")),
    }
}

/// Ingests `paths` into `collection`, making it if need be. Returns when
/// everything is searchable.
pub async fn ingest(
    paths: &[PathBuf],
    collection: &str,
    context: &Context,
) -> Result<Done, CliError> {
    make(collection, context).await?;
    let mut sources = Sources::open(paths)?;
    let bar = bar(sources.total_bytes());
    let mut done = Done::default();
    let mut jobs = VecDeque::new();
    loop {
        let batch = tokio::task::block_in_place(|| batch(&mut sources, &mut done.failed));
        bar.set_position(sources.read_bytes());
        if batch.is_empty() {
            break;
        }
        jobs.push_back(send(batch, collection, context).await?);
        while jobs.len() > BATCHES_AHEAD {
            finish(jobs.pop_front(), &mut done, &bar, context).await?;
        }
    }
    while !jobs.is_empty() {
        finish(jobs.pop_front(), &mut done, &bar, context).await?;
    }
    bar.finish_and_clear();
    Ok(done)
}

async fn make(collection: &str, context: &Context) -> Result<(), CliError> {
    let request = context.request(Method::GET, &["collections", collection])?;
    let found = request.send().await.map_err(|error| context.unreachable(&error))?;
    if found.status() == StatusCode::NOT_FOUND {
        let request = context.request(Method::POST, &["collections"])?;
        context.send(request.json(&json!({"name": collection}))).await?;
        return Ok(());
    }
    super::problem_of(found).await.map(|_| ())
}

fn batch(sources: &mut Sources, failed: &mut Vec<String>) -> Vec<Document> {
    let (mut batch, mut bytes) = (Vec::new(), 0);
    while batch.len() < BATCH_DOCUMENTS && bytes < BATCH_BYTES {
        match sources.next() {
            Some(Ok(document)) => {
                bytes += document.size();
                batch.push(document);
            }
            Some(Err(failure)) => failed.push(failure),
            None => break,
        }
    }
    batch
}

async fn send(
    batch: Vec<Document>,
    collection: &str,
    context: &Context,
) -> Result<String, CliError> {
    let request = context.request(Method::POST, &["collections", collection, "documents"])?;
    // As lines, so that a document that breaks a rule fails alone.
    let mut lines = Vec::new();
    for document in &batch {
        serde_json::to_writer(&mut lines, document)
            .map_err(|error| CliError::new(error.to_string()))?;
        lines.push(b'\n');
    }
    let request = request.header(CONTENT_TYPE, "application/x-ndjson").body(lines);
    Ok(text(&context.json(request).await?, "job_id").to_owned())
}

async fn finish(
    job: Option<String>,
    done: &mut Done,
    bar: &ProgressBar,
    context: &Context,
) -> Result<(), CliError> {
    let Some(job) = job else { return Ok(()) };
    loop {
        let state = context.json(context.request(Method::GET, &["jobs", &job])?).await?;
        if count(&state, "pending") == 0 {
            done.indexed += count(&state, "indexed");
            done.failed.extend(list(&state, "failed").iter().map(failure));
            bar.set_message(format!("{} documents", done.indexed));
            return Ok(());
        }
        tokio::time::sleep(POLL).await;
    }
}

fn failure(failure: &Value) -> String {
    let id = text(failure, "id");
    let id = if id.is_empty() { "a document without an id" } else { id };
    format!("{id}: {}", text(failure, "reason"))
}

fn bar(bytes: u64) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::new(bytes);
    let style = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left, {msg}";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}
