//! `wasmtime serve`, the very code of wasmtime's command line. Built here so
//! that it shares the workspace's build of the runtime.

use clap::Parser;
use wasmtime_cli::commands::ServeCommand;

/// wasmtime's own server
#[derive(Parser)]
#[command(name = "wasmtime", version = "48.0.8")]
enum Command {
    /// Serves requests from a wasi-http component
    Serve(ServeCommand),
}

fn main() -> wasmtime::Result<()> {
    let Command::Serve(serve) = Command::parse();
    serve.execute()
}
