//! Handler and provider in one component, for runtimes that know nothing of
//! Ragtime.

use wac_graph::types::{Package, Types};
use wac_graph::{CompositionGraph, EncodeOptions};

/// What a stock runtime does not have.
const OURS: &str = "ragtime:";

/// The handler with the provider behind it. `plug` leaves out silently what
/// does not fit, so what remains is looked at. The error says what does not
/// fit.
pub fn join(handler: Vec<u8>, provider: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut graph = CompositionGraph::new();
    let mut add = |name: &str, bytes: Vec<u8>| {
        let package = Package::from_bytes(name, None, bytes, graph.types_mut())
            .map_err(|error| format!("the {name}: {error}"))?;
        graph.register_package(package).map_err(|error| format!("the {name}: {error}"))
    };
    let provider = add("provider", provider)?;
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
pub fn unmet(component: &[u8]) -> Result<Vec<String>, String> {
    let mut types = Types::default();
    let package = Package::from_bytes("joined", None, component, &mut types)
        .map_err(|error| format!("the joined component: {error}"))?;
    let imports = &types[package.ty()].imports;
    Ok(imports.keys().filter(|name| name.starts_with(OURS)).cloned().collect())
}
