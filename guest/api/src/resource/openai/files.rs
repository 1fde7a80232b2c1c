//! A document is a file.

/// What a document is called: its title, or its id.
pub fn filename(id: &str, title: Option<&str>) -> String {
    title.filter(|title| !title.is_empty()).unwrap_or(id).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_called_by_its_title_or_else_its_id() {
        assert_eq!(filename("id", Some("Title")), "Title");
        assert_eq!(filename("id", Some("")), "id");
        assert_eq!(filename("id", None), "id");
    }
}
