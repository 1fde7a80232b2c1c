//! What an endpoint of a language or embedding model sends.

use ragtime_openai::chat::{Piece, Reader};
use ragtime_openai::checked::{Checked, Step, Unsupported};
use ragtime_openai::embeddings;

const PASSAGE: &str = "The left hand keeps a steady march. The right hand syncopates.";

/// A streamed answer. It says the same however its bytes are cut, and what it
/// cites is in the passages.
pub(crate) fn answer(bytes: &[u8]) {
    let whole = pieces([bytes]);
    let cut = bytes.first().map_or(0, |first| usize::from(*first) % bytes.len());
    let (first, second) = bytes.split_at(cut);
    assert_eq!(pieces([first, second]), whole);

    let texts: Vec<_> = whole.into_iter().flatten().filter_map(text).collect();
    for unsupported in [Unsupported::Mark, Unsupported::Drop] {
        let received = received(texts.iter().map(String::as_str), unsupported);
        let at_once = texts.concat();
        assert_eq!(self::received([at_once.as_str()], unsupported), received);
    }
}

fn text(piece: Piece) -> Option<String> {
    match piece {
        Piece::Text(text) => Some(text),
        Piece::Usage(..) | Piece::Ending(_) => None,
    }
}

/// What a client receives of an answer: its text, its quotes and its statements.
fn received<'a>(
    pieces: impl IntoIterator<Item = &'a str>,
    unsupported: Unsupported,
) -> (String, Vec<String>, Vec<(String, bool)>) {
    let mut checked = Checked::new(vec![PASSAGE.to_owned()], unsupported);
    let mut steps: Vec<_> = pieces.into_iter().flat_map(|piece| checked.push(piece)).collect();
    steps.extend(checked.finish());
    let (mut said, mut quotes) = (String::new(), Vec::new());
    for step in steps {
        match step {
            Step::Text(text) => said.push_str(&text),
            Step::Quote(_, span) => quotes.push(PASSAGE[span].to_owned()),
        }
    }
    assert!(quotes.iter().all(|quote| !quote.is_empty()));
    (said, quotes, checked.into_statements())
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
