//! `ragtime ingest`
//!
//! Goes on where it stopped by sending everything again: ids are stable, and
//! the server takes a document it has for what it is, unchanged, in a fraction
//! of the time.

mod batches;
mod document;
mod feed;
mod file_kind;
mod files;
mod lines;
mod search;
mod site;
mod sources;
mod warnings;

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Value, json};

use super::{CliError, Context, count, list, out, text};
use batches::{Batch, Batches, Member};
use document::Shape;
use feed::{FeedArgs, Recorder};
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

/// What is said of a file or page whose form has no place for metadata.
const NO_METADATA: &str = "the feed's metadata is left out, as this is sent as it is";

/// What to put in.
#[derive(Debug, clap::Args)]
#[command(after_help = EXITS)]
pub struct Args {
    /// Folders, files (.txt .md .html .pdf .docx .pptx .xlsx .odt .epub .eml …), records (.ndjson .jsonl .csv .tsv), or URLs of sitemaps and pages
    #[arg(
        required_unless_present = "manifest",
        conflicts_with = "manifest",
        value_name = "SOURCE"
    )]
    sources: Vec<String>,
    /// Where to put it; made if it does not exist
    #[arg(long, default_value = "default")]
    collection: String,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    feed: FeedArgs,
    /// Return when search finds everything; the default
    #[arg(long, overrides_with = "no_wait")]
    wait: bool,
    /// Return when everything is on the server's disk
    #[arg(long, overrides_with = "wait")]
    no_wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
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
    if args.feed.asked(&args.sources) {
        let feeds = feed::feeds(&args.sources, &args.collection, &args.selection, &args.feed)?;
        return feed::run(feeds, &args.feed, !args.no_wait, context, args.json).await;
    }
    let mut progress = Progress::new();
    let mut found = Search::default();
    for path in &args.sources {
        found.add(Path::new(path), &args.selection)?;
    }
    found.skipped.lines().for_each(|line| out::note(&line));
    out::note(&kinds(&found.kinds));
    let mut delivery = Delivery::to(&args.collection, !args.no_wait);
    let ended = tokio::select! {
        ended = put_in(found, &mut delivery, &mut progress, context) => ended,
        _ = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
    };
    progress.report(args.json);
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
    put_in(found, &mut Delivery::to(collection, wait), progress, context).await
}

/// Where documents go, and who is notified.
pub struct Delivery<'a> {
    collection: &'a str,
    /// What is added to each.
    shape: Shape,
    /// Whether to return when search finds them.
    wait: bool,
    recorder: Option<Recorder<'a>>,
}

impl<'a> Delivery<'a> {
    /// Documents as they are.
    fn to(collection: &'a str, wait: bool) -> Self {
        Self { collection, shape: Shape::default(), wait, recorder: None }
    }

    /// The server has these documents of a batch. A source of one document is the
    /// document: it has all of it.
    fn taken(&mut self, members: &[Member]) -> Result<(), CliError> {
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        for Member { source, id } in members {
            recorder.taken(source, id)?;
            if *id == self.shape.id(source) {
                recorder.done(source)?;
            }
        }
        Ok(())
    }

    /// The server has all of these sources.
    fn done(&mut self, sources: &HashSet<String>) -> Result<(), CliError> {
        let Some(recorder) = &mut self.recorder else { return Ok(()) };
        sources.iter().try_for_each(|source| recorder.done(source))
    }
}

/// How many files of each kind are sent.
fn kinds(kinds: &BTreeMap<String, u64>) -> String {
    let each: Vec<_> = kinds.iter().map(|(end, count)| format!("{count} {end}")).collect();
    format!("{} files: {}", kinds.values().sum::<u64>(), each.join(", "))
}

async fn put_in(
    found: Search,
    delivery: &mut Delivery<'_>,
    progress: &mut Progress,
    context: &Context,
) -> Result<(), CliError> {
    let sources = Sources::of(found);
    progress.bar.set_length(sources.total_bytes());
    let mut batches = Batches::new(sources, delivery.shape.clone());
    make(delivery.collection, delivery.shape.language.as_deref(), context).await?;
    let (mut jobs, mut files) = (VecDeque::new(), HashSet::new());
    while let Some(batch) = tokio::task::block_in_place(|| batches.next(&mut progress.failed)) {
        if jobs.len() == BATCHES_IN_FLIGHT {
            finish(jobs.pop_front(), delivery, progress, context).await?;
        }
        files.extend(batch.documents.iter().map(|member| member.source.clone()));
        let Some(job) = send(batch, delivery.collection, progress, context).await? else {
            continue;
        };
        progress.bar.set_position(batches.read_bytes());
        accept(job, &mut jobs, delivery, progress)?;
    }
    for file in batches.take_whole_files() {
        let sent = files::send(&file, delivery, context).await?;
        whole(&file, sent, &mut jobs, delivery, progress)?;
        progress.bar.inc(file.bytes);
    }
    while !jobs.is_empty() {
        finish(jobs.pop_front(), delivery, progress, context).await?;
    }
    // A file of records is done when all of them were taken.
    match progress.failed.is_empty() {
        true => delivery.done(&files),
        false => Ok(()),
    }
}

