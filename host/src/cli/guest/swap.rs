//! `ragtime guest swap` and `rollback`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ragtime_openai::sse::{Event, Parser};
use reqwest::header::{ACCEPT, CONTENT_TYPE, IF_MATCH};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use super::super::error::Problem;
use super::super::{CliError, Context, count, list, out, text};
use super::{gate, short};
use crate::serve::BUILT_IN_HANDLER;
use crate::swap::BUILT_IN;

/// Which handler, and what it has to show before it serves.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The component; built-in for the one in this binary
    #[arg(value_name = "FILE.wasm")]
    file: PathBuf,
    /// Do all but let it serve
    #[arg(long)]
    dry_run: bool,
    /// Measure both handlers on this folder in BEIR's layout first, as ragtime
    /// eval does
    #[arg(long, value_name = "DIR", help_heading = "Gates")]
    eval: Option<PathBuf>,
    /// How far nDCG@10 may fall
    #[arg(
        long,
        value_name = "AMOUNT",
        default_value_t = 0.01,
        requires = "eval",
        help_heading = "Gates"
    )]
    max_drop: f64,
    /// Copy this share of live reads to it, in percent, and compare the answers
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Gates")]
    shadow: Option<u8>,
    /// Let it answer this share of live traffic, in percent, and go back when it
    /// does worse
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100), help_heading = "Gates")]
    canary: Option<u8>,
    /// How long --shadow and --canary last: 30s, 10m, 1h
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, default_value = "60s", help_heading = "Gates")]
    trial: Duration,
    /// Print the end as JSON
    #[arg(long)]
    json: bool,
}

/// Replaces the handler. Interrupted, the swap is called off.
pub async fn run(args: Args, admin: &Context, server: &Context) -> Result<(), CliError> {
    let component = read(&args.file)?;
    let gate = args.eval.as_deref().map(|dir| gate::Gate::read(dir, args.max_drop)).transpose()?;
    let active = admin.json(admin.admin(Method::GET, &[])?).await?;
    let active_id = count(&active, "active");
    let request = admin
        .admin(Method::POST, &[])?
        .query(&query(&args, gate.is_some()))
        .header(CONTENT_TYPE, "application/wasm")
        .body(component);
    let swap = follow(admin, expecting(request, active_id), gate.as_ref(), server, args.json);
    tokio::select! {
        done = swap => done,
        _ = tokio::signal::ctrl_c() => Err(CliError::interrupted()),
    }
}

/// Replaces the handler by a component, without gates.
pub async fn file(file: &Path, admin: &Context) -> Result<(), CliError> {
    let active = admin.json(admin.admin(Method::GET, &[])?).await?;
    let label = file.file_name().map(|name| name.to_string_lossy().into_owned());
    let request = admin
        .admin(Method::POST, &[])?
        .query(&[("label", label.unwrap_or_default())])
        .header(CONTENT_TYPE, "application/wasm")
        .body(read(file)?);
    follow(admin, expecting(request, count(&active, "active")), None, admin, false).await
}

fn read(file: &Path) -> Result<Vec<u8>, CliError> {
    if file == Path::new(BUILT_IN) {
        return Ok(BUILT_IN_HANDLER.to_vec());
    }
    std::fs::read(file)
        .map_err(|error| CliError::new(format!("{} cannot be read: {error}", file.display())))
}

/// Brings back the handler that served before.
pub async fn rollback(admin: &Context, json: bool) -> Result<(), CliError> {
    let active = admin.json(admin.admin(Method::GET, &[])?).await?;
    let request = admin.admin(Method::POST, &["rollback"])?;
    follow(admin, expecting(request, count(&active, "active")), None, admin, json).await
}

fn query(args: &Args, hold: bool) -> Vec<(&'static str, String)> {
    let label = args.file.file_name().map(|name| name.to_string_lossy().into_owned());
    let mut query = vec![("label", label.unwrap_or_default()), ("hold", hold.to_string())];
    query.push(("dry_run", args.dry_run.to_string()));
    query.push(("for", args.trial.as_secs().to_string()));
    query.extend(args.shadow.map(|percent| ("shadow", percent.to_string())));
    query.extend(args.canary.map(|percent| ("canary", percent.to_string())));
    query
}

/// On the generation that was active when the person decided.
fn expecting(request: RequestBuilder, active: u64) -> RequestBuilder {
    request.header(ACCEPT, "text/event-stream").header(IF_MATCH, format!("\"{active}\""))
}

