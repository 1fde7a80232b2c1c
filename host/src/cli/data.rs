//! `ragtime backup`, `restore` and `check`: the data folder itself.

use std::path::{Path, PathBuf};
use std::{fs, io};

use ragtime_store::OpenError;
use serde_json::{Value, json};

use super::{CliError, out};
use crate::swap;

/// The database in a backup.
const DATABASE: &str = "ragtime.sqlite";
/// Components in a backup.
const HANDLERS: &str = "handlers";

/// Where a backup goes.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// A folder for it, made if need be; what is in it is never written over
    #[arg(value_name = "DIR")]
    to: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What comes back.
#[derive(Debug, clap::Args)]
pub struct RestoreArgs {
    /// The folder of the backup
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Give up the documents and keys that the data folder has now
    #[arg(long)]
    replace: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// How to check.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// Remove what differs of the derived data; the next start makes it anew
    #[arg(long)]
    repair: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Copies documents, keys, history and handlers, while a server is at work or
/// not.
pub fn backup(args: &BackupArgs, data: &Path) -> Result<(), CliError> {
    fs::create_dir_all(&args.to).map_err(|error| at(&args.to, &error))?;
    let documents = ragtime_store::backup(data, &args.to.join(DATABASE)).map_err(refused)?;
    // After the database, so that no handler that it names is missing.
    let handlers = copy_handlers(&swap::archive_folder(data), &args.to.join(HANDLERS))?;
    tell(documents, handlers, "copied", args.json);
    Ok(())
}

/// Puts a backup in the place of what there is.
pub fn restore(args: &RestoreArgs, data: &Path) -> Result<(), CliError> {
    let documents =
        ragtime_store::restore(&args.from.join(DATABASE), data, args.replace).map_err(|error| {
            match error {
                OpenError::Exists => CliError::with_hint(
                    format!("{} has documents already", data.display()),
                    "--data-dir DIR restores beside it, --replace gives it up",
                ),
                error => refused(error),
            }
        })?;
    let handlers = copy_handlers(&args.from.join(HANDLERS), &swap::archive_folder(data))?;
    tell(documents, handlers, "restored", args.json);
    Ok(())
}

/// Compares everything with everything.
pub fn check(args: &CheckArgs, data: &Path) -> Result<(), CliError> {
    let report = ragtime_store::check(data, args.repair).map_err(refused)?;
    match args.json {
        true => out::data(&as_json(&report, args.repair).to_string()),
        false => print(&report, args.repair),
    }
    if !report.lost.is_empty() {
        return Err(CliError::with_hint("data was lost", "ragtime restore brings a backup back"));
    }
    if !report.differing.is_empty() && !args.repair {
        return Err(CliError::with_hint(
            "derived data differs from the documents",
            "ragtime check --repair has it made anew; nothing is lost",
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

fn print(report: &ragtime_store::Report, repaired: bool) {
    out::data(&format!(
        "{}, {}, {} checked",
        counted(report.documents, "document"),
        counted(report.chunks, "chunk"),
        counted(report.vectors, "vector")
    ));
    for finding in &report.lost {
        out::data(&format!("lost: {finding}"));
    }
    let fate = if repaired { "made anew at the next start" } else { "differs" };
    for finding in &report.differing {
        out::data(&format!("{fate}: {finding}"));
    }
}

/// Copies components that are not there yet; each is named by its hash.
fn copy_handlers(from: &Path, to: &Path) -> Result<u64, CliError> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries.map_err(|error| at(from, &error))?,
    };
    let mut copied = 0;
    for entry in entries {
        let path = entry.map_err(|error| at(from, &error))?.path();
        if path.extension().is_none_or(|extension| extension != "wasm") {
            continue;
        }
        copy_component(&path, to).map_err(|error| at(&path, &error))?;
        copied += 1;
    }
    Ok(copied)
}

fn copy_component(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let Some(name) = from.file_name() else { return Ok(()) };
    let mut copy = tempfile::NamedTempFile::new_in(to)?;
    io::copy(&mut fs::File::open(from)?, &mut copy)?;
    copy.as_file().sync_all()?;
    copy.persist(to.join(name)).map_err(|error| error.error)?;
    Ok(())
}

fn tell(documents: u64, handlers: u64, fate: &str, as_json: bool) {
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

fn at(path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("{}: {error}", path.display()))
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
