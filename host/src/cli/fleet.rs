//! `ragtime fleet`: the hosts that share a database.

use clap::Subcommand;
use ragtime_store::OpenError;
use ragtime_store::fleet::{HostStatus, Overview, SharedServer};

use super::{CliError, out};
use crate::config::Settings;
use crate::swap::{self, Archive};

/// What to do with a fleet.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    action: Action,
    /// The PostgreSQL of the fleet [default: the setting fleet.postgres]
    #[arg(global = true, long, value_name = "URL")]
    postgres: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// List the hosts: how far they are, and what they serve
    Status {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Make a fleet of the documents, keys and settings in the data folder
    Import,
}

/// Runs the command. Blocking.
pub fn run(args: &Args, settings: &Settings) -> Result<(), CliError> {
    let mut fleet = settings.fleet.clone();
    if let Some(url) = &args.postgres {
        fleet.postgres = Some(url.as_str().into());
    }
    let no_database = || {
        CliError::with_hint(
            "no PostgreSQL is named".to_owned(),
            "--postgres URL, or the setting fleet.postgres",
        )
    };
    let store = fleet.store(String::new()).ok_or_else(no_database)?;
    match &args.action {
        Action::Status { json } => {
            let overview = ragtime_store::fleet::overview(&store).map_err(refused)?;
            match json {
                true => out::data(&overview.to_json().to_string()),
                false => out::data(&as_text(&overview)),
            }
        }
        Action::Import => {
            let dir = &settings.data.dir;
            let documents = ragtime_store::fleet::import(dir, &store).map_err(refused)?;
            let components = Archive::new(&swap::archive_folder(dir)).and_then(|all| all.all());
            let components = components.map_err(|error| CliError::new(error.to_string()))?;
            ragtime_store::fleet::keep_components(&store, components).map_err(refused)?;
            out::note(&format!(
                "a fleet was made with {documents} documents; the folder {} is as it was",
                dir.display()
            ));
        }
    }
    Ok(())
}

fn refused(error: OpenError) -> CliError {
    match &error {
        OpenError::FleetTls(fault) => {
            CliError::with_hint(error.to_string(), fault.advice(SharedServer::Postgres))
        }
        _ => CliError::new(error.to_string()),
    }
}

fn as_text(overview: &Overview) -> String {
    let head = format!(
        "fleet {}: {} entries, {} of them in the log ({} bytes), a snapshot at {} ({} bytes)",
        overview.fleet,
        overview.head,
        overview.log_entries,
        overview.log_bytes,
        overview.snapshot,
        overview.snapshot_bytes,
    );
    let host = |host: &HostStatus| {
        // So much of a hash distinguishes handlers.
        let handler = host.handler.get(..12).unwrap_or("none yet");
        let leads = if host.leads { ", leads" } else { "" };
        format!(
            "{}: {}, {} entries behind, version {}, generation {} ({handler}), heard from {} s ago{leads}",
            host.name, host.state, host.behind, host.version, host.generation, host.silent_seconds
        )
    };
    std::iter::once(head).chain(overview.hosts.iter().map(host)).collect::<Vec<_>>().join("\n")
}
