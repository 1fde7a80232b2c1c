//! `ragtime ingest`
//!
//! Goes on where it stopped by sending everything again: ids are stable, and
//! the server takes a document it has for what it is, unchanged, in a fraction
//! of the time.

mod batches;
mod document;
mod files;
mod lines;
mod search;
mod sources;
mod warnings;

use std::collections::{BTreeMap, VecDeque};
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{CliError, Context, count, list, out, text};
use batches::{Batch, Batches};
use search::{Search, Selection};
use sources::Sources;

/// Batches at the server at once: one being indexed while the next is sent.
const BATCHES_IN_FLIGHT: usize = 2;
/// How soon to ask how far a job is, and how long to wait at most between two
/// askings: each costs a unit of the key's budget.
const FIRST_POLL: Duration = Duration::from_millis(50);
const LAST_POLL: Duration = Duration::from_millis(400);

const EXITS: &str = "Exit status: 0 when all was taken, 3 when some documents could not be \
    taken and are named, 1 when nothing more could be done, 130 when interrupted.";

const AGAIN: &str = "run the same command again to go on";

/// What to put in.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// Folders, files (.txt .md .html .pdf .docx .pptx .xlsx .odt .epub .eml …) or records (.ndjson .jsonl .csv .tsv)
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Where to put it; made if it does not exist
    #[arg(long, default_value = "default")]
    collection: String,
    #[command(flatten)]
    selection: Selection,
    /// Return when search finds everything; the default
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return when everything is on the server's disk
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
}

/// How far it is.
pub struct Progress {
    /// Documents that search finds.
    pub indexed: u64,
    /// Documents on the server's disk that search may not find yet.
    pub pending: u64,
    /// What could not be taken, and why.
    pub failed: Vec<String>,
    /// What was left out of documents, or guessed.
    warnings: Vec<String>,
    /// Warnings of jobs beyond those that the server lists.
    more_warnings: u64,
    bar: ProgressBar,
}

/// Ingests and says what became of it.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let mut progress = Progress::new();
    let mut found = Search::default();
    for path in &args.paths {
        found.add(path, &args.selection)?;
    }
    found.skipped.lines().for_each(|line| out::note(&line));
    out::note(&kinds(&found.kinds));
    let ended = tokio::select! {
        ended = put_in(found, &args.collection, !args.no_wait, &mut progress, context) => ended,
        _ = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
    };
    progress.report();
    ended.map_err(|error| error.or_hint(AGAIN))?;
    match progress.failed.is_empty() {
        true => Ok(()),
        false => Err(CliError::incomplete("some documents could not be taken")),
    }
}

/// Ingests `paths` into `collection`, making it if need be. Returns when
/// everything is searchable, or with `wait` false when everything is stored.
pub async fn ingest(
    paths: &[PathBuf],
    collection: &str,
    wait: bool,
    progress: &mut Progress,
    context: &Context,
) -> Result<(), CliError> {
    let mut found = Search::default();
    for path in paths {
        found.add(path, &Selection::default())?;
    }
    put_in(found, collection, wait, progress, context).await
}

/// How many files of each kind are sent.
fn kinds(kinds: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> = kinds.iter().map(|(end, count)| format!("{count} {end}")).collect();
    format!("{} files: {}", kinds.values().sum::<u64>(), each.join(", "))
}

async fn put_in(
    found: Search,
    collection: &str,
    wait: bool,
    progress: &mut Progress,
    context: &Context,
) -> Result<(), CliError> {
    let sources = Sources::of(found);
    progress.bar.set_length(sources.total_bytes());
    let mut batches = Batches::new(sources);
    make(collection, context).await?;
    let mut jobs = VecDeque::new();
    while let Some(batch) = tokio::task::block_in_place(|| batches.next(&mut progress.failed)) {
        if jobs.len() == BATCHES_IN_FLIGHT {
            finish(jobs.pop_front(), progress, context).await?;
        }
        let Some(job) = send(batch, collection, progress, context).await? else { continue };
        progress.bar.set_position(batches.read_bytes());
        match wait {
            true => jobs.push_back(job),
            false => progress.failed.extend(job.failed),
        }
    }
    for file in batches.take_whole_files() {
        match files::send(&file, collection, wait, context).await? {
            files::Sent::Document(document) => {
                progress.warned(list(&document, "warnings").iter().map(|one| (&*file.id, one)));
                match wait {
                    true => progress.indexed += 1,
                    false => progress.pending += 1,
                }
            }
            files::Sent::Failed(reason) => progress.failed.push(reason),
            files::Sent::Job(answer) => {
                let job = progress.sent(&answer, Some(&file.id));
                match wait {
                    true => jobs.push_back(job),
                    false => progress.failed.extend(job.failed),
                }
            }
        }
        progress.bar.inc(file.bytes);
    }
    while !jobs.is_empty() {
        finish(jobs.pop_front(), progress, context).await?;
    }
    Ok(())
}

