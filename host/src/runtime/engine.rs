//! The WebAssembly engine: one for all generations.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ragtime_policy::digest::sha256;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::code::CodeCache;
use super::state::InstanceState;
use crate::{capability, config};

/// How often the epoch moves: how long a busy handler may hold its thread.
pub const TICK: Duration = Duration::from_millis(5);

/// Memories, tables and core modules an instance may have. A Rust handler has
/// one memory and three modules; a Python one about ten times as many modules.
const MEMORIES_PER_INSTANCE: u32 = 2;
const TABLES_PER_INSTANCE: u32 = 16;
const MODULES_PER_INSTANCE: u32 = 64;
/// Entries of one table, that is functions whose address is taken.
const TABLE_ELEMENTS: usize = 100_000;

/// Where the code of components is kept, in the folder of all data.
pub fn cache_folder(data: &Path) -> PathBuf {
    data.join("compiled")
}

/// An engine, and the thread that moves its epoch.
pub fn start(bounds: &config::Handler) -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .allocation_strategy(InstanceAllocationStrategy::Pooling(pool(bounds)));
    let engine = Engine::new(&config)?;
    let ticking = engine.weak();
    // An OS thread, since a busy handler may hold every runtime thread.
    std::thread::Builder::new().name("ragtime-epoch".into()).spawn(move || {
        while let Some(engine) = ticking.upgrade() {
            engine.increment_epoch();
            drop(engine);
            std::thread::sleep(TICK);
        }
    })?;
    Ok(engine)
}

fn pool(bounds: &config::Handler) -> PoolingAllocationConfig {
    let instances = bounds.max_instances;
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(instances)
        .total_core_instances(instances.saturating_mul(MODULES_PER_INSTANCE))
        .max_core_instances_per_component(MODULES_PER_INSTANCE)
        .total_memories(instances.saturating_mul(MEMORIES_PER_INSTANCE))
        .max_memories_per_component(MEMORIES_PER_INSTANCE)
        .total_tables(instances.saturating_mul(TABLES_PER_INSTANCE))
        .max_tables_per_component(TABLES_PER_INSTANCE)
        .table_elements(TABLE_ELEMENTS)
        .max_memory_size(bounds.largest_memory_bytes());
    pool
}

/// Everything a handler may import.
pub fn linker(engine: &Engine) -> wasmtime::Result<Linker<InstanceState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker)?;
    capability::add_to_linker(&mut linker)?;
    Ok(linker)
}

/// A component ready to link.
pub struct Compiled {
    /// Its code.
    pub component: Component,
    /// SHA-256 of the component's bytes, lower-case hex.
    pub sha256: String,
    /// Size of the component.
    pub bytes: usize,
}

/// Compiles a component, or takes its code from the cache. Takes seconds when it
/// compiles, so not for a serving thread.
pub fn compile(engine: &Engine, cache: &CodeCache, bytes: &[u8]) -> wasmtime::Result<Compiled> {
    let sha256 = sha256(bytes);
    let component = match cache.load(engine, &sha256) {
        Some(component) => component,
        None => {
            // Somebody waits for the first start.
            tracing::info!("the host compiles a handler, and keeps the code for later starts");
            let component = Component::new(engine, bytes)?;
            if let Err(error) = cache.save(&sha256, &component) {
                tracing::warn!(%error, "compiled code is not kept, so the next start makes it again");
            }
            component
        }
    };
    Ok(Compiled { component, sha256, bytes: bytes.len() })
}
