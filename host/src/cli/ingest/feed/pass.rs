//! How a pass over a feed is made, and what it did.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Value, json};

use super::ledger::Ledger;
use super::settings::Feed;
use crate::cli::ingest::Progress;
use crate::cli::{CliError, out};

/// How a pass is made.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// Say what would be done, and do nothing.
    pub rehearsed: bool,
    /// Compare with what the server has, rather than with what it was known to have.
    pub compared: bool,
    /// Files that changed more recently are left to a later pass.
    pub settle: Option<Duration>,
}

/// What a pass did, or would do.
#[derive(Debug, Default)]
pub struct Report {
    pub(super) sent: Vec<String>,
    pub(super) unchanged: u64,
    pub(super) deleted: Vec<String>,
    pub(super) kept: Vec<String>,
    /// Whether deletions were refused.
    pub(super) refused: bool,
    /// Files that are still being written.
    pub unsettled: u64,
}

impl Report {
    /// A page or file has been sent, or would be.
    pub fn sent(&mut self, id: String) {
        self.sent.push(id);
    }

    /// A page is as it was.
    pub fn unchanged(&mut self) {
        self.unchanged += 1;
    }

    /// Whether there is nothing to report.
    pub fn is_empty(&self) -> bool {
        self.sent.is_empty() && self.deleted.is_empty() && self.kept.is_empty()
    }

    /// Says what became of the feed.
    pub fn print(&self, feed: &Feed, progress: &Progress, rehearsed: bool, as_json: bool) {
        if as_json {
            progress.clear();
            return out::data(&self.json(feed, progress, rehearsed).to_string());
        }
        if rehearsed {
            self.sent.iter().for_each(|id| out::data(&format!("would send {id}")));
            self.deleted.iter().for_each(|id| out::data(&format!("would delete {id}")));
            return out::note(&format!("{}: {}", feed.name, self.summary("would be ")));
        }
        progress.report(false);
        out::note(&format!("{}: {}", feed.name, self.summary("")));
    }

    fn summary(&self, would: &str) -> String {
        format!(
            "{} {would}sent, {} unchanged, {} {would}deleted, {} kept",
            self.sent.len(),
            self.unchanged,
            self.deleted.len(),
            self.kept.len()
        )
    }

    fn json(&self, feed: &Feed, progress: &Progress, rehearsed: bool) -> Value {
        let mut report = progress.json();
        let own = json!({
            "feed": feed.name, "dry_run": rehearsed, "sent": self.sent,
            "unchanged": self.unchanged, "deleted": self.deleted, "kept": self.kept,
        });
        if let (Value::Object(members), Value::Object(own)) = (&mut report, own) {
            members.extend(own);
        }
        report
    }
}

/// Whether the server still has what the feed put for a source.
pub fn is_intact(
    ledger: &Ledger,
    known: &Option<HashMap<String, String>>,
    source: &str,
) -> Result<bool, CliError> {
    let Some(known) = known else { return Ok(true) };
    let put = ledger.documents_of(source)?;
    Ok(put.iter().all(|put| put.stamp.is_some() && known.get(&put.id) == put.stamp.as_ref()))
}
