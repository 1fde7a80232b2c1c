//! `ragtime-plug HANDLER.wasm PROVIDER.wasm JOINED.wasm`, for the build script:
//! as a dependency of that, the crate would make the host's dependencies build
//! with other features.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            #[allow(clippy::print_stderr, reason = "the build script shows it")]
            {
                eprintln!("{message}");
            }
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let paths: Vec<_> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [handler, provider, joined] = paths.as_slice() else {
        return Err("three paths are needed: handler, provider, joined".into());
    };
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let bytes = ragtime_plug::join(read(handler)?, read(provider)?)?;
    std::fs::write(joined, bytes).map_err(|error| format!("{}: {error}", joined.display()))
}
