//! Ragtime: a RAG API server whose handler is a sandboxed, swappable
//! WebAssembly component.

mod admin;
mod args;
mod backup;
mod blocking;
mod capability;
mod cli;
mod config;
mod doctor;
mod generator;
mod keyring;
mod logging;
mod model;
mod network;
mod panics;
mod readiness;
mod rechunker;
mod runtime;
mod serve;
mod server;
mod services;
mod signal;
mod swap;
mod telemetry;
mod tls;
mod upstream;

use std::process::ExitCode;

use clap::Parser;
use ragtime_policy::digest;

/// Chosen by `tests/bench/allocators.py`: of three it holds the least memory after a
/// burst, and costs little speed. `docs/benchmarks.md` has the table.
#[cfg(all(feature = "jemalloc", unix, not(target_env = "musl")))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What the program makes is nobody else's business, wherever it makes it:
/// databases, backups, handlers and models.
fn keep_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

fn main() -> ExitCode {
    let args = args::Args::parse();
    keep_private();
    // The only TLS implementation in the binary; nothing else can have set one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return cli::out::fail(&error.to_string(), None),
    };
    let outcome = runtime.block_on(args::run(args));
    // A blocking call that is still at work must not keep the process.
    runtime.shutdown_background();
    outcome
}
