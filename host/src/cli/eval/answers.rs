//! `ragtime eval --answers`: how well the extractive generator knows when not
//! to answer, and whether what it quotes stands in its source.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;

use ragtime_extractive::{Passage, Settings, Similarity, answer};
use reqwest::Method;
use serde_json::{Value, json};

use super::questions::{self, Question};
use super::risk::{self, Outcome, Point};
use super::{Args, Task, put_in};
use crate::cli::{CliError, Context, list, out, text};

/// Requests at once: enough to keep a few cores busy.
const LANES: usize = 4;
/// Sources of an answer, as `POST …/query` takes them by default.
const SOURCES: usize = 6;

/// What became of the quotes.
#[derive(Debug, Default)]
struct Quotes {
    questions: usize,
    abstained: usize,
    checked: usize,
    equal: usize,
}

/// Where to ask.
struct Asking<'a> {
    collection: &'a str,
    context: &'a Context,
    /// The embedding model, if the server has one.
    model: Option<String>,
}

/// Ingests, asks, checks and prints.
pub(super) async fn measure(
    args: &Args,
    other: &Path,
    task: &Task,
    collection: &str,
    context: &Context,
) -> Result<(), CliError> {
    let judged = questions::judged(task, other)?;
    let many = questions::many(&judged, &args.dir, args.questions)?;
    put_in(&args.dir, collection, context).await?;
    let asking = Asking { collection, context, model: embedding_model(context).await? };
    let curve = risk::curve(&in_lanes(&judged, |question| asking.outcome(question)).await?);
    let counts = in_lanes(&many, |question| asking.quotes(question)).await?;
    let quotes = counts.into_iter().fold(Quotes::default(), Quotes::plus);
    match args.json {
        true => out::data(&to_json(&curve, &quotes, &asking).to_string()),
        false => print(&curve, &quotes),
    }
    match quotes.equal == quotes.checked {
        true => Ok(()),
        false => Err(CliError::new("a quote is not what stands in its source")),
    }
}

/// Runs the work for every item, some at once; the answers come in order.
async fn in_lanes<'i, T, R, F>(
    items: &'i [T],
    work: impl Fn(&'i T) -> F,
) -> Result<Vec<R>, CliError>
where
    F: Future<Output = Result<R, CliError>>,
{
    use futures::{StreamExt, TryStreamExt};
    futures::stream::iter(items).map(work).buffered(LANES).try_collect().await
}

async fn embedding_model(context: &Context) -> Result<Option<String>, CliError> {
    let models = context.json(context.request(Method::GET, &["models"])?).await?;
    let ids = list(&models, "data").iter().map(|model| text(model, "id"));
    Ok(ids.filter(|id| !id.starts_with("ragtime/")).map(str::to_owned).next())
}

impl Asking<'_> {
    async fn post(&self, segments: &[&str], body: &Value) -> Result<Value, CliError> {
        self.context.json(self.context.request(Method::POST, segments)?.json(body)).await
    }

    /// How the question would be answered without a threshold: the server's
    /// generator over the server's passages and vectors, run here, since an
    /// answer does not say its confidence.
    async fn outcome(&self, question: &Question<'_>) -> Result<Outcome, CliError> {
        let body = json!({"query": question.text, "top_k": SOURCES, "per_document": false});
        let found = self.post(&["collections", self.collection, "search"], &body).await?;
        let results = list(&found, "results");
        let headings: Vec<Vec<String>> = results.iter().map(headings).collect();
        let passages: Vec<_> = results
            .iter()
            .zip(&headings)
            .map(|(result, headings)| Passage {
                text: text(result, "text"),
                title: result.get("title").and_then(Value::as_str),
                headings,
            })
            .collect();
        // Where the model has no vote on the question, it has none on the answer.
        let near = match text(&found, "mode") {
            "lexical" => Cosines(None),
            _ => self.similarity(&question.text, &passages).await?,
        };
        let settings = Settings { min_confidence: 0.0, ..Settings::default() };
        let answer = answer(&question.text, &passages, &near, &settings);
        let cited = answer.quotes.iter().filter_map(|quote| results.get(quote.passage));
        let right = |cited: &Value| {
            let id = text(cited, "document_id");
            question.relevant.and_then(|grades| grades.get(id)).is_some_and(|grade| *grade > 0)
        };
        Ok(Outcome {
            confidence: answer.confidence,
            answerable: question.relevant.is_some(),
            right: cited.into_iter().any(right),
        })
    }

    /// The cosines that the generator will ask for.
    async fn similarity(
        &self,
        question: &str,
        passages: &[Passage<'_>],
    ) -> Result<Cosines, CliError> {
        let Some(model) = &self.model else { return Ok(Cosines(None)) };
        let wanted = Wanted::default();
        answer(question, passages, &wanted, &Settings::default());
        let mut texts = wanted.0.into_inner();
        texts.push(question.to_owned());
        let made = self.post(&["embeddings"], &json!({"model": model, "input": texts})).await?;
        let mut vectors: Vec<Vec<f64>> =
            list(&made, "data").iter().map(|one| numbers(one, "embedding")).collect();
        let asked = vectors.pop().unwrap_or_default();
        texts.pop();
        let cosine = |vector: Vec<f64>| -> f32 {
            vector.iter().zip(&asked).map(|(a, b)| a * b).sum::<f64>() as f32
        };
        Ok(Cosines(Some(texts.into_iter().zip(vectors.into_iter().map(cosine)).collect())))
    }

    /// Asks as a client does, and compares every quote with the stored text.
    async fn quotes(&self, question: &String) -> Result<Quotes, CliError> {
        let body = json!({"query": question, "generator": "extractive"});
        let answer = self.post(&["collections", self.collection, "query"], &body).await?;
        let mut quotes = Quotes { questions: 1, ..Quotes::default() };
        quotes.abstained = usize::from(answer.get("abstained") == Some(&Value::Bool(true)));
        for citation in list(&answer, "citations") {
            let id = text(citation, "document_id");
            let segments = ["collections", self.collection, "documents", id];
            let request = self.context.request(Method::GET, &segments)?;
            let document = self.context.json(request).await?;
            quotes.checked += 1;
            quotes.equal += usize::from(is_equal(citation, text(&document, "text")));
        }
        Ok(quotes)
    }
}

