//! What the indexer works at next is said to it by whoever changes something.

/// What wakes the indexer.
pub(crate) enum Wake {
    /// Something was written.
    Written,
    /// A collection seems to have all vectors of this model, which is its next.
    Made(i64, String),
    /// A collection's texts are in another language now.
    Language,
    /// Another host has changed what is set for a collection.
    Changed(i64),
    /// The store closes.
    Stop,
}
