//! Bodies of requests.

use ragtime_api::json::{self, Json};
use ragtime_api::limits;
use ragtime_api::mcp::{Message, tools};
use ragtime_api::records;
use ragtime_api::resource::{collections, documents, keys, openai, query, search};

/// A JSON body, read as every route would read it.
pub(crate) fn body(bytes: &[u8]) {
    if let Ok(value) = json::utf8(bytes).and_then(json::parse) {
        let written = json::encode(&value);
        let again: Json<'_> = json::parse(&written).expect("what was written can be read");
        assert_eq!(again.depth(), value.depth());
    }
    if let Ok(batch) = documents::read_batch(bytes) {
        assert!(batch.documents.len() + batch.rejected.len() <= limits::MAX_BATCH_DOCUMENTS);
    }
    if let Ok(request) = search::read(bytes) {
        assert!((1..=limits::MAX_TOP_K).contains(&request.top_k));
        assert!(request.query.len() <= limits::MAX_QUERY_BYTES);
    }
    let _ = (documents::read(bytes).is_ok(), query::read(bytes).is_ok());
    let _ = (collections::read(bytes).is_ok(), keys::read(bytes).is_ok());
    let _ = (keys::read_change(bytes).is_ok(), keys::read_grace(bytes).is_ok());
    let _ = (openai::chat::read(bytes).is_ok(), openai::embeddings::read(bytes).is_ok());
    if let Ok(Message::Request(mut request)) = Message::read(bytes) {
        let _ = (tools::cost(&request), tools::read(&mut request).is_ok());
    }
}

/// Many documents in one body, a line or a record each. Every one of them is
/// accounted for once, in order.
pub(crate) fn batch(bytes: &[u8]) {
    for batch in [records::read(bytes, None), documents::read_lines(bytes)].into_iter().flatten() {
        let taken = batch.documents.iter().map(|(position, _)| *position);
        let mut all: Vec<_> = taken.chain(batch.rejected.iter().map(|one| one.position)).collect();
        all.sort_unstable();
        assert!(all.len() <= limits::MAX_BATCH_DOCUMENTS);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
    }
}
