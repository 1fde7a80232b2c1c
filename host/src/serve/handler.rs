//! Which handler a server starts with.
//!
//! The one that `handler.file` names; else the one that served last, so that a
//! restart undoes no swap; else the one in the binary. A host of a fleet serves what the
//! fleet does, and only the first host of all begins with its own.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ragtime_policy::swap::GenerationKind;
use ragtime_store::{Deployment, Store};

use super::ServeError;
use crate::blocking::blocking;
use crate::config::Settings;
use crate::runtime::code::CodeCache;
use crate::runtime::compiler::Compiler;
use crate::runtime::engine::{self, Compiled};
use crate::runtime::generation::GenerationFactory;
use crate::runtime::routing::Routing;
use crate::services::Services;
use crate::swap::{self, Archive, BUILT_IN, Swaps};
use ragtime_policy::clock::unix_now;

/// The handler that is part of the binary.
pub const BUILT_IN_HANDLER: &[u8] = include_bytes!(env!("RAGTIME_HANDLER"));

/// A component and where it came from.
pub struct Component {
    label: String,
    bytes: Cow<'static, [u8]>,
    compiled: Compiled,
}

/// What a server starts with, and its past.
pub struct First {
    component: Component,
    past: Vec<Deployment>,
    newest: u64,
}

impl Component {
    /// The handler that the settings name, else the one in the binary.
    pub fn of_settings(engine: &wasmtime::Engine, settings: &Settings) -> Result<Self, ServeError> {
        let file = settings.handler.file.as_deref().filter(|file| *file != Path::new(BUILT_IN));
        match file {
            Some(path) => {
                let unreadable =
                    |error| ServeError::HandlerFile { path: path.display().to_string(), error };
                let bytes = std::fs::read(path).map_err(unreadable)?;
                let label = path.file_name().map(|name| name.to_string_lossy().into_owned());
                Self::compile(engine, settings, label.unwrap_or_default(), Cow::from(bytes))
            }
            None => {
                Self::compile(engine, settings, BUILT_IN.to_owned(), Cow::from(BUILT_IN_HANDLER))
            }
        }
    }

    fn compile(
        engine: &wasmtime::Engine,
        settings: &Settings,
        label: String,
        bytes: Cow<'static, [u8]>,
    ) -> Result<Self, ServeError> {
        let cache = CodeCache::new(engine, &engine::cache_folder(&settings.data.dir));
        let compiled = engine::compile(engine, &cache, &bytes).map_err(ServeError::Handler)?;
        Ok(Self { label, bytes, compiled })
    }
}

/// The handler to start with, given the one that is likely. Blocking.
pub fn first(
    engine: &wasmtime::Engine,
    likely: Component,
    store: &Store,
    settings: &Settings,
) -> Result<First, ServeError> {
    let (past, newest) = swap::past(store)?;
    // What hosts of a fleet serve is for all of them to change.
    let shared = store.in_fleet();
    let swapped = past.last().filter(|last| {
        let own = settings.handler.file.is_some() || last.label == BUILT_IN;
        (shared || !own) && last.sha256 != likely.compiled.sha256
    });
    if swapped.is_some() && settings.handler.file.is_some() {
        tracing::warn!(
            "handler.file is not what the fleet serves, and is left alone: ragtime guest swap replaces the handler of all hosts"
        );
    }
    let component = match swapped {
        Some(last) => {
            let archive = Archive::new(&swap::archive_folder(&settings.data.dir))?;
            let bytes = swap::kept_component(store, &archive, &last.sha256)?;
            let bytes = bytes.ok_or_else(|| ServeError::HandlerGone(last.label.clone()))?;
            Component::compile(engine, settings, last.label.clone(), Cow::from(bytes))?
        }
        None => likely,
    };
    Ok(First { component, past, newest })
}

/// Puts the first handler to work, as the generation it was before when it is
/// the one that served last.
pub async fn serve(
    engine: wasmtime::Engine,
    first: First,
    services: &Arc<Services>,
    settings: &Settings,
) -> Result<(Arc<Routing>, Arc<Swaps>), ServeError> {
    let First { component: Component { label, bytes, compiled }, past, newest } = first;
    let linker = engine::linker(&engine).map_err(ServeError::Engine)?;
    let factory = GenerationFactory::new(linker, Arc::clone(services), settings)?;
    let resumed = past.last().filter(|last| last.sha256 == compiled.sha256).map(|last| last.id);
    let id = resumed.unwrap_or(newest + 1);
    let (factory, label, compiled, generation) = blocking(move || {
        let generation = factory.build(id, &label, &compiled);
        (factory, label, compiled, generation)
    })
    .await?;
    let generation = generation.map_err(ServeError::Handler)?;
    tracing::info!(generation = id, label, sha256 = compiled.sha256, "the handler is ready");
    let folder = swap::archive_folder(&settings.data.dir);
    services.store.set_handler(id, &compiled.sha256);
    if resumed.is_none() {
        let bytes = record_start(&services.store, started(id, &label, &compiled), bytes).await?;
        let (folder, sha256) = (folder.clone(), compiled.sha256.clone());
        tokio::task::spawn_blocking(move || swap::keep(&folder, &sha256, &bytes));
    }
    let generation = Arc::new(generation);
    let deadline = Duration::from_millis(settings.swap.probe_timeout_ms);
    let described = Arc::clone(&generation);
    // For the labels of metrics; no request waits for it.
    tokio::spawn(async move { swap::described(&described, deadline).await });
    let routing = Arc::new(Routing::new(generation));
    let swaps = Swaps::new(
        swap::generations(&past, newest, id),
        Arc::clone(&routing),
        factory,
        Compiler::new(engine, settings)?,
        Archive::new(&folder)?,
        Arc::clone(services),
        settings,
    );
    let swaps = Arc::new(swaps);
    let watching = Arc::clone(&swaps);
    blocking(move || watching.watch()).await??;
    tokio::spawn(Arc::clone(&swaps).follow());
    Ok((routing, swaps))
}

/// Writes down what a server starts with that has served nothing before; hosts of a fleet
/// get it from where all find it, so it is put there first.
async fn record_start(
    store: &Store,
    start: Deployment,
    bytes: Cow<'static, [u8]>,
) -> Result<Cow<'static, [u8]>, ServeError> {
    if !store.in_fleet() {
        store.record_deployment(start).await?;
        return Ok(bytes);
    }
    let (keeps, sha256) = (store.clone(), start.sha256.clone());
    let keep = move || keeps.put_component(&sha256, &bytes).map(|()| bytes);
    let bytes = blocking(keep).await??;
    // Another host may have been the first; then this one takes over what that has.
    store.record_first_deployment(start).await?;
    Ok(bytes)
}

fn started(id: u64, label: &str, compiled: &Compiled) -> Deployment {
    Deployment {
        id,
        kind: GenerationKind::Start.name().to_owned(),
        sha256: compiled.sha256.clone(),
        label: label.to_owned(),
        bytes: compiled.bytes as u64,
        at: unix_now(),
        took_ms: 0,
        actor: None,
        active: true,
        stage: None,
        reason: None,
        report: "{}".to_owned(),
    }
}
