//! Everything a handler imports, on plain WASI: keys from the environment,
//! documents in a mounted folder, words for search, quotes for answers; vectors
//! and a language model from endpoints that the settings name. Joined with a
//! handler it makes a component that stock `wasmtime serve` runs.
//!
//! What a runtime has to offer is in `export/`; the rest is pure or uses
//! `std::fs` alone, and is tested natively.

pub mod bm25;
pub mod journal;
pub mod keys;
pub mod library;
pub mod records;
pub mod settings;
pub mod vectors;

#[cfg(target_arch = "wasm32")]
mod bindings;
#[cfg(target_arch = "wasm32")]
mod catch_up;
#[cfg(target_arch = "wasm32")]
mod chat;
#[cfg(target_arch = "wasm32")]
mod embedder;
#[cfg(target_arch = "wasm32")]
mod export;
#[cfg(target_arch = "wasm32")]
mod log;
#[cfg(target_arch = "wasm32")]
mod state;
#[cfg(target_arch = "wasm32")]
mod upstream;
