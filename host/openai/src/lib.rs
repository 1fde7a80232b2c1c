//! A client of OpenAI's API without its connection: what is sent, what may come back,
//! when it is asked again, and which of a model's citations count. The host and the
//! provider for stock runtimes add what carries requests, each its own
//! ([`client::Transport`]).
//!
//! What comes back is a stranger's: every length is bounded, and what cannot be
//! read ends the answer as failed.

pub mod chat;
pub mod checked;
mod cited;
pub mod client;
pub mod embeddings;
pub mod reranking;
pub mod rewritten;
pub mod sse;
mod watched;

/// The endpoint sent what is no answer; the text says in what way, and holds
/// nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub &'static str);