/// A job is at the server.
fn accept(
    job: Job,
    jobs: &mut VecDeque<Job>,
    delivery: &mut Delivery<'_>,
    progress: &mut Progress,
) -> Result<(), CliError> {
    if delivery.wait {
        jobs.push_back(job);
        return Ok(());
    }
    delivery.taken(&job.taken(&job.answer))?;
    progress.failed.extend(job.failed);
    Ok(())
}

/// A file that was sent as it is has been answered.
fn whole(
    file: &files::WholeFile,
    sent: files::Sent,
    jobs: &mut VecDeque<Job>,
    delivery: &mut Delivery<'_>,
    progress: &mut Progress,
) -> Result<(), CliError> {
    match sent {
        files::Sent::Document(document) => {
            progress.warned(list(&document, "warnings").iter().map(|one| (&*file.id, one)));
            match delivery.wait {
                true => progress.indexed += 1,
                false => progress.pending += 1,
            }
            if delivery.shape.has_metadata() {
                progress.warnings.push(format!("{}: {NO_METADATA}", file.id));
            }
            let id = delivery.shape.id(&file.id);
            delivery.taken(&[Member { source: file.id.clone(), id }])
        }
        files::Sent::Failed(reason) => {
            progress.failed.push(reason);
            Ok(())
        }
        files::Sent::Job(answer) => {
            if delivery.shape.has_metadata() {
                progress.warnings.push(format!("{}: {NO_METADATA}", file.id));
            }
            let job = progress.sent(&answer, Some(&file.id), Vec::new());
            accept(job, jobs, delivery, progress)
        }
    }
}

/// A batch that the server has on disk.
struct Job {
    id: String,
    /// The file that all of it comes from, if it is one.
    file: Option<String>,
    members: Vec<Member>,
    accepted: u64,
    failed: Vec<String>,
    answer: Value,
}

impl Job {
    fn of(answer: &Value, file: Option<&str>, members: Vec<Member>) -> Self {
        Self {
            id: text(answer, "job_id").to_owned(),
            file: file.map(str::to_owned),
            members,
            accepted: count(answer, "accepted"),
            failed: failures(answer, file),
            answer: answer.clone(),
        }
    }

    /// The documents that were taken, by the job's state. Where the state does not name
    /// each one that was not, none counts as taken, and the next run sends all again.
    fn taken(&self, state: &Value) -> Vec<Member> {
        let failures = list(state, "failed");
        let named = failures.iter().all(|one| !text(one, "id").is_empty());
        if !named || (failures.len() as u64) < count(state, "failed_count") {
            return Vec::new();
        }
        let failed: HashSet<&str> = failures.iter().map(|one| text(one, "id")).collect();
        let taken = self.members.iter().filter(|member| !failed.contains(&*member.id));
        taken.cloned().collect()
    }
}

async fn make(collection: &str, language: Option<&str>, context: &Context) -> Result<(), CliError> {
    let request = context.request(Method::GET, &["collections", collection])?;
    match context.send(request).await {
        Err(error) if error.is("unknown_collection") => {}
        known => return known.map(|_| ()),
    }
    let request = context.request(Method::POST, &["collections"])?;
    let collection = match language {
        Some(language) => json!({"name": collection, "language": language}),
        None => json!({"name": collection}),
    };
    match context.send(request.json(&collection)).await {
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
        Ok(answer) => Ok(Some(progress.sent(&answer, None, batch.documents))),
        Err(error) => match batch.documents.as_slice() {
            [alone] if error.is("body_too_large") => {
                progress.failed.push(format!("{}: larger than the server takes", alone.id));
                Ok(None)
            }
            _ => Err(error),
        },
    }
}

async fn finish(
    job: Option<Job>,
    delivery: &mut Delivery<'_>,
    progress: &mut Progress,
    context: &Context,
) -> Result<(), CliError> {
    let Some(job) = job else { return Ok(()) };
    let mut poll = FIRST_POLL;
    loop {
        let state = context.json(context.request(Method::GET, &["jobs", &job.id])?).await?;
        if count(&state, "pending") == 0 {
            progress.finished(&job, &state);
            if let Some(file) = job.file.as_ref().filter(|_| count(&state, "failed_count") == 0) {
                delivery.done(&HashSet::from([file.clone()]))?;
            }
            return delivery.taken(&job.taken(&state));
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
    fn sent(&mut self, answer: &Value, file: Option<&str>, members: Vec<Member>) -> Job {
        let job = Job::of(answer, file, members);
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

    /// Takes the bar away.
    fn clear(&self) {
        self.bar.finish_and_clear();
    }

    /// Says what became of it, or where it stands.
    fn report(&self, as_json: bool) {
        self.clear();
        if as_json {
            return out::data(&self.json().to_string());
        }
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

    fn json(&self) -> Value {
        json!({
            "indexed": self.indexed, "pending": self.pending, "failed": self.failed,
            "warnings": self.warnings, "more_warnings": self.more_warnings,
        })
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
