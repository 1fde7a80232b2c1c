//! Sentence embeddings and reranking on the CPU, by models of the family of BERT
//! and of XLM-RoBERTa.
//!
//! The forward pass is our own, on well-kept kernels: the models are a few small
//! layers, and what general runtimes lose on them (padding, copies, one pass over
//! memory for each operation) is most of what it costs.

mod attention;
mod checkpoint;
mod config;
mod embedder;
mod encoder;
mod error;
pub mod files;
mod folder;
mod head;
pub mod hub;
mod linear;
mod modules;
mod passes;
mod pieces;
mod reranker;
mod tokens;
mod weights;

pub use embedder::{Embedder, Options};
pub use error::{EmbedError, LoadError};
pub use folder::Manifest;
pub use linear::Precision;
pub use modules::{Pooling, Role};
pub use reranker::{Pair, Reranker, Score};
