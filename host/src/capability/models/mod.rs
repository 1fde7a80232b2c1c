//! `ragtime:models@0.2.0`: models by name.

mod collections;
mod embedding;
mod reranking;
