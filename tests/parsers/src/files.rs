//! Documents of every media type, from their bytes to their chunks.

use ragtime_api::chunk::{Chunk, Lengths, chunk};
use ragtime_api::extract::{Extracted, MediaType, attachments, detect, extract};

pub(crate) fn plain(bytes: &[u8]) {
    document(bytes, MediaType::Plain);
}

pub(crate) fn markdown(bytes: &[u8]) {
    document(bytes, MediaType::Markdown);
}

pub(crate) fn html(bytes: &[u8]) {
    document(bytes, MediaType::Html);
}

pub(crate) fn pdf(bytes: &[u8]) {
    document(bytes, MediaType::Pdf);
}

pub(crate) fn docx(bytes: &[u8]) {
    document(bytes, MediaType::Docx);
}

/// The formats beside those, by what the bytes show themselves to be, and each
/// whatever they are.
pub(crate) fn office(bytes: &[u8]) {
    if let Ok(media_type) = detect(bytes, None) {
        document(bytes, media_type);
    }
    for media_type in MediaType::all() {
        document(bytes, media_type);
    }
    if let Ok(files) = attachments(bytes) {
        assert!(files.len() <= ragtime_api::limits::MAX_ATTACHMENTS);
    }
}

fn document(bytes: &[u8], media_type: MediaType) {
    let Ok(extracted) = extract(bytes, media_type) else { return };
    structure(&extracted);
    let starts = word_starts(&extracted.text);
    for lengths in [Lengths::DEFAULT, Lengths { tokens: 16, overlap: 8 }] {
        spans(&extracted.text, &chunk(&extracted, &starts, lengths));
    }
    let restored = Extracted::restored(extracted.text.clone(), &extracted.outline(media_type));
    assert_eq!(restored.text, extracted.text);
    structure(&restored);
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
