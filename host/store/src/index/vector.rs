//! A vector as the database keeps it.

/// Little-endian `f32`s, as the database keeps them.
pub(crate) fn encode_vector(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|value| value.to_le_bytes()).collect()
}

pub(crate) fn decode_vector(bytes: &[u8]) -> Option<Vec<f32>> {
    let (values, rest) = bytes.as_chunks::<4>();
    let whole = rest.is_empty() && !values.is_empty();
    whole.then(|| values.iter().map(|value| f32::from_le_bytes(*value)).collect())
}
