//! Compiling while the server serves.

use std::sync::Arc;

use rayon::ThreadPool;
use tokio::sync::oneshot;
use wasmtime::Engine;

use super::engine::{self, Compiled};

/// How far compilation stands back behind requests, as for nice(1).
const NICENESS: i32 = 19;

/// Compiles on one thread of its own, which yields to those that serve.
/// Wasmtime compiles a component's functions on the pool it is called from.
pub struct Compiler {
    engine: Engine,
    pool: ThreadPool,
}

impl Compiler {
    /// A compiler for `engine`.
    pub fn new(engine: Engine) -> std::io::Result<Self> {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(|_| "ragtime-compiler".into())
            .start_handler(|_| stand_back())
            .build()
            .map_err(std::io::Error::other)?;
        Ok(Self { engine, pool })
    }

    /// Compiles a component, or takes it from the cache.
    pub async fn compile(&self, bytes: Arc<[u8]>) -> wasmtime::Result<Compiled> {
        let (done, result) = oneshot::channel();
        let engine = self.engine.clone();
        self.pool.spawn(move || {
            // Nobody waits any more when the swap was called off.
            let _ = done.send(engine::compile(&engine, &bytes));
        });
        result.await.unwrap_or_else(|_| Err(wasmtime::format_err!("the compiler panicked")))
    }
}

fn stand_back() {
    // On Linux this is the calling thread's own. Elsewhere, and where it is
    // forbidden, compilation competes.
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::debug!(%error, "compilation runs at normal priority");
    }
}
