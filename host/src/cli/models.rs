//! `ragtime model`: the models that the settings name.

use std::time::Instant;

use ragtime_embed::Role;
use serde_json::{Value, json};

use super::error::CliError;
use super::out;
use crate::config::{Files, ModelSource, Runs, Settings};
use crate::model;

/// Texts of a measurement: enough to keep all cores at work for some seconds.
const BENCH_TEXTS: usize = 256;
/// A sentence of the texts that are measured.
const BENCH_SENTENCE: &str = "The quay of the harbour was built of granite from the north. ";
/// Its repetitions in one text: about 200 tokens, as a passage has.
const BENCH_SENTENCES: usize = 14;
/// Queries of a measurement.
const BENCH_QUERIES: usize = 50;

/// What is done.
#[derive(Debug, clap::Subcommand)]
pub enum Action {
    /// List the models that the settings name
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Fetch models from their hub now, rather than at the next start, and print the
    /// SHA-256 of their files
    Fetch {
        /// Which; all of a hub if none is named
        names: Vec<String>,
    },
    /// Load a model, or ask its endpoint, and print what it is
    Check {
        /// Which
        name: String,
    },
    /// Measure how fast a model is
    Bench {
        /// Which
        name: String,
    },
}

/// Runs it. Blocking.
pub fn run(action: &Action, settings: &Settings) -> Result<(), CliError> {
    match action {
        Action::List { json } => list(settings, *json),
        Action::Fetch { names } => fetch(settings, names),
        Action::Check { name } => check(settings, name),
        Action::Bench { name } => bench(settings, name),
    }
}

/// A model as it stands in the settings.
struct Named {
    kind: &'static str,
    name: String,
    default: bool,
    runs: Option<Runs>,
}

fn named(settings: &Settings) -> Result<Vec<Named>, CliError> {
    let embeddings = model::Embeddings::new(settings).map_err(failed)?;
    let default = embeddings.default_name();
    let mut all = Vec::new();
    for name in embeddings.names() {
        let runs = settings.models.embedding.get(&name).map(|model| model.runs(&name));
        let is_default = default == Some(name.as_str());
        let runs = runs.transpose().map_err(failed)?;
        all.push(Named { kind: "embedding", name, default: is_default, runs });
    }
    let only = settings.models.reranking.len() == 1;
    for (name, model) in &settings.models.reranking {
        let is_default = settings.models.default_reranking.as_ref().map_or(only, |one| one == name);
        let runs = Some(model.runs(name).map_err(failed)?);
        all.push(Named { kind: "reranking", name: name.clone(), default: is_default, runs });
    }
    Ok(all)
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::new(error.to_string())
}

impl Named {
    /// Where it is, and whether it is there.
    fn place(&self, settings: &Settings) -> (String, &'static str) {
        let there = |folder: &std::path::Path| match folder.join("config.json").is_file() {
            true => "present",
            false => "missing",
        };
        match &self.runs {
            None => {
                let present = ragtime_embed::files::find(&settings.model.dir).is_ok();
                let folder = settings.model.dir.display().to_string();
                (folder, if present { "present" } else { "not fetched" })
            }
            Some(Runs::Endpoint(url)) => (url.clone(), "endpoint"),
            Some(Runs::Here(Files::Folder(folder))) => {
                (folder.display().to_string(), there(folder))
            }
            Some(Runs::Here(Files::Hub { id, revision, folder })) => {
                let fetched = folder.join(ragtime_embed::Manifest::FILE).is_file();
                (format!("{id}@{revision}"), if fetched { "present" } else { "not fetched" })
            }
        }
    }
}

fn list(settings: &Settings, as_json: bool) -> Result<(), CliError> {
    let models = named(settings)?;
    if as_json {
        let models = models.iter().map(|model| {
            let (place, state) = model.place(settings);
            json!({"kind": model.kind, "name": model.name, "default": model.default,
                   "source": place, "state": state})
        });
        out::data(&json!({"models": models.collect::<Vec<Value>>()}).to_string());
        return Ok(());
    }
    for model in models {
        let (place, state) = model.place(settings);
        let default = if model.default { "*" } else { " " };
        out::data(&format!("{default} {:<9} {:<28} {state:<11} {place}", model.kind, model.name));
    }
    Ok(())
}

