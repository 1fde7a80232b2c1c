//! `ragtime keys`

use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{CliError, Context, count, list, out, text};

/// What to do with keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List all keys
    List,
    /// Make a key and show it, once
    Create(CreateArgs),
    /// Make a successor; the old key works for a while yet
    Rotate {
        /// The key's id
        id: String,
        /// How long the old key goes on working
        #[arg(long, value_name = "SECONDS", default_value_t = 3600)]
        grace: u32,
    },
    /// End a key at once
    Revoke {
        /// The key's id
        id: String,
    },
    /// Show the key in use
    #[command(name = "self")]
    Current,
}

#[derive(Debug, clap::Args)]
struct CreateArgs {
    /// A name for people
    #[arg(long)]
    name: String,
    /// What it allows; may be given more than once
    #[arg(long = "scope", value_parser = ["read", "write", "admin"], default_value = "read")]
    scopes: Vec<String>,
    /// A collection it is limited to; may be given more than once
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// When it stops working, as in 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Units it regains per minute [default: the server's]
    #[arg(long, value_name = "UNITS")]
    rate_per_minute: Option<u32>,
    /// Units it may spend at once [default: the server's]
    #[arg(long, value_name = "UNITS")]
    burst: Option<u32>,
}

/// Manages keys.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    match args.command {
        Command::List => {
            let answer = context.json(context.request(Method::GET, &["keys"])?).await?;
            list(&answer, "keys").iter().for_each(show);
        }
        Command::Current => {
            show(&context.json(context.request(Method::GET, &["keys", "self"])?).await?)
        }
        Command::Create(args) => {
            let request = context.request(Method::POST, &["keys"])?.json(&args.body());
            issued(&context.json(request).await?);
        }
        Command::Rotate { id, grace } => {
            let request = context.request(Method::POST, &["keys", &id, "rotate"])?;
            issued(&context.json(request.json(&json!({"grace_seconds": grace}))).await?);
        }
        Command::Revoke { id } => {
            context.send(context.request(Method::DELETE, &["keys", &id])?).await?;
            out::note(&format!("key {id} does not work any more"));
        }
    }
    Ok(())
}

impl CreateArgs {
    fn body(&self) -> Value {
        let mut body = Map::new();
        body.insert("name".into(), json!(self.name));
        body.insert("scopes".into(), json!(self.scopes));
        if !self.collections.is_empty() {
            body.insert("collections".into(), json!(self.collections));
        }
        let given = [
            ("expires_at", self.expires_at.as_ref().map(|at| json!(at))),
            ("rate_per_minute", self.rate_per_minute.map(|rate| json!(rate))),
            ("burst", self.burst.map(|burst| json!(burst))),
        ];
        body.extend(given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
        Value::Object(body)
    }
}

fn issued(answer: &Value) {
    out::note("This key is shown once; only its hash is kept:");
    out::data(text(answer, "credential"));
}

fn show(key: &Value) {
    let words =
        |name: &str| list(key, name).iter().filter_map(Value::as_str).collect::<Vec<_>>().join(",");
    let collections = match words("collections") {
        none if none.is_empty() => "all collections".to_owned(),
        some => some,
    };
    let expires = match text(key, "expires_at") {
        "" => "never",
        at => at,
    };
    out::data(&format!(
        "{}  {}  {}  {collections}  {}/min, burst {}  expires {expires}",
        text(key, "id"),
        text(key, "name"),
        words("scopes"),
        count(key, "rate_per_minute"),
        count(key, "burst"),
    ));
}
