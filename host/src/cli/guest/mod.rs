//! `ragtime guest`: the handler, and replacing it.

mod build;
mod gate;
mod new;
mod plug;
mod swap;

use reqwest::Method;
use serde_json::Value;

use super::context::{Context, Key};
use super::{CliError, Trust, count, list, out, text};

/// Hexadecimal digits of a hash that are enough for people.
const SHORT_HASH: usize = 12;

/// What to do with handlers.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Which servers, and as whom.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
struct Connection {
    /// The server's admin API
    #[arg(
        long,
        env = "RAGTIME_ADMIN",
        value_name = "URL",
        default_value = "http://127.0.0.1:8081",
        global = true
    )]
    admin: String,
    /// The server, for --eval
    #[arg(
        long,
        env = "RAGTIME_SERVER",
        value_name = "URL",
        default_value = "http://127.0.0.1:8080",
        global = true
    )]
    server: String,
    /// A key with the scope admin; better in the environment, where other users
    /// cannot see it
    #[arg(long, env = "RAGTIME_KEY", hide_env_values = true, value_name = "KEY", global = true)]
    key: Option<Key>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Lay out a project for a handler of your own
    New(new::Args),
    /// Build a project's component; with --watch --swap, put it in on every save
    Build(build::Args),
    /// Replace the handler while it serves
    Swap(swap::Args),
    /// Bring back the handler that served before
    Rollback {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Join a handler and a provider into a component for stock `wasmtime serve`
    Plug(plug::Args),
    /// List the handlers at work
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show which handlers served, and which were refused and why
    History {
        /// How many, newest first
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: u32,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Manages handlers.
pub async fn run(args: Args) -> Result<(), CliError> {
    let connection = args.connection;
    let admin = Context::new(connection.admin, connection.key, connection.trust);
    match args.command {
        Command::New(args) => new::run(&args),
        Command::Build(args) => build::run(args, &admin).await,
        Command::Swap(args) => swap::run(args, &admin, &admin.at(connection.server)).await,
        Command::Plug(args) => plug::run(&args),
        Command::Rollback { json } => swap::rollback(&admin, json).await,
        Command::List { json } => {
            let answer = admin.json(admin.admin(Method::GET, &[])?).await?;
            match json {
                true => out::data(&answer.to_string()),
                false => list(&answer, "generations").iter().for_each(show),
            }
            Ok(())
        }
        Command::History { limit, json } => {
            let request = admin.admin(Method::GET, &["history"])?.query(&[("limit", limit)]);
            let answer = admin.json(request).await?;
            match json {
                true => out::data(&answer.to_string()),
                false => list(&answer, "history").iter().for_each(print_deployment),
            }
            Ok(())
        }
    }
}

fn show(one: &Value) {
    out::data(&format!(
        "{:>4}  {:<9} {}  {}  {} requests, {} in flight",
        count(one, "generation"),
        text(one, "state"),
        short(text(one, "sha256")),
        text(one, "label"),
        count(one, "requests"),
        count(one, "in_flight"),
    ));
}

fn print_deployment(one: &Value) {
    let at = i64::try_from(count(one, "at")).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_second(at).map_or_else(|_| String::new(), |at| at.to_string());
    let why = match text(one, "reason") {
        "" => String::new(),
        reason => format!(" while {}: {reason}", text(one, "stage")),
    };
    out::data(&format!(
        "{:>4}  {at}  {:<8} {:<7} {}  {}{why}",
        count(one, "generation"),
        text(one, "kind"),
        text(one, "outcome"),
        short(text(one, "sha256")),
        text(one, "label"),
    ));
}

fn short(hash: &str) -> &str {
    hash.get(..SHORT_HASH).unwrap_or(hash)
}
