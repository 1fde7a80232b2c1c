//! The vector of a chunk that serves: parts of queries, since two tables take turns
//! ([`crate::models`]).

/// Joins a chunk with its collection and the vector that serves, as `serving.vector`
/// would be: [`VECTOR`].
pub(crate) const JOIN: &str = "
    JOIN collections ON collections.key = chunks.collection
    LEFT JOIN vectors ON vectors.chunk = chunks.id AND vectors_slot = 0
    LEFT JOIN vectors_1 ON vectors_1.chunk = chunks.id AND vectors_slot = 1";

/// The vector that serves, with [`JOIN`].
pub(crate) const VECTOR: &str = "coalesce(vectors.vector, vectors_1.vector)";

/// Whether the model that serves has failed at a chunk, with [`JOIN`].
pub(crate) const FAILED: &str = "(
    vectors_slot = 0 AND EXISTS (SELECT 1 FROM unembedded WHERE chunk = chunks.id)
    OR vectors_slot = 1 AND EXISTS (SELECT 1 FROM unembedded_1 WHERE chunk = chunks.id))";
