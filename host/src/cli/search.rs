//! `ragtime search`

use reqwest::Method;
use serde_json::{Value, json};

use super::{CliError, Context, list, out, text};

/// Characters of a passage to show.
const EXCERPT: usize = 240;

/// What to look for.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The words to look for
    query: String,
    /// Where to look
    #[arg(long, default_value = "default")]
    collection: String,
    /// The most results
    #[arg(long, default_value_t = 10)]
    top_k: u32,
    /// How to look
    #[arg(long, value_parser = ["hybrid", "lexical", "vector"], default_value = "hybrid")]
    mode: String,
    /// A condition on metadata, as JSON
    #[arg(long, value_name = "JSON")]
    filter: Option<String>,
    /// Print the answer as the server gave it
    #[arg(long)]
    json: bool,
}

/// Searches and prints the results.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let mut body = json!({"query": args.query, "top_k": args.top_k, "mode": args.mode});
    if let Some(filter) = &args.filter {
        let filter: Value = serde_json::from_str(filter)
            .map_err(|error| CliError::new(format!("--filter is not JSON: {error}")))?;
        body.as_object_mut().map(|body| body.insert("filter".into(), filter));
    }
    let request = context.request(Method::POST, &["collections", &args.collection, "search"])?;
    let answer = context.json(request.json(&body)).await?;
    if args.json {
        out::data(&answer.to_string());
        return Ok(());
    }
    let results = list(&answer, "results");
    for (place, result) in results.iter().enumerate() {
        let score = result.get("score").and_then(Value::as_f64).unwrap_or(0.0);
        out::data(&format!("{:>2}. {:.3}  {}", place + 1, score, name(result)));
        out::data(&format!("    {}", excerpt(text(result, "text"))));
    }
    if results.is_empty() {
        out::note("nothing found");
    }
    Ok(())
}

/// A document's title, and its id.
pub(super) fn name(result: &Value) -> String {
    let id = text(result, "document_id");
    match text(result, "title") {
        "" => id.to_owned(),
        title => format!("{title} ({id})"),
    }
}

fn excerpt(text: &str) -> String {
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match words.char_indices().nth(EXCERPT) {
        Some((end, _)) => format!("{}…", words.get(..end).unwrap_or_default()),
        None => words,
    }
}
