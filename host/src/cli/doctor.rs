//! `ragtime doctor`: what was found, for people and programs.

use std::process::ExitCode;

use serde_json::json;

use super::out;
use crate::doctor::{Finding, Status};

/// How to look, and how to report.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Ask the endpoints of models and collectors, PostgreSQL and Redis that the settings name, too
    #[arg(long)]
    pub online: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Prints what was found, what is worst last. Fails where something fails.
pub fn report(findings: &[Finding], args: &Args) -> ExitCode {
    match args.json {
        true => out::data(&as_json(findings)),
        false => print(findings),
    }
    match findings.iter().any(|one| one.status == Status::Fail) {
        true => ExitCode::FAILURE,
        false => ExitCode::SUCCESS,
    }
}

fn as_json(findings: &[Finding]) -> String {
    let worst = findings.iter().map(|one| one.status).max().unwrap_or(Status::Ok);
    let findings: Vec<_> = findings
        .iter()
        .map(|one| {
            json!({
                "check": one.check, "status": one.status.name(), "found": one.found,
                "advice": one.advice,
            })
        })
        .collect();
    json!({"status": worst.name(), "findings": findings}).to_string()
}

fn print(findings: &[Finding]) {
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|one| one.status);
    for one in sorted {
        out::data(&format!("{:<4}  {:<28}  {}", one.status.name(), one.check, one.found));
        if let Some(advice) = &one.advice {
            out::data(&format!("      {advice}"));
        }
    }
    let count = |status| findings.iter().filter(|one| one.status == status).count();
    let (ok, warn, fail) = (count(Status::Ok), count(Status::Warn), count(Status::Fail));
    out::data(&format!("{ok} ok, {warn} to look at, {fail} to mend"));
}
