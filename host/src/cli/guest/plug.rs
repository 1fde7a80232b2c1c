//! `ragtime guest plug`: handler and provider in one component, for runtimes
//! that know nothing of Ragtime.

use std::path::PathBuf;

use wac_graph::types::{Package, Types};
use wac_graph::{CompositionGraph, EncodeOptions};

use crate::cli::{CliError, out};
use crate::serve::BUILT_IN_HANDLER;

const PROVIDER: &[u8] = include_bytes!(env!("RAGTIME_PROVIDER"));
/// What a stock runtime does not have.
const OURS: &str = "ragtime:";

/// What to join.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The handler [default: the built-in one]
    #[arg(value_name = "HANDLER.wasm")]
    handler: Option<PathBuf>,
    /// Where the component goes
    #[arg(short, long, value_name = "FILE.wasm", default_value = "ragtime-standalone.wasm")]
    output: PathBuf,
}

/// Joins, writes, and prints how to run it.
pub(super) fn run(args: &Args) -> Result<(), CliError> {
    let handler = match &args.handler {
        Some(file) => std::fs::read(file)
            .map_err(|error| CliError::new(format!("{}: {error}", file.display())))?,
        None => BUILT_IN_HANDLER.to_vec(),
    };
    let joined = join(handler).map_err(|message| {
        CliError::with_hint(message, "build the handler against the wit/ of this version")
    })?;
    std::fs::write(&args.output, joined)
        .map_err(|error| CliError::new(format!("{}: {error}", args.output.display())))?;
    out::data(&format!(
        "wasmtime serve -Scli --dir ./data::/data --env RAGTIME_AUTH__BOOTSTRAP_KEY {}",
        args.output.display()
    ));
    Ok(())
}

/// The handler with the provider behind it. `plug` leaves out silently what
/// does not fit, so what remains is looked at.
fn join(handler: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut graph = CompositionGraph::new();
    let mut add = |name: &str, bytes: Vec<u8>| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())
            .map_err(|error| format!("the {name}: {error}"))?;
        graph.register_package(package).map_err(|error| format!("the {name}: {error}"))
    };
    let provider = add("provider", PROVIDER.to_vec())?;
    let handler = add("handler", handler)?;
    wac_graph::plug(&mut graph, vec![provider], handler)
        .map_err(|error| format!("the handler does not fit: {error}"))?;
    let joined = graph
        .encode(EncodeOptions::default())
        .map_err(|error| format!("the joined component is not valid: {error}"))?;
    match unmet(&joined)?.as_slice() {
        [] => Ok(joined),
        names => Err(format!("nothing provides {}", names.join(", "))),
    }
}

/// Imports that a stock runtime does not have.
fn unmet(component: &[u8]) -> Result<Vec<String>, String> {
    let mut types = Types::default();
    let package = Package::from_bytes("joined", None, component, &mut types)
        .map_err(|error| format!("the joined component: {error}"))?;
    let imports = &types[package.ty()].imports;
    Ok(imports.keys().filter(|name| name.starts_with(OURS)).cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_handler_needs_nothing_more() {
        let joined = join(BUILT_IN_HANDLER.to_vec()).unwrap();
        assert!(!unmet(BUILT_IN_HANDLER).unwrap().is_empty());
        assert!(unmet(&joined).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(join(b"\0asm\x01\0\0\0".to_vec()).is_err());
    }
}
