//! `POST /v1/rerank`, as clients of Cohere, Jina and vLLM send it.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::json;

use super::rules;
use crate::json::{self, Any, Faults, Field, Fields, Flag, Json, Location, Member, Text, Whole};
use crate::limits;
use crate::problem::Problem;

/// What to order.
#[derive(Debug, PartialEq, Eq)]
pub struct RerankRequest {
    /// By which model; none takes the operator's default.
    pub model: Option<String>,
    /// What is asked.
    pub query: String,
    /// The texts.
    pub documents: Vec<String>,
    /// The most results.
    pub top_n: usize,
    /// Whether the texts are told with the results.
    pub return_documents: bool,
}

const QUERY: Member<Text> = Text::required("query", &rules::QUERY, "What is asked.");
const DOCUMENTS: Member<Any> = Any::required(
    "documents",
    || {
        let text = json!({"type": "string"});
        let object = json!({
            "type": "object", "required": ["text"], "properties": {"text": text},
        });
        let most = limits::MAX_RERANK_DOCUMENTS;
        json!({
            "type": "array", "items": {"anyOf": [text, object]}, "minItems": 1, "maxItems": most,
        })
    },
    "The texts, or objects with `text`.",
);
const MODEL: Member<Text> =
    Text::optional("model", &rules::MODEL, "By which reranker. Default: the operator's setting.");
const TOP_N: Member<Whole> =
    Whole::optional("top_n", 1, u32::MAX, "The most results. Default: all.");
const RETURN_DOCUMENTS: Member<Flag> =
    Flag::optional("return_documents", "Tells the texts with the results. Default: false.");
/// Members of the body.
pub const FIELDS: &[Field] =
    &[QUERY.field(), DOCUMENTS.field(), MODEL.field(), TOP_N.field(), RETURN_DOCUMENTS.field()];

/// Reads the body.
///
/// # Errors
///
/// See [`json::read`].
pub fn read(body: &[u8]) -> Result<RerankRequest, Problem> {
    json::read(body, |json, faults| {
        let mut fields = Fields::open_lenient(json, Location::Root, FIELDS, faults)?;
        let query = fields.string(QUERY, faults);
        let documents = documents(&mut fields, faults);
        let model = fields.string(MODEL, faults).map(Into::into);
        let top_n = fields.integer(TOP_N, faults).map_or(usize::MAX, |most| most as usize);
        let return_documents = fields.boolean(RETURN_DOCUMENTS, faults).unwrap_or(false);
        let (query, documents) = (query?.into(), documents?);
        Some(RerankRequest { model, query, documents, top_n, return_documents })
    })
}

fn documents(fields: &mut Fields<'_, '_>, faults: &mut Faults) -> Option<Vec<String>> {
    let most = limits::MAX_RERANK_DOCUMENTS;
    let items = match fields.take(DOCUMENTS, faults)? {
        Json::Array(items) if (1..=most).contains(&items.len()) => items,
        _ => {
            fields.fault(DOCUMENTS, format!("must be an array of 1 to {most} texts"), faults);
            return None;
        }
    };
    let place = fields.location(DOCUMENTS);
    let mut texts = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let text = match item {
            Json::String(text) => Some(text.into_owned()),
            Json::Object(members) => members.into_iter().find_map(|member| match member {
                (name, Json::String(text)) if name == "text" => Some(text.into_owned()),
                _ => None,
            }),
            _ => None,
        };
        match text {
            Some(text) => texts.push(text),
            None => faults.push(
                Location::Item(&place, index).fault("must be a string or an object with `text`"),
            ),
        }
    }
    Some(texts)
}

/// The answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerankResponse<'a> {
    /// Best first.
    pub results: Vec<RerankResult<'a>>,
    /// The model that did it.
    pub model: &'a str,
    /// Whether its time ran out: those that were not scored are left out.
    pub cut: bool,
}

/// How well a text answers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerankResult<'a> {
    /// Its place in the request, from 0.
    pub index: usize,
    /// 0 to 1.
    pub relevance_score: f32,
    /// The text, where it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub document: Option<RerankDocument<'a>>,
}

/// A text.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RerankDocument<'a> {
    /// As it was sent.
    pub text: &'a str,
}

/// The places of what was scored, best first, at most `limit`; of equals the earlier.
pub fn order(relevance: &[Option<f32>], limit: usize) -> Vec<(usize, f32)> {
    let scored = relevance.iter().enumerate();
    let mut scored: Vec<_> = scored.filter_map(|(place, score)| Some((place, (*score)?))).collect();
    scored.sort_by(|a, b| b.1.total_cmp(&a.1));
    scored.truncate(limit);
    scored
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn texts_come_as_strings_or_objects() {
        let body = br#"{"model":"m","query":"q","documents":["a",{"text":"b","x":1}],"top_n":1,"rank_fields":["text"]}"#;
        let request = read(body).unwrap();
        assert_eq!(
            (request.documents.as_slice(), request.top_n),
            (["a".into(), "b".into()].as_slice(), 1)
        );
        for wrong in [
            r#"{"query":"q","documents":[]}"#,
            r#"{"query":"q","documents":[3]}"#,
            r#"{"query":"q","documents":[{"title":"a"}]}"#,
            r#"{"query":" ","documents":["a"]}"#,
            r#"{"documents":["a"]}"#,
        ] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_best_come_first_and_what_was_not_scored_not_at_all() {
        let relevance = [Some(0.2), None, Some(0.9), Some(0.2)];
        assert_eq!(order(&relevance, 9), [(2, 0.9), (0, 0.2), (3, 0.2)]);
        assert_eq!(order(&relevance, 1), [(2, 0.9)]);
    }
}