/// Prints the steps as they are done.
async fn follow(
    admin: &Context,
    request: RequestBuilder,
    gate: Option<&gate::Gate>,
    server: &Context,
    json: bool,
) -> Result<(), CliError> {
    let mut response = admin.send(request).await?;
    let mut parser = Parser::default();
    while let Some(bytes) = response.chunk().await.map_err(|error| broken(&error))? {
        for Event { name, data } in parser.push(&bytes) {
            let data: Value = serde_json::from_str(&data).map_err(|error| broken(&error))?;
            match name.as_str() {
                "step" if text(&data, "step") == "held" => {
                    let candidate = count(data.get("detail").unwrap_or(&data), "generation");
                    decide(gate, candidate, admin, server).await?;
                }
                "step" => print_step(&data),
                "done" => {
                    match json {
                        true => out::data(&data.to_string()),
                        false => print_end(&data),
                    }
                    return Ok(());
                }
                "error" => {
                    let problem = serde_json::from_value::<Problem>(data);
                    return Err(problem.map_or_else(|error| broken(&error), CliError::from));
                }
                _ => {}
            }
        }
    }
    Err(broken(&"it has no end"))
}

async fn decide(
    gate: Option<&gate::Gate>,
    candidate: u64,
    admin: &Context,
    server: &Context,
) -> Result<(), CliError> {
    let report = match gate {
        Some(gate) => gate.measure(candidate, admin, server).await?,
        None => json!({"pass": true}),
    };
    let request = admin.admin(Method::POST, &[&candidate.to_string(), "decision"])?;
    admin.send(request.json(&report)).await.map(|_| ())
}

fn broken(what: &dyn std::fmt::Display) -> CliError {
    CliError::with_hint(
        format!("the account of the swap broke off: {what}"),
        "see what became of it with: ragtime guest history",
    )
}

fn print_step(step: &Value) {
    let detail = step.get("detail").unwrap_or(&Value::Null);
    let line = match text(step, "step") {
        "compiled" => format!(
            "compiled   {} ({} bytes) in {:.0} ms{}",
            short(text(detail, "sha256")),
            count(detail, "bytes"),
            number(detail, "ms"),
            if flag(detail, "same_as_active") { ", the component that serves now" } else { "" },
        ),
        "linked" => format!("linked     imports {}", changes(detail.get("imports"))),
        "probed" => format!("probed     {}", probed(detail)),
        "gated" => format!("gated      {}", text(detail, "reason")),
        "shadow" => format!("shadowed   {}, {}", sides(detail), differences(detail)),
        "canary" => format!("tried out  {}", sides(detail)),
        "activated" => format!("activated  after {:.0} ms", number(detail, "ms")),
        other => other.to_owned(),
    };
    out::note(&line);
}

fn print_end(done: &Value) {
    let generation = count(done, "generation");
    out::data(&match text(done, "outcome") {
        "active" => format!("generation {generation} serves"),
        _ => format!("generation {generation} would serve; nothing was changed"),
    });
}

fn changes(diff: Option<&Value>) -> String {
    let Some(diff) = diff.filter(|diff| diff.is_object()) else { return "unknown".into() };
    let signed = |name, sign: char| {
        list(diff, name).iter().filter_map(Value::as_str).map(move |one| format!("{sign}{one}"))
    };
    let all: Vec<_> = signed("added", '+').chain(signed("removed", '-')).collect();
    if all.is_empty() { "unchanged".into() } else { all.join(" ") }
}

fn probed(detail: &Value) -> String {
    let answers = list(detail, "answers").iter().map(|one| {
        format!("{} {} ({:.1} ms)", text(one, "request"), count(one, "status"), number(one, "ms"))
    });
    let answers = answers.collect::<Vec<_>>().join(", ");
    match detail.get("routes").filter(|routes| routes.is_object()) {
        Some(routes) => format!("{answers}; routes {}", changes(Some(routes))),
        None => answers,
    }
}

fn sides(detail: &Value) -> String {
    let side = |name: &str| {
        let side = detail.get(name).unwrap_or(&Value::Null);
        let (requests, errors) = (count(side, "requests"), count(side, "errors"));
        format!("{requests} requests, {errors} failed, p95 {:.1} ms", number(side, "p95_ms"))
    };
    format!("{} (before: {})", side("candidate"), side("active"))
}

fn differences(detail: &Value) -> String {
    let found = detail.get("differences").unwrap_or(&Value::Null);
    format!("{} other statuses, {} other results", count(found, "status"), count(found, "results"))
}

fn number(value: &Value, name: &str) -> f64 {
    value.get(name).and_then(Value::as_f64).unwrap_or(0.0)
}

fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "a duration as in 30s, 10m or 1h".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        _ => return Err(wrong()),
    };
    let number: u64 =
        text.get(..text.len() - 1).unwrap_or_default().parse().map_err(|_| wrong())?;
    number.checked_mul(unit).filter(|n| *n > 0).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_lasts_seconds_minutes_or_hours() {
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "s", "0s", "-1s", "10", "1d", "1.5m", "3ä"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_difference_is_told_with_its_sign() {
        let diff = json!({"added": ["b"], "removed": ["a"]});
        assert_eq!(changes(Some(&diff)), "+b -a");
        assert_eq!(changes(Some(&json!({"added": [], "removed": []}))), "unchanged");
        assert_eq!(changes(Some(&Value::Null)), "unknown");
    }
}
