//! The client's own notes.

use crate::json::{Member, Nested, Tree};
use crate::limits;

/// The client's own notes.
pub(super) const METADATA: Member<Nested> = Nested::optional(
    "metadata",
    Tree {
        max_bytes: limits::MAX_METADATA_BYTES,
        max_depth: limits::MAX_METADATA_DEPTH,
        schema: None,
    },
    "The client's own notes, which the answer repeats.",
);
