//! The eval gate: a candidate must not find less than the handler it replaces.

use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};

use super::super::eval::{self, Task};
use super::super::{CliError, Context, count, out};

/// How the search is asked: as most clients do.
const MODE: &str = "hybrid";

/// What to measure, and how much worse it may be.
pub struct Gate {
    dir: PathBuf,
    task: Task,
    max_drop: f64,
}

impl Gate {
    /// A gate on a folder in BEIR's layout.
    pub fn read(dir: &Path, max_drop: f64) -> Result<Self, CliError> {
        Ok(Self { dir: dir.to_owned(), task: Task::read(dir)?, max_drop })
    }

    /// Asks both handlers the same queries of the same documents, which the
    /// active one put in, and decides.
    pub async fn measure(
        &self,
        candidate: u64,
        admin: &Context,
        server: &Context,
    ) -> Result<Value, CliError> {
        let collection = eval::scratch_collection();
        let measured = self.compare(candidate, &collection, admin, server).await;
        let deleted = eval::delete(&collection, server).await;
        let report = measured?;
        deleted?;
        Ok(report)
    }

    async fn compare(
        &self,
        candidate: u64,
        collection: &str,
        admin: &Context,
        server: &Context,
    ) -> Result<Value, CliError> {
        let corpus = eval::put_in(&self.dir, collection, server).await?;
        let active = count(&admin.json(admin.admin(Method::GET, &[])?).await?, "active");
        let mut ndcg = Vec::new();
        for generation in [active, candidate] {
            let context = admin.to_generation(generation);
            ndcg.push(eval::ask_all(&self.task, collection, MODE, &context).await?.ndcg);
        }
        let (old, new) = match ndcg.as_slice() {
            [old, new] => (*old, *new),
            _ => (0.0, 0.0),
        };
        let pass = new >= old - self.max_drop;
        let verdict = if pass { "passes" } else { "falls by more than is allowed" };
        let reason = format!(
            "nDCG@10 {new:.4} against {old:.4} on {} documents {verdict} (at most {} less)",
            corpus.indexed, self.max_drop
        );
        if !pass {
            out::note(&reason);
        }
        Ok(json!({
            "pass": pass, "reason": reason, "ndcg_at_10": {"active": old, "candidate": new},
            "max_drop": self.max_drop,
        }))
    }
}
