//! The warnings of documents, a line for all of one kind of one document.

use serde_json::Value;

use crate::cli::{count, text};

/// Pages that a line names; a book may warn of hundreds.
const MAX_PAGES: usize = 8;

/// Those that follow each other with one id and one code share a line: the first
/// says what it is about.
pub fn lines<'a>(warnings: impl Iterator<Item = (&'a str, &'a Value)>) -> Vec<String> {
    let all: Vec<_> = warnings.collect();
    let mut codes: Vec<(&str, &str)> = Vec::new();
    for (id, warning) in &all {
        let code = (*id, text(warning, "code"));
        if !codes.contains(&code) {
            codes.push(code);
        }
    }
    let line = |(id, code): (&str, &str)| {
        let same = all.iter().filter(|(of, one)| (*of, text(one, "code")) == (id, code));
        let same: Vec<&Value> = same.map(|(_, one)| *one).collect();
        let detail = same.first().map_or("", |first| text(first, "detail"));
        format!("{id}: {code}{}: {detail}", places(&same))
    };
    codes.into_iter().map(line).collect()
}

/// The pages that warnings are about, or how many warnings there are.
fn places(warnings: &[&Value]) -> String {
    let pages: Vec<String> = warnings
        .iter()
        .map(|one| count(one, "page"))
        .filter(|page| *page > 0)
        .map(|page| page.to_string())
        .collect();
    let named = pages.iter().take(MAX_PAGES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match (pages.len(), warnings.len()) {
        (0, 0 | 1) => String::new(),
        (0, several) => format!(" ({several} times)"),
        (1, _) => format!(" (page {named})"),
        (..=MAX_PAGES, _) => format!(" (pages {named})"),
        (all, _) => format!(" (pages {named} and {} more)", all - MAX_PAGES),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn warnings_of_one_kind_share_a_line() {
        let font = |page: u64| json!({"code": "unmapped_font", "page": page, "detail": "by X"});
        let part = json!({"code": "part_left_out", "detail": "an object"});
        let many: Vec<Value> = (1..=10).map(font).collect();
        let of = |id: &'static str, all: &[Value]| lines(all.iter().map(|one| (id, one)));
        assert_eq!(of("a", &many[..1]), ["a: unmapped_font (page 1): by X"]);
        assert_eq!(
            of("a", &[&many[..2], &[part.clone()]].concat()),
            ["a: unmapped_font (pages 1, 2): by X", "a: part_left_out: an object"]
        );
        assert_eq!(
            of("a", &many),
            ["a: unmapped_font (pages 1, 2, 3, 4, 5, 6, 7, 8 and 2 more): by X"]
        );
        assert_eq!(of("b", &[part.clone(), part]), ["b: part_left_out (2 times): an object"]);
    }
}
