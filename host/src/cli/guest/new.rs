//! `ragtime guest new`: a handler to start from.

use std::path::{Path, PathBuf};

use super::super::{CliError, out};

/// Which project, and where.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Its name, and that of its folder
    name: String,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
}

/// What a handler can be written in here. Any language that makes components
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Language {
    /// Built by componentize-py
    Python,
    /// Built by cargo for wasm32-wasip2
    Rust,
}

/// A file of a project, below its folder.
type File = (&'static str, &'static str);

macro_rules! files {
    ($from:literal: $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../../../", $from, "/", $path)))),*]
    };
}

const PYTHON: &[File] = files!("guest/examples/python": "app.py", "requirements.txt");
const RUST: &[File] = files!("guest/examples/rust": "Cargo.toml", "src/lib.rs");

/// The contract that this host offers.
const WIT: &[File] = files!("wit":
    "world.wit",
    "deps/ragtime-auth.wit",
    "deps/ragtime-documents.wit",
    "deps/ragtime-health.wit",
    "deps/ragtime-keys.wit",
    "deps/ragtime-logging.wit",
    "deps/ragtime-models.wit",
    "deps/ragtime-models-0.2.wit",
    "deps/ragtime-rate-limit.wit",
    "deps/ragtime-retrieval.wit",
    "deps/wasi-cli.wit",
    "deps/wasi-clocks.wit",
    "deps/wasi-filesystem.wit",
    "deps/wasi-http.wit",
    "deps/wasi-random.wit",
    "deps/wasi-sockets.wit",
);

/// Lays the project out.
pub fn run(args: &Args) -> Result<(), CliError> {
    let folder = PathBuf::from(&args.name);
    if folder.exists() {
        return Err(CliError::new(format!("{} exists already", folder.display())));
    }
    let files = match args.lang {
        Language::Python => PYTHON,
        Language::Rust => RUST,
    };
    for (path, text) in files {
        write(&folder.join(path), text)?;
    }
    for (path, text) in WIT {
        write(&folder.join("wit").join(path), text)?;
    }
    out::note(&format!("{} is there. Build it, and put it into production:", folder.display()));
    out::data(&format!("ragtime guest build {}", folder.display()));
    out::data(&format!("ragtime guest swap {}", super::build::component(&folder).display()));
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), CliError> {
    let failed = |error| CliError::new(format!("{} cannot be written: {error}", path.display()));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    std::fs::write(path, text).map_err(failed)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_project_has_the_whole_contract() {
        let deps = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/deps");
        let here: Vec<_> = std::fs::read_dir(deps)
            .unwrap()
            .map(|entry| format!("deps/{}", entry.unwrap().file_name().to_str().unwrap()))
            .collect();
        assert_eq!(here.len() + 1, WIT.len());
        for path in here {
            assert!(WIT.iter().any(|(known, _)| *known == path), "{path}");
        }
    }
}