/// A batch that the server has on disk.
struct Job {
    id: String,
    /// The file that all of it comes from, if it is one.
    file: Option<String>,
    accepted: u64,
    failed: Vec<String>,
}

impl Job {
    fn of(answer: &Value, file: Option<&str>) -> Self {
        Self {
            id: text(answer, "job_id").to_owned(),
            file: file.map(str::to_owned),
            accepted: count(answer, "accepted"),
            failed: failures(answer, file),
        }
    }
}

async fn make(collection: &str, context: &Context) -> Result<(), CliError> {
    let request = context.request(Method::GET, &["collections", collection])?;
    match context.send(request).await {
        Err(error) if error.is("unknown_collection") => {}
        known => return known.map(|_| ()),
    }
    let request = context.request(Method::POST, &["collections"])?;
    match context.send(request.json(&json!({"name": collection}))).await {
        // Somebody else was quicker.
        Err(error) if error.is("collection_exists") => Ok(()),
        made => made.map(|_| ()),
    }
}

async fn send(
    batch: Batch,
    collection: &str,
    progress: &mut Progress,
    context: &Context,
) -> Result<Option<Job>, CliError> {
    let request = context.request(Method::POST, &["collections", collection, "documents"])?;
    let request = request.header(CONTENT_TYPE, "application/x-ndjson").body(batch.lines);
    match context.json(request).await {
        Ok(answer) => Ok(Some(progress.sent(&answer, None))),
        Err(error) if batch.documents == 1 && error.is("body_too_large") => {
            progress.failed.push(format!("{}: larger than the server takes", batch.first));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

async fn finish(
    job: Option<Job>,
    progress: &mut Progress,
    context: &Context,
) -> Result<(), CliError> {
    let Some(job) = job else { return Ok(()) };
    let mut poll = FIRST_POLL;
    loop {
        let state = context.json(context.request(Method::GET, &["jobs", &job.id])?).await?;
        if count(&state, "pending") == 0 {
            progress.finished(&job, &state);
            return Ok(());
        }
        tokio::time::sleep(poll).await;
        poll = (poll * 2).min(LAST_POLL);
    }
}

/// What could not be taken of a batch, and why.
fn failures(job: &Value, file: Option<&str>) -> Vec<String> {
    let failure = |failure: &Value| {
        let (id, reason) = (text(failure, "id"), text(failure, "reason"));
        let record = count(failure, "position") + 1;
        match file {
            Some(file) if id.is_empty() => format!("{file}: record {record}: {reason}"),
            Some(file) => format!("{file}: record {record}, {id}: {reason}"),
            None if id.is_empty() => format!("a document without an id: {reason}"),
            None => format!("{id}: {reason}"),
        }
    };
    list(job, "failed").iter().map(failure).collect()
}

impl Progress {
    /// Nothing done yet. Shows itself on a terminal.
    pub fn new() -> Self {
        let bar = ProgressBar::new(0);
        if !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let style = "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec}, {eta} left, {msg}";
        if let Ok(style) = ProgressStyle::with_template(style) {
            bar.set_style(style);
        }
        Self {
            indexed: 0,
            pending: 0,
            failed: Vec::new(),
            warnings: Vec::new(),
            more_warnings: 0,
            bar,
        }
    }

    /// A batch is on the server's disk.
    fn sent(&mut self, answer: &Value, file: Option<&str>) -> Job {
        let job = Job::of(answer, file);
        self.pending += job.accepted;
        let listed = list(answer, "warnings");
        self.warned(listed.iter().map(|one| (text(one, "id"), one)));
        self.more_warnings += count(answer, "warning_count").saturating_sub(listed.len() as u64);
        job
    }

    /// Documents carry these warnings.
    fn warned<'a>(&mut self, warnings: impl Iterator<Item = (&'a str, &'a Value)>) {
        self.warnings.extend(warnings::lines(warnings));
    }

    fn finished(&mut self, job: &Job, state: &Value) {
        self.pending = self.pending.saturating_sub(job.accepted);
        self.indexed += count(state, "indexed");
        self.failed.extend(failures(state, job.file.as_deref()));
        self.bar.set_message(format!("{} documents", self.indexed));
    }

    /// Says what became of it, or where it stands.
    fn report(&self) {
        self.bar.finish_and_clear();
        for warning in &self.warnings {
            out::note(&format!("warning: {warning}"));
        }
        if self.more_warnings > 0 {
            out::note(&format!("warning: {} more", self.more_warnings));
        }
        for failure in &self.failed {
            out::note(&format!("failed: {failure}"));
        }
        out::note(&self.summary());
    }

    fn summary(&self) -> String {
        let searchable =
            format!("{} documents searchable, {} failed", self.indexed, self.failed.len());
        match self.pending {
            0 => searchable,
            pending => format!("{searchable}, {pending} stored and searchable soon"),
        }
    }
}
