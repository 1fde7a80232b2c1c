//! `ragtime backup`, `restore` and `check`: the data folder itself.

use std::path::Path;

use ragtime_store::OpenError;
use serde_json::{Value, json};

use super::{CliError, out};
use crate::backup::{self, BackupError, Place, Rehearsal};
use crate::config::Settings;
use crate::swap;

/// Where a backup goes.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// A folder, made if need be, or s3://BUCKET/PREFIX; a backup that is there is never written over
    #[arg(value_name = "PLACE")]
    to: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What comes back.
#[derive(Debug, clap::Args)]
#[command(after_help = REHEARSAL)]
pub struct RestoreArgs {
    /// The folder of the backup, or s3://BUCKET/PREFIX
    #[arg(value_name = "PLACE")]
    from: String,
    /// Give up the documents and keys that the data folder has now
    #[arg(long)]
    replace: bool,
    /// Only rehearse it, in a temporary folder that is removed; the data folder stays as it is
    #[arg(long, conflicts_with = "replace")]
    check: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

const REHEARSAL: &str = "With --check: exit status 0 when every file has the hash that the \
    manifest names, every text, chunk and vector is whole, a server starts with the backup and \
    its handler, and finds a passage; else 1.";

/// How to check.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Remove what differs of the derived data; the next start rebuilds it
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Copies documents, keys, history and handlers, while a server is at work or
/// not.
pub async fn backup(args: &BackupArgs, settings: &Settings) -> Result<(), CliError> {
    let place = Place::parse(&args.to, &settings.backup).map_err(unusable)?;
    let made = backup::make(&settings.data.dir, &place, &settings.backup).await;
    let made = made.map_err(unusable)?;
    print_totals(made.documents, made.handlers(), "copied", args.json);
    Ok(())
}

/// Puts a backup in the place of what there is, or tries whether it could.
pub async fn restore(args: &RestoreArgs, settings: Settings) -> Result<(), CliError> {
    let place = Place::parse(&args.from, &settings.backup).map_err(unusable)?;
    if args.check {
        return rehearse(&place, settings, args.json).await;
    }
    let data = &settings.data.dir;
    let fetched = backup::fetch(&place, data).await.map_err(unusable)?;
    if fetched.manifest.is_none() {
        out::note(UNVERIFIED);
    }
    let put_back = || {
        let documents = ragtime_store::restore(&fetched.database(), data, args.replace)?;
        let handlers = backup::copy_handlers(&fetched.handlers(), &swap::archive_folder(data))?;
        Ok::<_, BackupError>((documents, handlers.len() as u64))
    };
    let (documents, handlers) =
        tokio::task::block_in_place(put_back).map_err(|error| match error {
            BackupError::Store(OpenError::Exists) => CliError::with_hint(
                format!("{} has documents already", data.display()),
                "--data-dir DIR restores beside it, --replace gives it up",
            ),
            error => unusable(error),
        })?;
    print_totals(documents, handlers, "restored", args.json);
    Ok(())
}

/// What is said of a backup whose files cannot be compared.
const UNVERIFIED: &str = "this backup has no manifest, as a version before manifests made it: \
    the hashes of its files could not be compared";

async fn rehearse(place: &Place, settings: Settings, as_json: bool) -> Result<(), CliError> {
    let rehearsal = backup::rehearse(place, settings).await;
    let rehearsal = rehearsal.map_err(|error| CliError::new(error.to_string()))?;
    match as_json {
        true => out::data(&rehearsed(&rehearsal).to_string()),
        false => say(&rehearsal),
    }
    if !rehearsal.report.lost.is_empty() {
        return Err(CliError::with_hint("the backup is damaged", "an older one may be whole"));
    }
    let searched = rehearsal.served.as_ref().and_then(|served| served.search.as_ref());
    if searched.is_some_and(|search| !search.found) {
        return Err(CliError::new("search does not find a passage that is in the backup"));
    }
    Ok(())
}

fn rehearsed(rehearsal: &Rehearsal) -> Value {
    let served = rehearsal.served.as_ref();
    let search = served.and_then(|served| served.search.as_ref());
    json!({
        "files": rehearsal.manifest.as_ref().map(|manifest| manifest.files.len()),
        "created_at": rehearsal.manifest.as_ref().map(|manifest| &manifest.created_at),
        "documents": rehearsal.report.documents, "vectors": rehearsal.report.vectors,
        "lost": rehearsal.report.lost, "differing": rehearsal.report.differing,
        "handler": served.map(|served| &served.handler),
        "search": search.map(|search| json!({
            "collection": search.collection, "document": search.document, "found": search.found,
        })),
    })
}

fn say(rehearsal: &Rehearsal) {
    match &rehearsal.manifest {
        Some(manifest) => out::data(&format!(
            "{} with the hashes that version {} wrote at {}",
            counted(manifest.files.len() as u64, "file"),
            manifest.ragtime,
            manifest.created_at
        )),
        None => out::note(UNVERIFIED),
    }
    let report = &rehearsal.report;
    let (texts, vectors) = (counted(report.documents, "text"), counted(report.vectors, "vector"));
    out::data(&format!("{texts} and {vectors} read"));
    findings(report, "rebuilt where the backup is restored");
    let Some(served) = &rehearsal.served else { return };
    out::data(&format!("a server started with the handler {}", served.handler));
    match &served.search {
        Some(search) => out::data(&format!(
            "search in {} {} {}",
            search.collection,
            if search.found { "finds" } else { "does not find" },
            search.document
        )),
        None => out::data("there is no passage to search for"),
    }
}

/// Compares everything with everything.
pub fn check(args: &CheckArgs, data: &Path) -> Result<(), CliError> {
    let report = ragtime_store::check(data, args.repair).map_err(refused)?;
    match args.json {
        true => out::data(&as_json(&report, args.repair).to_string()),
        false => print(&report, if args.repair { "rebuilt at the next start" } else { "differs" }),
    }
    if !report.lost.is_empty() {
        return Err(CliError::with_hint("data was lost", "ragtime restore brings a backup back"));
    }
    if !report.differing.is_empty() && !args.repair {
        return Err(CliError::with_hint(
            "derived data differs from the documents",
            "ragtime check --repair has it rebuilt; nothing is lost",
        ));
    }
    Ok(())
}

fn as_json(report: &ragtime_store::Report, repaired: bool) -> Value {
    json!({
        "documents": report.documents, "chunks": report.chunks, "vectors": report.vectors,
        "lost": report.lost, "differing": report.differing, "repaired": repaired,
    })
}

fn print(report: &ragtime_store::Report, fate: &str) {
    out::data(&format!(
        "{}, {}, {} checked",
        counted(report.documents, "document"),
        counted(report.chunks, "chunk"),
        counted(report.vectors, "vector")
    ));
    findings(report, fate);
}

fn findings(report: &ragtime_store::Report, fate: &str) {
    for finding in &report.lost {
        out::data(&format!("lost: {finding}"));
    }
    for finding in &report.differing {
        out::data(&format!("{fate}: {finding}"));
    }
}

fn print_totals(documents: u64, handlers: u64, fate: &str, as_json: bool) {
    if as_json {
        out::data(&json!({"documents": documents, "handlers": handlers}).to_string());
        return;
    }
    let (documents, handlers) = (counted(documents, "document"), counted(handlers, "handler"));
    out::data(&format!("{documents} and {handlers} {fate}"));
}

fn counted(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

fn unusable(error: BackupError) -> CliError {
    match error {
        BackupError::Store(error) => refused(error),
        BackupError::Exists(_) => CliError::with_hint(error.to_string(), "name another place"),
        BackupError::Bucket(_) => CliError::with_hint(
            error.to_string(),
            "the bucket is named by s3://BUCKET/PREFIX, the store by AWS_ENDPOINT_URL and AWS_REGION, \
             the key by AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or all by [backup.s3]",
        ),
        BackupError::Room { .. } => CliError::with_hint(
            error.to_string(),
            "name a place on another disk, or set backup.min_free_bytes",
        ),
        error => CliError::new(error.to_string()),
    }
}

fn refused(error: OpenError) -> CliError {
    match error {
        OpenError::InUse => CliError::with_hint(
            "a server is at work on the data folder",
            "stop it first, or name another folder with --data-dir",
        ),
        OpenError::NoDatabase => CliError::with_hint(
            "there are no documents here",
            "name the folder of the server's data with --data-dir",
        ),
        error => CliError::new(error.to_string()),
    }
}
