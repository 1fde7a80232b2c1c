//! The command line.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::cli;
use crate::config::{DEFAULT_FILE, LogFormat, ModelSource, Settings};
use crate::doctor;
use crate::runtime::compiler;
use crate::serve;

/// A RAG API server whose handler is a sandboxed, swappable WebAssembly component
#[derive(Debug, Parser)]
#[command(version, propagate_version = true)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API
    Serve(ServeArgs),
    /// Put documents in: folders, files, or NDJSON
    Ingest(WithServer<cli::ingest::Args>),
    /// Find passages
    Search(WithServer<cli::search::Args>),
    /// Answer a question from the documents, with citations
    Query(WithServer<cli::query::Args>),
    /// Replace the handler while it serves
    Guest(cli::guest::Args),
    /// Manage keys
    Keys(WithServer<cli::keys::Args>),
    /// Carry the Model Context Protocol between standard input and the server
    Mcp(cli::Connection),
    /// Measure retrieval on a folder in BEIR's layout
    Eval(EvalArgs),
    /// Look at the hosts that share a database, or make a fleet of a data folder
    Fleet(WithSettings<cli::fleet::Args>),
    /// Copy documents, keys and handlers, while the server is at work or not
    Backup(WithSettings<cli::data::BackupArgs>),
    /// Bring a backup back
    Restore(WithSettings<cli::data::RestoreArgs>),
    /// Compare documents and indexes, and have what differs rebuilt
    Check(WithSettings<cli::data::CheckArgs>),
    /// Ask whether the server on this machine is ready; the exit status says so
    Health(WithSettings<cli::health::Args>),
    /// Look for what of the machine, the files and the settings will cost something
    Doctor(WithSettings<cli::doctor::Args>),
    /// Fetch the built-in model now, or list, fetch, check and measure others
    Model(ModelArgs),
    /// Show the settings in force, secrets left out
    Config(ConfigArgs),
    /// Print the script that completes commands in a shell
    Completions(cli::shell::CompletionsArgs),
    /// Print the manual page, or write one for each command
    Man(cli::shell::ManArgs),
    #[command(name = compiler::COMMAND, hide = true)]
    Compile(compiler::Args),
}

