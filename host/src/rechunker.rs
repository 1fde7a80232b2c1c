//! Has the handler rechunk stale documents, those whose chunking spec is not the one that
//! their collection wants: after its settings changed, or once the model is there to count
//! tokens. One request rechunks a page of documents; meanwhile search finds the old chunks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{Method, Request, StatusCode};
use ragtime_store::Store;
use serde_json::Value;

use crate::blocking::blocking;
use crate::runtime::request::Purpose;
use crate::runtime::routing::Routing;
use crate::services::Services;
use crate::swap::ask_as;

/// Documents of one request: its work stays well below the deadline.
const PAGE: usize = 32;
/// How long one request may take: enough for the longest texts.
const DEADLINE: Duration = Duration::from_secs(120);
/// Chunks that may wait for the indexes before the next page: some steps of the
/// indexer, so that documents of clients do not wait behind all of these.
const MAX_LAG_CHUNKS: u64 = 2_048;
/// How long to wait at most where there was nothing to do.
const MAX_WAIT: Duration = Duration::from_secs(86_400);
/// After how long to try again what failed.
const RETRY: Duration = Duration::from_secs(60);

/// Why a page of documents was not rechunked.
enum Stuck {
    /// The handler has no such route.
    Unable,
    /// The handler failed to rechunk the page.
    Failed(String),
}

/// Runs until the server goes away.
pub async fn run(routing: Arc<Routing>, services: Arc<Services>) {
    let mut rechunker = Rechunker { routing, services };
    while !rechunker.services.draining() {
        let change = rechunker.services.embeddings.change();
        let mut switches = rechunker.services.store.model_switches();
        let wait = if rechunker.everything().await { MAX_WAIT } else { RETRY };
        tokio::select! {
            () = rechunker.services.rechunk.notified() => {}
            () = change => {}
            // The sender lives as long as the store.
            _ = switches.changed() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

struct Rechunker {
    routing: Arc<Routing>,
    services: Arc<Services>,
}

impl Rechunker {
    /// Rechunks the stale documents of all collections; false when some are left to be
    /// tried again.
    async fn everything(&mut self) -> bool {
        if !self.services.store.leads() {
            // The leading host of the fleet rechunks. A host that takes over is notified.
            return true;
        }
        let collections = match self.read(|store| store.stale_collections()).await {
            Ok(collections) => collections,
            Err(error) => {
                tracing::error!(error, "the stale documents cannot be read");
                return false;
            }
        };
        let mut done = true;
        for collection in collections {
            tracing::info!(collection, "stale documents are being rechunked");
            match self.collection(&collection).await {
                Ok((recut, 0)) => {
                    tracing::info!(collection, recut, "stale documents were rechunked")
                }
                Ok((recut, failed)) => {
                    tracing::warn!(
                        collection,
                        recut,
                        failed,
                        "some documents stay stale and keep their old chunks"
                    );
                    done = false;
                }
                Err(Stuck::Unable) => {
                    tracing::warn!(
                        collection,
                        "this handler cannot rechunk documents, which keep their old chunks"
                    );
                }
                Err(Stuck::Failed(error)) => {
                    tracing::error!(
                        collection,
                        error,
                        "stale documents were not rechunked and will be tried again"
                    );
                    done = false;
                }
            }
        }
        done
    }

    /// How many documents were rechunked, and how many the handler failed to rechunk.
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
                    tracing::error!(
                        collection,
                        error,
                        "a document was not rechunked and keeps its old chunks"
                    );
                    failed += 1;
                    let (name, at) = (collection.to_owned(), cursor.clone());
                    let skipped =
                        self.read(move |store| store.stale(&name, at.as_deref(), 1)).await;
                    cursor = skipped.map_err(Stuck::Failed)?.1;
                    if cursor.is_none() {
                        return Ok((recut, failed));
                    }
                }
                Err(unable) => return Err(unable),
            }
        }
    }

    /// How many documents of a page were rechunked, and the cursor of the page after.
    async fn page(
        &self,
        collection: &str,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(u64, Option<String>), Stuck> {
        let failed = |error: String| Stuck::Failed(error);
        let bearer = format!("Bearer {}", self.services.keyring.rechunker_credential());
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
        let reply = ask_as(Purpose::Rechunk, &generation, &parts, Bytes::new(), DEADLINE).await;
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
        let read = blocking(move || work(&store)).await;
        read.map_err(|error| error.to_string())?.map_err(|error| error.to_string())
    }
}
