//! `GET /v1/models`

use schemars::JsonSchema;
use serde::Serialize;

/// What can be asked.
#[derive(Debug, Serialize, JsonSchema)]
pub struct List {
    /// Always `list`.
    pub object: &'static str,
    /// `ragtime/{collection}` for each collection, and the embedding model.
    pub data: Vec<Model>,
}

/// A model.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Model {
    /// Its name.
    pub id: String,
    /// Always `model`.
    pub object: &'static str,
    /// Seconds since the Unix epoch; 0 for the embedding model.
    pub created: u64,
    /// Always `ragtime`.
    pub owned_by: &'static str,
}

impl Model {
    /// A model of this server.
    pub fn new(id: String, created: u64) -> Self {
        Self { id, object: "model", created, owned_by: "ragtime" }
    }
}
