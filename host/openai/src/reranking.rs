//! Reranking over HTTP, in the two shapes that servers have: `{model, query, documents}`
//! with `results` of `relevance_score` (Cohere, Jina, vLLM), and `{query, texts}` with a
//! list of `score` (Text Embeddings Inference). Whatever was asked, either is read.

use serde::{Deserialize, Serialize};

use crate::Unreadable;

/// The body of a request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Request<'a> {
    /// As Cohere takes it.
    Cohere {
        /// The model's name.
        model: &'a str,
        /// What is asked.
        query: &'a str,
        /// The passages.
        documents: &'a [&'a str],
        /// How many results to answer with: all.
        top_n: usize,
    },
    /// As Text Embeddings Inference takes it.
    Tei {
        /// What is asked.
        query: &'a str,
        /// The passages.
        texts: &'a [&'a str],
        /// Whether the ends of passages that are too long may be left out.
        truncate: bool,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Response {
    Cohere { results: Vec<Item> },
    Tei(Vec<Item>),
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    #[serde(alias = "relevance_score")]
    score: f32,
}

/// How well each of `count` passages answers, 0 to 1, in their order; none for one that
/// the answer does not mention. Scores beyond 0 to 1 are taken for logits.
pub fn relevance(body: &[u8], count: usize) -> Result<Vec<Option<f32>>, Unreadable> {
    let response: Response =
        serde_json::from_slice(body).map_err(|_| Unreadable("a body that is no list of scores"))?;
    let items = match response {
        Response::Cohere { results: items } | Response::Tei(items) => items,
    };
    if items.iter().any(|item| !item.score.is_finite()) {
        return Err(Unreadable("a score that is no number"));
    }
    let logits = items.iter().any(|item| !(0.0..=1.0).contains(&item.score));
    let mut found = vec![None; count];
    for item in items {
        let place = found.get_mut(item.index).ok_or(Unreadable("a score of no passage"))?;
        *place = Some(if logits { (1.0 + (-item.score).exp()).recip() } else { item.score });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_read_in_the_order_of_the_passages() {
        let cohere = br#"{"id":"x","results":[{"index":1,"relevance_score":0.9},{"index":0,"relevance_score":0.2}]}"#;
        assert_eq!(relevance(cohere, 3), Ok(vec![Some(0.2), Some(0.9), None]));
        let tei = br#"[{"index":1,"score":0.5},{"index":0,"score":0.25}]"#;
        assert_eq!(relevance(tei, 2), Ok(vec![Some(0.25), Some(0.5)]));
        let logits =
            relevance(br#"[{"index":0,"score":0.0},{"index":1,"score":-4.0}]"#, 2).unwrap();
        assert!(logits[0] == Some(0.5) && logits[1].unwrap() < 0.02, "{logits:?}");
    }

    #[test]
    fn what_are_no_scores_is_refused() {
        for body in ["{}", "[{\"index\":5,\"score\":1}]", "[{\"index\":0}]", "no"] {
            assert!(relevance(body.as_bytes(), 2).is_err(), "{body}");
        }
    }

    #[test]
    fn each_shape_is_written_as_its_servers_take_it() {
        let json = |request: &Request<'_>| serde_json::to_value(request).unwrap();
        let cohere = Request::Cohere { model: "m", query: "q", documents: &["a"], top_n: 1 };
        let wanted =
            serde_json::json!({"model": "m", "query": "q", "documents": ["a"], "top_n": 1});
        assert_eq!(json(&cohere), wanted);
        let tei = Request::Tei { query: "q", texts: &["a"], truncate: true };
        assert_eq!(json(&tei), serde_json::json!({"query": "q", "texts": ["a"], "truncate": true}));
    }
}
