//! `ragtime keys`

use jiff::Timestamp;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{CliError, Context, count, list, out, text};

/// What to do with keys.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
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
    /// Change a key, with its next request
    Update(UpdateArgs),
    /// Show the key in use
    #[command(name = "self")]
    Current,
    /// Show who changed which key or handler, newest first
    Audit {
        /// The server's admin API
        #[arg(
            long,
            env = "RAGTIME_ADMIN",
            value_name = "URL",
            default_value = "http://127.0.0.1:8081"
        )]
        admin: String,
        /// How many acts
        #[arg(long, value_name = "COUNT", default_value_t = 20)]
        limit: u32,
    },
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
    /// When it stops working: in 30d (s, m, h, d, w), or 2027-01-31T00:00:00Z
    #[arg(long, alias = "expires-at", value_name = "TIME", value_parser = expiry)]
    expires: Option<String>,
    /// Units it regains per minute [default: the server's]
    #[arg(long, alias = "rate-per-minute", value_name = "UNITS")]
    rate: Option<u32>,
    /// Units it may spend at once [default: the server's]
    #[arg(long, value_name = "UNITS")]
    burst: Option<u32>,
}

#[derive(Debug, clap::Args)]
struct UpdateArgs {
    /// The key's id
    id: String,
    /// A name for people
    #[arg(long)]
    name: Option<String>,
    /// What it allows; may be given more than once
    #[arg(long = "scope", value_parser = ["read", "write", "admin"])]
    scopes: Vec<String>,
    /// A collection it is limited to; may be given more than once
    #[arg(long = "collection", value_name = "NAME")]
    collections: Vec<String>,
    /// When it stops working: in 30d (s, m, h, d, w), or 2027-01-31T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<String>,
    /// Units it regains per minute
    #[arg(long, value_name = "UNITS")]
    rate: Option<u32>,
    /// Units it may spend at once
    #[arg(long, value_name = "UNITS")]
    burst: Option<u32>,
}

/// Manages keys.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let Args { command, json } = args;
    match command {
        Command::List => {
            let answer = context.json(context.request(Method::GET, &["keys"])?).await?;
            print(&answer, json, |answer| list(answer, "keys").iter().for_each(show));
        }
        Command::Current => {
            let key = context.json(context.request(Method::GET, &["keys", "self"])?).await?;
            print(&key, json, show);
        }
        Command::Create(args) => {
            let request = context.request(Method::POST, &["keys"])?.json(&args.body());
            print(&context.json(request).await?, json, issued);
        }
        Command::Update(args) => {
            let request = context.request(Method::PATCH, &["keys", &args.id])?;
            print(&context.json(request.json(&args.body())).await?, json, show);
        }
        Command::Audit { admin, limit } => {
            let admin = context.at(admin);
            let request = admin.to(Method::GET, ["admin", "audit"].into_iter())?;
            let answer = admin.json(request.query(&[("limit", limit)])).await?;
            print(&answer, json, |answer| list(answer, "acts").iter().for_each(print_event));
        }
        Command::Rotate { id, grace } => {
            let request = context.request(Method::POST, &["keys", &id, "rotate"])?;
            let request = request.json(&json!({"grace_seconds": grace}));
            print(&context.json(request).await?, json, issued);
        }
        Command::Revoke { id } => {
            context.send(context.request(Method::DELETE, &["keys", &id])?).await?;
            out::note(&format!("key {id} does not work any more"));
        }
    }
    Ok(())
}

/// An answer as the server gave it, or for people.
fn print(answer: &Value, json: bool, for_people: impl FnOnce(&Value)) {
    match json {
        true => out::data(&answer.to_string()),
        false => for_people(answer),
    }
}

fn print_event(act: &Value) {
    let detail = act.get("detail").map(Value::to_string).unwrap_or_default();
    out::data(&format!(
        "{}  {}  {:<14} {}  {detail}",
        text(act, "at"),
        text(act, "actor"),
        text(act, "action"),
        text(act, "target"),
    ));
}

impl CreateArgs {
    fn body(&self) -> Value {
        body([
            ("name", Some(json!(self.name))),
            ("scopes", Some(json!(self.scopes))),
            ("collections", some(&self.collections)),
            ("expires_at", self.expires.as_ref().map(|at| json!(at))),
            ("rate_per_minute", self.rate.map(|rate| json!(rate))),
            ("burst", self.burst.map(|burst| json!(burst))),
        ])
    }
}

impl UpdateArgs {
    fn body(&self) -> Value {
        body([
            ("name", self.name.as_ref().map(|name| json!(name))),
            ("scopes", some(&self.scopes)),
            ("collections", some(&self.collections)),
            ("expires_at", self.expires.as_ref().map(|at| json!(at))),
            ("rate_per_minute", self.rate.map(|rate| json!(rate))),
            ("burst", self.burst.map(|burst| json!(burst))),
        ])
    }
}

/// The members that have a value.
fn body<const N: usize>(members: [(&str, Option<Value>); N]) -> Value {
    let given = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(Map::from_iter(given))
}

fn some(names: &[String]) -> Option<Value> {
    (!names.is_empty()).then(|| json!(names))
}

/// The time that a duration from now or a time in RFC 3339 says, in RFC 3339.
fn expiry(text: &str) -> Result<String, String> {
    expiry_from(text, Timestamp::now())
}

fn expiry_from(text: &str, now: Timestamp) -> Result<String, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.to_string());
    }
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3_600,
        Some('d') => 86_400,
        Some('w') => 604_800,
        _ => return Err("neither a duration as in 30d nor a time in RFC 3339".to_owned()),
    };
    let count = text.get(..text.len() - 1).unwrap_or_default();
    let count: u32 = count.parse().map_err(|_| format!("\"{count}\" is not a whole number"))?;
    let time = i64::from(count)
        .checked_mul(unit)
        .and_then(|seconds| Timestamp::from_second(now.as_second().checked_add(seconds)?).ok());
    time.map(|time| time.to_string()).ok_or_else(|| "too far away".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expiry_is_a_duration_or_a_time() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let expiry = |text: &str| expiry_from(text, now);
        assert_eq!(expiry("30d").unwrap(), "2027-02-14T08:00:00Z");
        assert_eq!(expiry("90s").unwrap(), "2027-01-15T08:01:30Z");
        assert_eq!(expiry("2027-01-31T01:00:00+01:00").unwrap(), "2027-01-31T00:00:00Z");
        for wrong in ["", "d", "-1d", "1.5h", "30", "30 d", "30ä", "4000000000w", "tomorrow"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }
}
