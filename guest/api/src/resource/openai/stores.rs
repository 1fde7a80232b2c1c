//! A collection is a vector store.

use crate::resource::rules;

/// Before the name of the collection in the id of a vector store.
const PREFIX: &str = "vs_";

/// The collection that a vector store is. A collection's own name will do.
pub fn collection(id: &str) -> Option<&str> {
    Some(id.strip_prefix(PREFIX).unwrap_or(id)).filter(|name| rules::collection(name).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_a_collection() {
        assert_eq!(collection("vs_papers"), Some("papers"));
        assert_eq!(collection("papers"), Some("papers"));
        assert_eq!(collection("vs_A"), None);
    }
}
