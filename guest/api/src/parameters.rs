//! Parameters of path and query.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::json::{Fault, Faults};
use crate::limits;
use crate::problem::Problem;
use crate::resource::rules;

/// All but the unreserved characters of RFC 3986.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Which part of a list is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// Where the last page ended.
    pub cursor: Option<String>,
    /// The most to return.
    pub limit: u32,
}

/// When an answer to a write is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// When it is on disk.
    Durable,
    /// When search finds it.
    Searchable,
}

/// The parameters of a query string: known ones, each at most once.
struct Parameters<'q> {
    pairs: Vec<(std::borrow::Cow<'q, str>, std::borrow::Cow<'q, str>)>,
    faults: Faults,
}

impl<'q> Parameters<'q> {
    fn read(query: &'q str, known: &[&str]) -> Self {
        let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).collect();
        let mut faults = Faults::default();
        for (index, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_ref()) {
                faults.push(Fault::parameter(name.as_ref(), "is not known here"));
            } else if pairs.iter().take(index).any(|(earlier, _)| earlier == name) {
                faults.push(Fault::parameter(name.as_ref(), "is given twice"));
            }
        }
        Self { pairs, faults }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_ref())
    }

    fn fault(&mut self, name: &str, detail: String) {
        self.faults.push(Fault::parameter(name, detail));
    }
}

/// Reads a query string that may not have parameters.
///
/// # Errors
///
/// `validation_failed` naming each.
pub fn none(query: &str) -> Result<(), Problem> {
    Parameters::read(query, &[]).faults.finish(Some(()))
}

/// Reads `cursor` and `limit`.
///
/// # Errors
///
/// `validation_failed` naming each parameter at fault.
pub fn page(query: &str) -> Result<Page, Problem> {
    let mut parameters = Parameters::read(query, &["cursor", "limit"]);
    let allowed = 1..=limits::MAX_PAGE_ITEMS;
    let limit = match parameters.get("limit").map(str::parse) {
        None => limits::DEFAULT_PAGE_ITEMS,
        Some(Ok(limit)) if allowed.contains(&limit) => limit,
        Some(_) => {
            parameters.fault(
                "limit",
                format!("must be a whole number from 1 to {}", limits::MAX_PAGE_ITEMS),
            );
            limits::DEFAULT_PAGE_ITEMS
        }
    };
    let cursor = parameters.get("cursor").map(str::to_owned);
    if cursor.as_ref().is_some_and(|cursor| cursor.len() > limits::MAX_CURSOR_BYTES) {
        parameters.fault("cursor", format!("must be at most {} bytes", limits::MAX_CURSOR_BYTES));
    }
    parameters.faults.finish(Some(Page { cursor, limit }))
}

/// How a document is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// When the answer is given.
    pub wait: Wait,
    /// The title of a document that came as a file.
    pub title: Option<String>,
    /// Whether navigation, headers and footers of pages are text too.
    pub keep_boilerplate: bool,
    /// The tag of the language of documents that do not say their own.
    pub language: Option<String>,
}

/// Reads `boilerplate`, `language`, and `wait`, which is one of `choices`, and `title`, where a
/// file may come.
///
/// # Errors
///
/// `validation_failed` naming each parameter at fault.
pub fn write(
    query: &str,
    choices: &[(&str, Wait)],
    default: Wait,
    titled: bool,
) -> Result<Write, Problem> {
    let known: &[&str] = match titled {
        true => &["wait", "boilerplate", "language", "title"],
        false => &["wait", "boilerplate", "language"],
    };
    let mut parameters = Parameters::read(query, known);
    let wait = match parameters.get("wait") {
        None => default,
        Some(word) => match choices.iter().find(|(known, _)| *known == word) {
            Some((_, wait)) => *wait,
            None => {
                let known: Vec<_> = choices.iter().map(|(known, _)| *known).collect();
                parameters.fault("wait", format!("must be one of: {}", known.join(", ")));
                default
            }
        },
    };
    let title = parameters.get("title").map(str::to_owned);
    if let Some(Err(detail)) = title.as_deref().map(rules::title) {
        parameters.fault("title", detail);
    }
    let keep_boilerplate = match parameters.get("boilerplate") {
        None | Some("drop") => false,
        Some("keep") => true,
        Some(_) => {
            parameters.fault("boilerplate", "must be one of: drop, keep".to_owned());
            false
        }
    };
    let language = parameters.get("language").map(str::to_owned);
    if let Some(Err(detail)) = language.as_deref().map(rules::language) {
        parameters.fault("language", detail);
    }
    parameters.faults.finish(Some(Write { wait, title, keep_boilerplate, language }))
}

/// Checks the name of a collection in a path. A name that cannot exist is
/// reported as such, so that a typing error is not mistaken for a missing
/// collection.
///
/// # Errors
///
/// `validation_failed`.
pub fn collection(name: &str) -> Result<(), Problem> {
    path_parameter("collection", name, rules::collection)
}

/// Checks the id of a document in a path.
///
/// # Errors
///
/// `validation_failed`.
pub fn document_id(id: &str) -> Result<(), Problem> {
    path_parameter("id", id, rules::document_id)
}

/// A value as one segment of a path.
pub fn encode(segment: &str) -> String {
    utf8_percent_encode(segment, SEGMENT).to_string()
}

fn path_parameter(
    name: &str,
    value: &str,
    check: fn(&str) -> Result<(), String>,
) -> Result<(), Problem> {
    check(value).map_err(|detail| Problem::invalid(vec![Fault::parameter(name, detail)]))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;

    #[test]
    fn a_page_has_a_default_and_a_range() {
        assert_eq!(page("").unwrap(), Page { cursor: None, limit: limits::DEFAULT_PAGE_ITEMS });
        assert_eq!(
            page("limit=5&cursor=a%20b").unwrap(),
            Page { cursor: Some("a b".into()), limit: 5 }
        );
        for query in ["limit=0", "limit=1001", "limit=x", "limit=-1", "limit=1&limit=2", "size=3"] {
            let problem = page(query).unwrap_err();
            assert!(problem.faults[0].parameter.is_some(), "{query}");
        }
    }

    #[test]
    fn wait_is_one_of_its_words() {
        let choices = [("durable", Wait::Durable)];
        let wait = |query| write(query, &choices, Wait::Searchable, false).map(|write| write.wait);
        assert_eq!(wait("wait=durable"), Ok(Wait::Durable));
        assert_eq!(wait(""), Ok(Wait::Searchable));
        assert!(wait("wait=never").is_err());
        assert!(wait("title=a").is_err(), "only where a file may come");
        let titled = write("title=On%20wings", &choices, Wait::Searchable, true).unwrap();
        assert_eq!(titled.title.as_deref(), Some("On wings"));
        let parsed = write("language=pt-BR", &[], Wait::Searchable, false).unwrap();
        assert_eq!(parsed.language.as_deref(), Some("pt-BR"));
        let wrong = write("language=german", &[], Wait::Searchable, true).unwrap_err();
        assert_eq!(wrong.faults[0].parameter.as_deref(), Some("language"));
    }

    #[test]
    fn a_segment_holds_no_separator() {
        assert_eq!(encode("docs/a b?é.md"), "docs%2Fa%20b%3F%C3%A9.md");
    }

    #[test]
    fn a_path_parameter_at_fault_is_named() {
        assert_eq!(
            collection("Bad Name").unwrap_err().faults[0].parameter.as_deref(),
            Some("collection")
        );
        assert!(document_id("a/b c").is_ok());
        assert!(document_id("..").is_err());
    }
}