fn headings(result: &Value) -> Vec<String> {
    list(result, "headings").iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Whether a quote is what stands in its span.
fn is_equal(citation: &Value, source: &str) -> bool {
    let at = |end: &str| {
        let place = citation.get("span")?.get(end)?.as_u64()?;
        usize::try_from(place).ok()
    };
    let quote = text(citation, "quote");
    let stored = at("start").zip(at("end")).and_then(|(start, end)| source.get(start..end));
    !quote.is_empty() && stored == Some(quote)
}

fn numbers(value: &Value, name: &str) -> Vec<f64> {
    list(value, name).iter().filter_map(Value::as_f64).collect()
}

impl Quotes {
    fn plus(self, more: Self) -> Self {
        Self {
            questions: self.questions + more.questions,
            abstained: self.abstained + more.abstained,
            checked: self.checked + more.checked,
            equal: self.equal + more.equal,
        }
    }
}

/// Notes which texts a generator compares.
#[derive(Default)]
struct Wanted(RefCell<Vec<String>>);

impl Similarity for Wanted {
    fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
        self.0.borrow_mut().extend(texts.iter().map(|text| (*text).to_owned()));
        None
    }
}

/// What the server's model says of texts; `None` without a model.
struct Cosines(Option<HashMap<String, f32>>);

impl Similarity for Cosines {
    fn to_question(&self, texts: &[&str]) -> Option<Vec<f32>> {
        let known = self.0.as_ref()?;
        texts.iter().map(|text| known.get(*text).copied()).collect()
    }
}

fn print(curve: &[Point], quotes: &Quotes) {
    out::data("likely >=  answered   right   false    risk  Youden");
    for point in curve {
        out::data(&format!(
            "{:>9.2}  {:>8.3}  {:>6.3}  {:>6.3}  {:>6.3}  {:>6.3}",
            point.threshold,
            point.coverage,
            point.right,
            point.false_answers,
            point.risk,
            point.youden()
        ));
    }
    out::data(&format!(
        "{} questions asked, {} abstained; quotes checked: {}, equal: {}",
        quotes.questions, quotes.abstained, quotes.checked, quotes.equal
    ));
}

fn to_json(curve: &[Point], quotes: &Quotes, asking: &Asking<'_>) -> Value {
    json!({
        "embedding_model": asking.model,
        "curve": curve.iter().map(Point::to_json).collect::<Vec<_>>(),
        "questions": quotes.questions, "abstained": quotes.abstained,
        "quotes_checked": quotes.checked, "quotes_equal": quotes.equal,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quote_is_equal_only_where_its_span_says_so() {
        let citation = |start: u64, end: u64, quote: &str| json!({"quote": quote, "span": {"start": start, "end": end}});
        assert!(is_equal(&citation(4, 8, "zwei"), "ein zwei drei"));
        assert!(!is_equal(&citation(4, 9, "zwei"), "ein zwei drei"));
        assert!(!is_equal(&citation(0, 0, ""), "ein"));
        assert!(!is_equal(&citation(4, 99, "zwei"), "ein zwei"));
    }
}
