//! `ragtime query`

use std::io::IsTerminal;

use ragtime_openai::sse::{Event, Parser};
use reqwest::Method;
use serde_json::{Value, json};

use super::error::Problem;
use super::{CliError, Context, list, out, search, text};

/// What to ask.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The question
    question: String,
    /// Where to look for the answer
    #[arg(long, default_value = "default")]
    collection: String,
    /// Passages to answer from
    #[arg(long, default_value_t = 6)]
    top_k: u32,
    /// Who answers [default: the server's choice]
    #[arg(long)]
    generator: Option<String>,
    /// Print the answer as the server gave it
    #[arg(long)]
    json: bool,
}

/// Asks and prints the answer with its sources.
pub async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let stream = !args.json && std::io::stdout().is_terminal();
    let mut body = json!({"query": args.question, "top_k": args.top_k, "stream": stream});
    if let Some(generator) = &args.generator {
        body.as_object_mut().map(|body| body.insert("generator".into(), json!(generator)));
    }
    let request =
        context.request(Method::POST, &["collections", &args.collection, "query"])?.json(&body);
    if stream {
        return follow(context.send(request).await?).await;
    }
    let answer = context.json(request).await?;
    if args.json {
        out::data(&answer.to_string());
        return Ok(());
    }
    let mut printer = Printer::default();
    if let Some(sources) = answer.get("sources") {
        printer.sources = sources.clone();
    }
    let citations = list(&answer, "citations");
    match citations.is_empty() {
        true => printer.text(text(&answer, "answer")),
        false => printer.cited(text(&answer, "answer"), citations),
    }
    printer.end(answer.get("abstained").and_then(Value::as_bool).unwrap_or(false));
    Ok(())
}

async fn follow(mut response: reqwest::Response) -> Result<(), CliError> {
    let (mut parser, mut printer) = (Parser::default(), Printer::default());
    let broken = |what: &str| CliError::new(format!("the answer broke off: {what}"));
    while let Some(bytes) = response.chunk().await.map_err(|error| broken(&error.to_string()))? {
        for Event { name, data } in parser.push(&bytes) {
            if name == "error" {
                let problem = serde_json::from_str::<Problem>(&data);
                return Err(problem.map_or_else(|error| broken(&error.to_string()), Into::into));
            }
            let data: Value =
                serde_json::from_str(&data).map_err(|error| broken(&error.to_string()))?;
            match name.as_str() {
                "sources" => printer.sources = data,
                "delta" => printer.text(text(&data, "text")),
                "citation" => printer.cite(&data),
                "done" => {
                    printer.end(data.get("abstained").and_then(Value::as_bool).unwrap_or(false));
                    return Ok(());
                }
                _ => {}
            }
        }
    }
    Err(broken("it has no end"))
}

/// Prints an answer and remembers what it cites.
#[derive(Default)]
struct Printer {
    sources: Value,
    /// Whether any text was printed.
    begun: bool,
    /// Documents in the order they were first cited.
    cited: Vec<(String, Vec<String>)>,
}

impl Printer {
    fn text(&mut self, text: &str) {
        self.begun |= !text.is_empty();
        out::piece(text);
    }

    /// The answer with a number behind each quote it holds.
    fn cited(&mut self, answer: &str, citations: &[Value]) {
        let mut rest = answer;
        for citation in citations {
            let quote = text(citation, "quote");
            let Some(end) = rest.find(quote).map(|at| at + quote.len()) else { continue };
            let (before, after) = rest.split_at(end);
            self.text(before);
            self.cite(citation);
            rest = after;
        }
        self.text(rest);
    }

    fn cite(&mut self, citation: &Value) {
        let document = text(citation, "document_id");
        let span = citation.get("span").map_or_else(String::new, |span| {
            format!("{}–{}", super::count(span, "start"), super::count(span, "end"))
        });
        let place = self.cited.iter().position(|(known, _)| known == document);
        let place = place.unwrap_or_else(|| {
            self.cited.push((document.to_owned(), Vec::new()));
            self.cited.len() - 1
        });
        if let Some((_, spans)) = self.cited.get_mut(place) {
            spans.push(span);
        }
        out::piece(&format!(" [{}]", place + 1));
    }

    fn end(&self, abstained: bool) {
        if self.begun {
            out::data("");
        }
        if abstained {
            out::note("(no answer in the documents)");
        } else if !self.cited.is_empty() {
            out::data("");
        }
        for (place, (document, spans)) in self.cited.iter().enumerate() {
            let source = self.sources.as_array().into_iter().flatten();
            let source = source.into_iter().find(|source| text(source, "document_id") == document);
            let name = source.map_or_else(|| document.clone(), search::name);
            out::data(&format!("[{}] {name}, bytes {}", place + 1, spans.join(", ")));
        }
    }
}
