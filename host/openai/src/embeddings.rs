//! `POST /embeddings`.

use serde::{Deserialize, Serialize};

use crate::Unreadable;

/// The longest vector taken: above what any model on the market has.
const MAX_DIMENSIONS: usize = 8_192;

/// The body of a request.
#[derive(Debug, Serialize)]
pub struct Request<'a> {
    /// The model's name.
    pub model: &'a str,
    /// One text for each vector.
    pub input: &'a [&'a str],
    /// The length to shorten vectors to, where the model can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Response {
    data: Vec<Item>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

/// The vectors of `count` texts in their order, each of unit length, all of the
/// same dimensions.
pub fn vectors(body: &[u8], count: usize) -> Result<Vec<Vec<f32>>, Unreadable> {
    let response: Response = serde_json::from_slice(body)
        .map_err(|_| Unreadable("a body that is no list of vectors"))?;
    let mut items = response.data;
    items.sort_by_key(|item| item.index);
    if items.len() != count || items.iter().enumerate().any(|(place, item)| place != item.index) {
        return Err(Unreadable("another number of vectors than of texts"));
    }
    let dimensions = items.first().map_or(0, |item| item.embedding.len());
    let vectors = items.into_iter().map(|item| unit(item.embedding, dimensions));
    vectors.collect()
}

/// Divides by the length, so that a dot product is a cosine.
fn unit(mut vector: Vec<f32>, dimensions: usize) -> Result<Vec<f32>, Unreadable> {
    if vector.len() != dimensions || dimensions == 0 || dimensions > MAX_DIMENSIONS {
        return Err(Unreadable("vectors of lengths that cannot be"));
    }
    let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
    if !norm.is_finite() || norm <= 0.0 {
        return Err(Unreadable("a vector without a direction"));
    }
    vector.iter_mut().for_each(|value| *value /= norm);
    Ok(vector)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_come_in_the_order_of_the_texts_and_of_unit_length() {
        let body = br#"{"data":[{"index":1,"embedding":[0,2]},{"index":0,"embedding":[3,4]}]}"#;
        assert_eq!(vectors(body, 2).unwrap(), [[0.6, 0.8], [0.0, 1.0]]);
    }

    #[test]
    fn what_does_not_fit_the_texts_is_refused() {
        for body in [
            "{}",
            r#"{"data":[]}"#,
            r#"{"data":[{"index":1,"embedding":[1]}]}"#,
            r#"{"data":[{"index":0,"embedding":[]}]}"#,
            r#"{"data":[{"index":0,"embedding":[0,0]}]}"#,
            r#"{"data":[{"index":0,"embedding":[1e39]}]}"#,
        ] {
            assert!(vectors(body.as_bytes(), 1).is_err(), "{body}");
        }
        let uneven = r#"{"data":[{"index":0,"embedding":[1]},{"index":1,"embedding":[1,1]}]}"#;
        assert!(vectors(uneven.as_bytes(), 2).is_err());
    }
}
