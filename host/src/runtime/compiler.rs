//! Compiling while the server serves: in a process of its own.
//!
//! Compilation allocates and frees a lot, and a thread that does so holds locks
//! of the address space that the serving threads want; at low priority it holds
//! them for long. In a process of its own it stands back without being in the
//! way, gives its memory back, and a compiler that crashes takes nothing along.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rayon::ThreadPool;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::sync::oneshot;
use wasmtime::Engine;

use super::background::stand_back;
use super::code::CodeCache;
use super::engine::{self, Compiled};
use crate::config;

/// The command of the process that compiles.
pub const COMMAND: &str = "compile-handler";

/// How far compilation stands back behind requests, as for nice(1).
const NICENESS: i32 = 19;

/// How far the thread does that loads and links what was compiled: it shares
/// the address space with those that serve, so it must not hold its locks long.
const LOADING_NICENESS: i32 = 10;

/// The variable that says how many threads the compiler makes (rayon's).
const THREADS: &str = "RAYON_NUM_THREADS";

/// The most that is kept of what a failed compilation says.
const MAX_MESSAGE_BYTES: usize = 4_096;

/// What that process has to know. Code fits an engine with the same settings
/// only.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[arg(long)]
    cache: PathBuf,
    #[arg(long)]
    max_memory_bytes: usize,
    /// What the process itself may hold.
    #[arg(long)]
    compiler_memory_bytes: u64,
    /// Processor time it may take.
    #[arg(long)]
    compiler_cpu_seconds: u64,
}

/// Compiles components for an engine.
pub struct Compiler {
    engine: Engine,
    cache: CodeCache,
    args: Args,
    timeout: Duration,
    /// One thread, so that what it allocates and frees is one arena.
    loading: ThreadPool,
}

impl Compiler {
    /// A compiler for `engine`, which [`engine::start`] made of these settings.
    pub fn new(engine: Engine, settings: &config::Settings) -> std::io::Result<Self> {
        let timeout = Duration::from_millis(settings.swap.compile_timeout_ms);
        let args = Args {
            cache: engine::cache_folder(&settings.data.dir),
            max_memory_bytes: settings.handler.largest_memory_bytes(),
            compiler_memory_bytes: settings.swap.max_compile_memory_bytes,
            compiler_cpu_seconds: cpu_seconds(timeout),
        };
        let loading = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .thread_name(|_| "ragtime-loading".into())
            .start_handler(|_| stand_back(LOADING_NICENESS))
            .build()
            .map_err(std::io::Error::other)?;
        let cache = CodeCache::new(&engine, &args.cache);
        Ok(Self { engine, cache, args, timeout, loading })
    }

    /// Compiles a component, or takes it from the cache. A caller that goes away
    /// ends the work.
    pub async fn compile(&self, bytes: Arc<[u8]>) -> wasmtime::Result<Compiled> {
        // Only there is compiling bounded: a component may be made to take more
        // memory and time than it is worth.
        let output = tokio::time::timeout(self.timeout, self.compile_apart(&bytes)).await;
        let output = output.map_err(|_| {
            let most = self.timeout.as_millis();
            wasmtime::format_err!(
                "it took more than {most} ms to compile (swap.compile_timeout_ms)"
            )
        })?;
        let output =
            output.map_err(|error| wasmtime::format_err!("no process to compile in: {error}"))?;
        if !output.status.success() {
            return Err(failure(&output));
        }
        let (engine, cache) = (self.engine.clone(), self.cache.clone());
        self.apart(move || engine::compile(&engine, &cache, &bytes)).await
    }

    /// Where the code that it made is kept.
    pub fn cache(&self) -> &CodeCache {
        &self.cache
    }

    /// Runs work that takes long off the serving threads.
    pub async fn apart<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> wasmtime::Result<R> + Send + 'static,
    ) -> wasmtime::Result<R> {
        let (done, result) = oneshot::channel();
        self.loading.spawn(move || {
            // Nobody waits any more when the swap was called off.
            let _ = done.send(work());
        });
        result.await.unwrap_or_else(|_| Err(wasmtime::format_err!("loading panicked")))
    }

    /// Has another process put the code into the cache.
    async fn compile_apart(&self, bytes: &[u8]) -> std::io::Result<Output> {
        let mut child = Command::new(own_program()?)
            .arg(COMMAND)
            .arg("--cache")
            .arg(&self.args.cache)
            .args(["--max-memory-bytes", &self.args.max_memory_bytes.to_string()])
            .args(["--compiler-memory-bytes", &self.args.compiler_memory_bytes.to_string()])
            .args(["--compiler-cpu-seconds", &self.args.compiler_cpu_seconds.to_string()])
            .env_clear()
            .env(THREADS, threads().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // One that ended early says why on its way out.
            let _ = stdin.write_all(bytes).await;
        }
        child.wait_with_output().await
    }
}

/// Threads that compile: half of the processors, so that the others never wait for a
/// thread of the compiler to give way, however low its priority.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, |all| (all.get() / 2).max(1))
}

/// This very program, also when its file has been replaced since the start.
fn own_program() -> std::io::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() { Ok(own.to_owned()) } else { std::env::current_exe() }
}

fn failure(output: &Output) -> wasmtime::Error {
    let said = output.stderr.get(..MAX_MESSAGE_BYTES).unwrap_or(&output.stderr);
    let said = String::from_utf8_lossy(said);
    match said.trim() {
        "" => wasmtime::format_err!("the compiler ended with {}", output.status),
        said => wasmtime::format_err!("{said}"),
    }
}

/// The process that compiles: a component on stdin, its code into the cache.
pub fn run(args: &Args) -> Result<(), String> {
    stand_back(NICENESS);
    bound(args).map_err(|error| format!("the compiler cannot be bounded: {error}"))?;
    let mut component = Vec::new();
    std::io::stdin().lock().read_to_end(&mut component).map_err(|error| error.to_string())?;
    let bounds = config::Handler {
        // None runs here, and room for many would count as this process's memory. Code
        // is the same for any number.
        max_instances: 1,
        max_memory_bytes: args.max_memory_bytes,
        max_heavy_memory_bytes: args.max_memory_bytes,
        ..config::Handler::default()
    };
    let engine = engine::start(&bounds).map_err(|error| format!("{error:#}"))?;
    let cache = CodeCache::new(&engine, &args.cache);
    engine::compile(&engine, &cache, &component).map(drop).map_err(|error| format!("{error:#}"))
}

/// Processor time for a deadline: every core may be at work.
fn cpu_seconds(deadline: Duration) -> u64 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    deadline.as_secs().max(1).saturating_mul(cores)
}

/// Bounds this process. Memory is what it can write to: the address space that
/// the engine only sets aside for instances is far larger than any memory.
fn bound(args: &Args) -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};
        let most = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
        setrlimit(Resource::Data, most(args.compiler_memory_bytes))?;
        setrlimit(Resource::Cpu, most(args.compiler_cpu_seconds))?;
        // A compiler that crashes must not write the component to the disk.
        setrlimit(Resource::Core, most(0))?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = args;
    Ok(())
}
