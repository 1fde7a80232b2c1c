//! Has documents cut anew that are not cut as their collection wants them:
//! after its settings changed, or once the model is there to count tokens. The
//! handler does the cutting, a page of documents a request; meanwhile
//! everything is found as it was.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use ragtime_store::Store;
use serde_json::Value;

use crate::runtime::request::Purpose;
use crate::runtime::routing::Routing;
use crate::services::Services;
use crate::swap::ask_as;

/// Documents of one request: its work stays well below the deadline.
const PAGE: usize = 32;
/// How long one request may take: that of the longest texts.
const DEADLINE: Duration = Duration::from_secs(120);
/// Chunks that may wait for the indexes before the next page: some steps of the
/// indexer, so that documents of clients do not wait behind all of these.
const MAX_LAG_CHUNKS: u64 = 2_048;
/// How long to wait at most where there was nothing to do.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// After how long to try again what failed.
const RETRY: Duration = Duration::from_secs(60);

/// Why a page was not cut.
enum Stuck {
    /// The handler has no such route.
    Unable,
    /// It failed at it.
    Failed(String),
}

/// Runs until the server goes away.
pub async fn run(routing: Arc<Routing>, services: Arc<Services>) {
    let mut upkeep = Upkeep { routing, services };
    while !upkeep.services.draining() {
        let change = upkeep.services.embeddings.change();
        let mut switches = upkeep.services.store.model_switches();
        let wait = if upkeep.everything().await { MAX_WAIT } else { RETRY };
        tokio::select! {
            () = upkeep.services.recut.notified() => {}
            () = change => {}
            // The sender lives as long as the store.
            _ = switches.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Upkeep {
    routing: Arc<Routing>,
    services: Arc<Services>,
}

impl Upkeep {
    /// Goes through all collections; false when something is left to be tried
    /// again.
    async fn everything(&mut self) -> bool {
        if !self.services.store.leads() {
            // Another host does it. When this one takes over it is told.
            return true;
        }
        let collections = match self.read(|store| store.uncut_collections()).await {
            Ok(collections) => collections,
            Err(error) => {
                tracing::error!(error, "no telling which documents are to be cut anew");
                return false;
            }
        };
        let mut done = true;
        for collection in collections {
            tracing::info!(collection, "documents are being cut anew");
            match self.collection(&collection).await {
                Ok((recut, 0)) => tracing::info!(collection, recut, "documents were cut anew"),
                Ok((recut, failed)) => {
                    tracing::warn!(
                        collection,
                        recut,
                        failed,
                        "some documents stay as they are cut"
                    );
                    done = false;
                }
                Err(Stuck::Unable) => {
                    tracing::warn!(collection, "this handler cannot cut documents anew");
                }
                Err(Stuck::Failed(error)) => {
                    tracing::error!(collection, error, "documents were not cut anew");
                    done = false;
                }
            }
        }
        done
    }

    /// Documents that were cut, and that the handler failed at.
    async fn collection(&self, collection: &str) -> Result<(u64, u64), Stuck> {
        let (mut cursor, mut recut, mut failed) = (None::<String>, 0, 0);
        let mut limit = PAGE;
        loop {
            self.services.store.wait_index_lag(MAX_LAG_CHUNKS).await;
            match self.page(collection, cursor.as_deref(), limit).await {
                Ok((count, next)) => {
                    recut += count;
                    limit = PAGE;
                    cursor = next;
                    if cursor.is_none() || self.services.draining() {
                        return Ok((recut, failed));
                    }
                }
                // One document must not hold up the others.
                Err(Stuck::Failed(_)) if limit > 1 => limit = 1,
                Err(Stuck::Failed(error)) => {
                    tracing::error!(collection, error, "a document is not cut anew");
                    failed += 1;
                    let (name, at) = (collection.to_owned(), cursor.clone());
                    let skipped =
                        self.read(move |store| store.uncut(&name, at.as_deref(), 1)).await;
                    cursor = skipped.map_err(Stuck::Failed)?.1;
                    if cursor.is_none() {
                        return Ok((recut, failed));
                    }
                }
                Err(unable) => return Err(unable),
            }
        }
    }

    /// Documents that were cut, and where to go on.
    async fn page(
        &self,
        collection: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(u64, Option<String>), Stuck> {
        let failed = |error: String| Stuck::Failed(error);
        let bearer = format!("Bearer {}", self.services.keyring.upkeep_credential());
        // Cursors are of letters, digits, `-` and `_`.
        let from = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
        let request = Request::builder()
            .method(Method::POST)
            .uri(format!("/v1/collections/{collection}/recut?limit={limit}{from}"))
            .header(AUTHORIZATION, bearer)
            .body(())
            .map_err(|error| failed(error.to_string()))?;
        let generation = self.routing.active();
        let parts = request.into_parts().0;
        let reply = ask_as(Purpose::Upkeep, &generation, &parts, Bytes::new(), DEADLINE).await;
        let reply = reply.map_err(|lost| failed(lost.to_string()))?;
        match reply.status {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => return Err(Stuck::Unable),
            status => return Err(failed(format!("the handler answered {status}"))),
        }
        let answer: Value =
            serde_json::from_slice(&reply.body).map_err(|error| failed(error.to_string()))?;
        let recut = answer.get("recut").and_then(Value::as_u64).unwrap_or(0);
        let next = answer.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        Ok((recut, next))
    }

    async fn read<R: Send + 'static>(
        &self,
        work: impl FnOnce(&Store) -> Result<R, ragtime_store::Error> + Send + 'static,
    ) -> Result<R, String> {
        let store = self.services.store.clone();
        let read = tokio::task::spawn_blocking(move || work(&store)).await;
        read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}