fn fetch(settings: &Settings, names: &[String]) -> Result<(), CliError> {
    let all = named(settings)?;
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|model| model.name == **name)) {
        return Err(failed(format!("{unknown}: {}", model::LoadError::Unknown)));
    }
    let wanted = |model: &&Named| names.is_empty() || names.contains(&model.name);
    for model in all.iter().filter(wanted) {
        match &model.runs {
            None if settings.model.source != ModelSource::None => {
                model::fetch(&settings.model).map_err(failed)?;
                out::note(&format!("{} is there", model.name));
            }
            Some(Runs::Here(files)) => match model::fetched(files).map_err(failed)? {
                Some(manifest) => {
                    for (file, sha256) in &manifest.files {
                        out::data(&format!("{sha256}  {}/{file}", model.name));
                    }
                }
                None => out::note(&format!("{} is of a folder", model.name)),
            },
            None | Some(Runs::Endpoint(_)) => {}
        }
    }
    Ok(())
}

fn check(settings: &Settings, name: &str) -> Result<(), CliError> {
    if let Some(reranking) = settings.models.reranking.get(name) {
        return match reranking.runs(name).map_err(failed)? {
            Runs::Here(files) => {
                let model = model::open_reranker(reranking, &files).map_err(failed)?;
                print_model(&model.form(), None, Some(model.max_tokens()), model.memory_bytes());
                Ok(())
            }
            Runs::Endpoint(url) => {
                out::data(&format!("endpoint {url}"));
                Ok(())
            }
        };
    }
    let model = model::open(settings, name).map_err(failed)?;
    let texts = ["The harbour has a quay.", "A quay stands in the harbour.", "Bread is baked."];
    let vectors = model.passages(&texts).map_err(failed)?;
    let cosine = |a: usize, b: usize| -> Option<f32> {
        Some(vectors.get(a)?.iter().zip(vectors.get(b)?).map(|(a, b)| a * b).sum())
    };
    let form = model.form().unwrap_or_default();
    print_model(&form, model.dimensions(), model.max_tokens(), model.memory_bytes());
    let (near, far) = (cosine(0, 1).unwrap_or(0.0), cosine(0, 2).unwrap_or(0.0));
    out::data(&format!("cosine of two like sentences {near:.3}, of two unlike {far:.3}"));
    match near > far {
        true => Ok(()),
        false => Err(failed(
            "like texts are not nearer than unlike ones: the pooling or prompts may be others",
        )),
    }
}

fn print_model(form: &str, dimensions: Option<usize>, max_tokens: Option<usize>, bytes: usize) {
    out::data(form);
    if let Some(dimensions) = dimensions {
        out::data(&format!("{dimensions} dimensions"));
    }
    if let Some(tokens) = max_tokens {
        out::data(&format!("{tokens} tokens at most"));
    }
    if bytes > 0 {
        out::data(&format!("{:.0} MB of memory for the weights", bytes as f64 / 1e6));
    }
}

fn bench(settings: &Settings, name: &str) -> Result<(), CliError> {
    let model = model::open(settings, name).map_err(failed)?;
    let text = |number: usize| format!("{number} {}", BENCH_SENTENCE.repeat(BENCH_SENTENCES));
    let texts: Vec<_> = (0..BENCH_TEXTS).map(text).collect();
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    // Once before, so that nothing is done for the first time.
    model.passages(texts.get(..8).unwrap_or_default()).map_err(failed)?;
    let tokens: usize =
        texts.iter().map(|text| model.token_starts(text).map_or(0, |all| all.len())).sum();
    let began = Instant::now();
    model.embed(Role::Passage, &texts, &|| true).map_err(failed)?;
    let seconds = began.elapsed().as_secs_f64();
    out::data(&format!(
        "{:.0} passages a second, {:.0} tokens a second",
        texts.len() as f64 / seconds,
        tokens as f64 / seconds
    ));
    let mut times = Vec::with_capacity(BENCH_QUERIES);
    for number in 0..BENCH_QUERIES {
        let began = Instant::now();
        model.query(&format!("When was quay {number} built?")).map_err(failed)?;
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let median = times.get(BENCH_QUERIES / 2).copied().unwrap_or_default();
    out::data(&format!("{median:.1} ms a query in the median"));
    Ok(())
}
