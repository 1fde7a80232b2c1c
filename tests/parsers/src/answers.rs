//! What an endpoint of a language or embedding model sends.

use ragtime_openai::chat::{Piece, Reader};
use ragtime_openai::cited::{Marks, back};
use ragtime_openai::embeddings;

const PASSAGE: &str = "The left hand keeps a steady march. The right hand syncopates.";

/// A streamed answer. It says the same however its bytes are cut, and what it
/// cites is in the passages.
pub(crate) fn answer(bytes: &[u8]) {
    let whole = pieces([bytes]);
    let cut = bytes.first().map_or(0, |first| usize::from(*first) % bytes.len());
    let (first, second) = bytes.split_at(cut);
    assert_eq!(pieces([first, second]), whole);

    let passages = [PASSAGE.to_owned()];
    let mut marks = Marks::default();
    for piece in whole.into_iter().flatten() {
        let Piece::Text(text) = piece else { continue };
        for marked in marks.push(&text) {
            for (place, span) in back(&marked, &passages) {
                assert!(!passages[place][span].is_empty());
            }
        }
    }
}

/// The pieces of an answer, or none where it is none.
fn pieces<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Option<Vec<Piece>> {
    let mut reader = Reader::default();
    parts.into_iter().try_for_each(|part| reader.push(part)).ok()?;
    reader.end().ok()?;
    Some(std::iter::from_fn(|| reader.next_piece()).collect())
}

/// Vectors: as many as asked for, all of one length, each of unit length.
pub(crate) fn vectors(bytes: &[u8]) {
    for count in [1, 2] {
        let Ok(vectors) = embeddings::vectors(bytes, count) else { continue };
        assert_eq!(vectors.len(), count);
        for vector in &vectors {
            assert_eq!(vector.len(), vectors[0].len());
            let norm = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
            assert!((norm - 1.0).abs() < 1e-3, "{norm}");
        }
    }
}
