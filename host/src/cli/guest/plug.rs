//! `ragtime guest plug`: handler and provider in one component, for runtimes
//! that know nothing of Ragtime.

use std::path::PathBuf;

use ragtime_plug::join;

use crate::cli::{CliError, out};
use crate::serve::BUILT_IN_HANDLER;

const PROVIDER: &[u8] = include_bytes!(env!("RAGTIME_PROVIDER"));

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
    let joined = join(handler, PROVIDER.to_vec()).map_err(|message| {
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

#[cfg(test)]
mod tests {
    use ragtime_plug::unmet;

    use super::*;

    #[test]
    fn the_built_in_handler_needs_nothing_more() {
        let joined = join(BUILT_IN_HANDLER.to_vec(), PROVIDER.to_vec()).unwrap();
        assert!(!unmet(BUILT_IN_HANDLER).unwrap().is_empty());
        assert!(unmet(&joined).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_component_is_refused() {
        assert!(join(b"\0asm\x01\0\0\0".to_vec(), PROVIDER.to_vec()).is_err());
    }
}