/// Which settings are in force.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingsArgs {
    /// The settings file [default: ragtime.toml, if there is one]
    #[arg(global = true, long, env = "RAGTIME_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where documents, indexes and compiled handlers live
    #[arg(global = true, long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Do without the embedding model: search is lexical only
    #[arg(global = true, long)]
    no_model: bool,
    /// How log lines look
    #[arg(global = true, long, value_enum, value_name = "FORMAT")]
    log_format: Option<LogFormat>,
    /// What is logged: a level, or directives as in info,ragtime=debug
    #[arg(global = true, long, value_name = "LEVEL")]
    log_level: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR")]
    listen: Option<SocketAddr>,
    /// Address and port of the admin API
    #[arg(long, value_name = "ADDR")]
    admin_listen: Option<SocketAddr>,
    /// Serve this component, or built-in, instead of what served last
    #[arg(long, value_name = "FILE.wasm")]
    handler: Option<PathBuf>,
    /// Share documents and keys with the other hosts on this PostgreSQL; the environment
    /// variable RAGTIME_FLEET__POSTGRES keeps a password out of the list of processes
    #[arg(long, value_name = "URL")]
    postgres: Option<String>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct ModelArgs {
    #[command(subcommand)]
    action: Option<cli::models::Action>,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct WithServer<A: clap::Args> {
    #[command(flatten)]
    connection: cli::Connection,
    #[command(flatten)]
    args: A,
}

#[derive(Debug, clap::Args)]
struct WithSettings<A: clap::Args> {
    #[command(flatten)]
    args: A,
    #[command(flatten)]
    settings: SettingsArgs,
}

#[derive(Debug, clap::Args)]
struct EvalArgs {
    #[command(flatten)]
    args: cli::eval::Args,
    /// Measure this server instead of one started for the purpose
    #[arg(long, env = "RAGTIME_SERVER", value_name = "URL")]
    server: Option<String>,
    /// The key for that server
    #[arg(long, env = "RAGTIME_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<cli::Key>,
    #[command(flatten)]
    trust: cli::Trust,
    #[command(flatten)]
    settings: SettingsArgs,
}

impl SettingsArgs {
    /// The file that is read, if there is one.
    fn file(&self) -> Option<PathBuf> {
        let default = || Some(PathBuf::from(DEFAULT_FILE)).filter(|file| file.is_file());
        self.config.clone().or_else(default)
    }

    /// Flags over environment over file over defaults.
    fn load(&self) -> Result<Settings, serve::ServeError> {
        let mut settings = Settings::load(self.config.as_deref())?;
        if let Some(dir) = &self.data_dir {
            settings.data.dir.clone_from(dir);
        }
        // Relative to where the command was given, whatever reads it later.
        settings.data.dir =
            std::path::absolute(&settings.data.dir).map_err(ragtime_store::OpenError::Io)?;
        if self.no_model {
            settings.model.source = ModelSource::None;
        }
        if let Some(format) = self.log_format {
            settings.log.format = format;
        }
        if let Some(level) = &self.log_level {
            settings.log.level.clone_from(level);
        }
        Ok(settings)
    }
}

impl<A: clap::Args> WithSettings<A> {
    /// Runs a command on the data folder.
    fn run(&self, command: fn(&A, &Path) -> Result<(), cli::CliError>) -> ExitCode {
        match self.settings.load() {
            Ok(settings) => cli::outcome(command(&self.args, &settings.data.dir)),
            Err(error) => outcome(Err(error)),
        }
    }
}

/// Runs the command.
pub async fn run(args: Args) -> ExitCode {
    match args.command {
        Command::Serve(args) => outcome(serve_command(args).await),
        Command::Ingest(with) => {
            cli::outcome(cli::ingest::run(with.args, &with.connection.context()).await)
        }
        Command::Search(with) => {
            cli::outcome(cli::search::run(with.args, &with.connection.context()).await)
        }
        Command::Query(with) => {
            cli::outcome(cli::query::run(with.args, &with.connection.context()).await)
        }
        Command::Keys(with) => {
            cli::outcome(cli::keys::run(with.args, &with.connection.context()).await)
        }
        Command::Mcp(connection) => cli::outcome(cli::mcp::run(&connection.context()).await),
        Command::Completions(args) => cli::outcome(cli::shell::completions(&args, Args::command())),
        Command::Man(args) => cli::outcome(cli::shell::man(&args, Args::command())),
        Command::Guest(args) => cli::outcome(cli::guest::run(args).await),
        Command::Eval(args) => eval_command(args).await,
        Command::Fleet(with) => match with.settings.load() {
            Ok(settings) => {
                cli::outcome(tokio::task::block_in_place(|| cli::fleet::run(&with.args, &settings)))
            }
            Err(error) => outcome(Err(error)),
        },
        Command::Backup(with) => match with.settings.load() {
            Ok(settings) => cli::outcome(cli::data::backup(&with.args, &settings).await),
            Err(error) => outcome(Err(error)),
        },
        Command::Restore(with) => match with.settings.load() {
            Ok(settings) => cli::outcome(cli::data::restore(&with.args, settings).await),
            Err(error) => outcome(Err(error)),
        },
        Command::Check(with) => with.run(cli::data::check),
        Command::Health(with) => match with.settings.load() {
            Ok(settings) => cli::outcome(cli::health::run(&with.args, &settings).await),
            Err(error) => outcome(Err(error)),
        },
        Command::Doctor(with) => doctor_command(with).await,
        Command::Model(args) => match args.settings.load() {
            Ok(settings) => match &args.action {
                Some(action) => cli::outcome(tokio::task::block_in_place(|| {
                    cli::models::run(action, &settings)
                })),
                None => outcome(serve::fetch_model(&settings)),
            },
            Err(error) => outcome(Err(error)),
        },
        Command::Compile(args) => match compiler::run(&args) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                cli::out::note(&error);
                ExitCode::FAILURE
            }
        },
        Command::Config(args) => outcome(args.settings.load().map(|settings| match args.json {
            true => cli::out::data(&serde_json::json!(settings).to_string()),
            false => cli::out::data(&format!("{settings:#?}")),
        })),
    }
}

async fn serve_command(args: ServeArgs) -> Result<(), serve::ServeError> {
    let mut settings = args.settings.load()?;
    if let Some(listen) = args.listen {
        settings.server.listen = listen;
    }
    if let Some(listen) = args.admin_listen {
        settings.admin.listen = listen;
    }
    if let Some(url) = &args.postgres {
        settings.fleet.postgres = Some(url.as_str().into());
    }
    if args.handler.is_some() {
        settings.handler.file = args.handler;
    }
    serve::run(settings).await
}

async fn doctor_command(with: WithSettings<cli::doctor::Args>) -> ExitCode {
    let findings = match with.settings.load() {
        Ok(settings) => {
            doctor::examine(&settings, with.settings.file().as_deref(), with.args.online).await
        }
        Err(error) => vec![doctor::unreadable(&error.to_string(), error.hint())],
    };
    cli::doctor::report(&findings, &with.args)
}

async fn eval_command(args: EvalArgs) -> ExitCode {
    if let Some(server) = args.server {
        let context = cli::Context::new(server, args.key, args.trust);
        return cli::outcome(cli::eval::run(args.args, &context).await);
    }
    let scratch = match args.settings.load() {
        Ok(settings) => serve::scratch(settings).await,
        Err(error) => Err(error),
    };
    match scratch {
        Ok(scratch) => {
            let key = Some(scratch.key.clone().into());
            let context = cli::Context::new(scratch.url.clone(), key, cli::Trust::default());
            let code = cli::outcome(cli::eval::run(args.args, &context).await);
            scratch.stop().await;
            code
        }
        Err(error) => outcome(Err(error)),
    }
}

fn outcome(result: Result<(), serve::ServeError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::out::fail(&error.to_string(), error.hint()),
    }
}
