//! What must hold of every parser of untrusted bytes, whatever the bytes: no
//! panic (in a handler each is a lost instance), and results within their
//! limits. One function for each kind of input, for tests and fuzzers alike.

use ragtime_api::body::BodyType;
use ragtime_api::chunk::{Chunk, chunk};
use ragtime_api::extract::{Extracted, MediaType, extract};
use ragtime_api::json::{self, Json};
use ragtime_api::mcp::{Message, tools};
use ragtime_api::resource::{collections, documents, keys, openai, query, search};
use ragtime_api::{credential, limits, parameters, records};

/// A document of any media type, from its bytes to its chunks.
pub fn document(bytes: &[u8], media_type: MediaType) {
    let Ok(extracted) = extract(bytes, media_type) else { return };
    structure(&extracted);
    spans(&extracted.text, &chunk(&extracted, &word_starts(&extracted.text)));
}

/// A JSON body, read as every route would read it.
pub fn json_body(bytes: &[u8]) {
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
pub fn batch(bytes: &[u8]) {
    for batch in [records::read(bytes), documents::read_lines(bytes)].into_iter().flatten() {
        let taken = batch.documents.iter().map(|(position, _)| *position);
        let mut all: Vec<_> = taken.chain(batch.rejected.iter().map(|one| one.position)).collect();
        all.sort_unstable();
        assert!(all.len() <= limits::MAX_BATCH_DOCUMENTS);
        assert!(all.windows(2).all(|pair| pair[0] < pair[1]), "{all:?}");
    }
}

/// Header values, a line each: a credential is a part of what was sent.
pub fn headers(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (first, second) = (lines.next(), lines.next());
    if let Ok(Some(found)) = credential::find(first, second) {
        assert!(!found.is_empty() && found.trim() == found);
        let sent = |value: &[u8]| value.windows(found.len()).any(|part| part == found.as_bytes());
        assert!(first.is_some_and(sent) || second.is_some_and(sent));
    }
    let _ = BodyType::of(first).is_ok();
}

/// A query string or a segment of a path.
pub fn url(text: &str) {
    if let Ok(page) = parameters::page(text) {
        assert!((1..=limits::MAX_PAGE_ITEMS).contains(&page.limit));
        assert!(page.cursor.is_none_or(|cursor| cursor.len() <= limits::MAX_CURSOR_BYTES));
    }
    let _ = parameters::none(text).is_ok();
    if parameters::document_id(text).is_ok() {
        assert!(!text.contains('\0') && !matches!(text, "" | "." | ".."));
        assert!(text.chars().count() <= limits::MAX_ID_CHARS);
    }
    if parameters::collection(text).is_ok() {
        assert!(text.len() <= limits::MAX_COLLECTION_CHARS && !text.contains(['/', '.', '\0']));
    }
    assert!(parameters::encode(text).is_ascii());
}

fn structure(extracted: &Extracted) {
    let (text, mut end) = (extracted.text.as_str(), 0);
    assert!(!text.contains(['\0', '\r']));
    for block in &extracted.blocks {
        assert!(end <= block.range.start && !text[block.range.clone()].trim().is_empty());
        assert!(text[end..block.range.start].trim().is_empty());
        end = block.range.end;
    }
    assert!(text[end..].trim().is_empty());
    assert!(extracted.pages.is_sorted());
    assert!(extracted.pages.iter().all(|page| *page <= text.len()));
}

/// Chunks come in order, on character boundaries, and leave out white space
/// only.
fn spans(text: &str, chunks: &[Chunk]) {
    let (mut start, mut covered) = (0, 0);
    for chunk in chunks {
        assert!(chunk.span.start >= start && !text[chunk.span.clone()].is_empty());
        start = chunk.span.start;
        if let Some(gap) = text.get(covered..chunk.span.start) {
            assert!(gap.trim().is_empty(), "left out: {gap:?}");
        }
        covered = covered.max(chunk.span.end);
    }
    assert!(text[covered..].trim().is_empty());
}

/// The byte at which each word starts: what the host gives without a model.
fn word_starts(text: &str) -> Vec<u32> {
    let base = text.as_ptr() as usize;
    text.split_whitespace().map(|word| (word.as_ptr() as usize - base) as u32).collect()
}
