//! What the server has of a collection, and deleting from it.

use std::collections::HashMap;

use reqwest::Method;
use reqwest::header::{ETAG, IF_MATCH};
use serde_json::Value;

use super::ledger::Put;
use crate::cli::{CliError, Context, list, text};

/// Documents of one page: the most that the API gives.
const PAGE: &str = "1000";

/// Each document with its version.
pub async fn documents(
    collection: &str,
    context: &Context,
) -> Result<HashMap<String, String>, CliError> {
    let (mut known, mut cursor) = (HashMap::new(), None::<String>);
    loop {
        let request = context.request(Method::GET, &["collections", collection, "documents"])?;
        let request = request.query(&[("limit", PAGE)]);
        let page = match &cursor {
            Some(cursor) => context.json(request.query(&[("cursor", cursor)])).await,
            None => context.json(request).await,
        };
        let page = match page {
            Err(error) if error.is("unknown_collection") => return Ok(known),
            page => page?,
        };
        let documents = list(&page, "documents").iter();
        known.extend(documents.map(|document| (text(document, "id").to_owned(), stamp(document))));
        cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
        if cursor.is_none() {
            return Ok(known);
        }
    }
}

/// The same of some documents alone.
pub async fn some(
    collection: &str,
    documents: &[Put],
    context: &Context,
) -> Result<HashMap<String, String>, CliError> {
    let mut known = HashMap::new();
    for Put { id, .. } in documents {
        let place = ["collections", collection, "documents", id];
        match context.json(context.request(Method::GET, &place)?).await {
            Err(error) if error.is("unknown_document") => {}
            document => {
                known.insert(id.clone(), stamp(&document?));
            }
        }
    }
    Ok(known)
}

/// What changes when somebody writes the document.
fn stamp(document: &Value) -> String {
    format!("{} {}", text(document, "updated_at"), text(document, "sha256"))
}

/// What became of a document that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Done,
    /// Somebody else has written it since.
    Changed,
}

/// Deletes a document if it is still as the feed put it.
pub async fn delete(collection: &str, put: &Put, context: &Context) -> Result<Deletion, CliError> {
    let place = ["collections", collection, "documents", &put.id];
    let gone = |error: &CliError| error.is("unknown_document") || error.is("unknown_collection");
    let found = match context.send(context.request(Method::GET, &place)?).await {
        Err(error) if gone(&error) => return Ok(Deletion::Done),
        found => found?,
    };
    let etag = found.headers().get(ETAG).cloned();
    let document: Value =
        found.json().await.map_err(|error| CliError::new(format!("the answer: {error}")))?;
    let Some(etag) = etag else {
        return Err(CliError::new(format!("the server does not say the version of {}", put.id)));
    };
    if put.stamp.as_ref().is_some_and(|known| *known != stamp(&document)) {
        return Ok(Deletion::Changed);
    }
    let request = context.request(Method::DELETE, &place)?.header(IF_MATCH, etag);
    match context.send(request).await {
        Ok(_) => Ok(Deletion::Done),
        Err(error) if gone(&error) => Ok(Deletion::Done),
        Err(error) if error.is("precondition_failed") => Ok(Deletion::Changed),
        Err(error) => Err(error),
    }
}
