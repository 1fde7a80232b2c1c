//! From what was sent to the plain text that is stored, with its structure.
//! Every span of a result, a chunk or a citation points into this text.

mod builder;
mod docx;
mod html;
mod markdown;
mod outline;
mod pdf;
mod plain;
mod warning;

use std::fmt;
use std::ops::Range;

use crate::limits;
pub use warning::{Warning, WarningCode};

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `text/plain`
    Plain,
    /// `text/markdown`
    Markdown,
    /// `text/html`
    Html,
    /// `application/pdf`
    Pdf,
    /// Word's format since 2007.
    Docx,
}

/// The name of [`MediaType::Pdf`].
pub(crate) const PDF: &str = "application/pdf";
/// The name of [`MediaType::Docx`].
pub(crate) const DOCX: &str =
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document";

impl MediaType {
    /// What a text in a JSON body may be.
    pub const WORDS: &[(&str, Self)] = &[
        ("text/plain", Self::Plain),
        ("text/markdown", Self::Markdown),
        ("text/html", Self::Html),
    ];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "text/plain",
            Self::Markdown => "text/markdown",
            Self::Html => "text/html",
            Self::Pdf => PDF,
            Self::Docx => DOCX,
        }
    }

    /// The type of this name, which has no parameters and may be in any case.
    pub fn of(name: &[u8]) -> Option<Self> {
        let all = [Self::Plain, Self::Markdown, Self::Html, Self::Pdf, Self::Docx];
        all.into_iter().find(|one| one.name().as_bytes().eq_ignore_ascii_case(name))
    }

    /// Whether its bytes are not the text itself.
    pub fn is_packed(self) -> bool {
        matches!(self, Self::Pdf | Self::Docx)
    }

    /// The type of a file of this name.
    pub fn of_file(name: &str) -> Option<Self> {
        match name.rsplit_once('.')?.1.to_ascii_lowercase().as_str() {
            "txt" | "text" => Some(Self::Plain),
            "md" | "markdown" => Some(Self::Markdown),
            "html" | "htm" => Some(Self::Html),
            "pdf" => Some(Self::Pdf),
            "docx" => Some(Self::Docx),
            _ => None,
        }
    }
}

/// What a block of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A heading, 1 the outermost.
    Heading(u8),
    /// Running text.
    Paragraph,
    /// Lines that must stay as they are.
    Code,
    /// One item of a list.
    ListItem,
    /// A table, one row a line.
    Table,
}

/// A block of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// What it is.
    pub kind: Kind,
    /// Its bytes; never empty.
    pub range: Range<usize>,
}

/// A plain text and its structure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Extracted {
    /// The title that the source names.
    pub title: Option<String>,
    /// The text.
    pub text: String,
    /// Its blocks, in order and apart. Between them is white space only.
    pub blocks: Vec<Block>,
    /// The byte at which each page begins, where the source has pages.
    pub pages: Vec<usize>,
    /// What was left out or guessed, at most [`limits::MAX_WARNINGS`].
    pub warnings: Vec<Warning>,
}

impl Extracted {
    /// The page, from 1, that a byte of the text is on.
    pub fn page_at(&self, byte: usize) -> Option<u32> {
        u32::try_from(self.pages.partition_point(|start| *start <= byte))
            .ok()
            .filter(|page| *page > 0)
    }
}

/// Why no text can be made of a source. Fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not of its media type, or not whole.
    Damaged(&'static str),
    /// It wants a password.
    Encrypted,
    /// It has more pages than [`limits::MAX_PAGES`].
    TooManyPages,
    /// It unpacks to more than a text may have.
    TooLong,
    /// It goes beyond a bound on what reading it may cost.
    Exceeds {
        /// The bound.
        most: usize,
        /// What is bounded, in the plural.
        what: &'static str,
    },
    /// It should be text, and is not UTF-8.
    NotUtf8,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged(format) => write!(formatter, "cannot be read as a {format} file"),
            Self::Encrypted => formatter.write_str("is encrypted; remove the password first"),
            Self::TooManyPages => {
                write!(formatter, "has more than {} pages; split it", limits::MAX_PAGES)
            }
            Self::TooLong => write!(
                formatter,
                "unpacks to more than {} bytes of text; split it",
                limits::MAX_TEXT_BYTES
            ),
            Self::Exceeds { most, what } => {
                write!(formatter, "has more than {most} {what}; split or simplify it")
            }
            Self::NotUtf8 => formatter.write_str("must be UTF-8"),
        }
    }
}

/// Makes plain text of a source. Deterministic. A text that breaks the rules of
/// its media type gives what can be read of it.
///
/// # Errors
///
/// A file that cannot be read at all, and why.
pub fn extract(source: &[u8], media_type: MediaType) -> Result<Extracted, Unreadable> {
    let text = || std::str::from_utf8(source).map_err(|_| Unreadable::NotUtf8);
    match media_type {
        MediaType::Plain => Ok(plain::extract(text()?)),
        MediaType::Markdown => Ok(markdown::extract(text()?)),
        MediaType::Html => Ok(html::extract(text()?)),
        MediaType::Pdf => pdf::extract(source),
        MediaType::Docx => docx::extract(source),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::{extract as extract_bytes, *};
    use proptest::prelude::*;

    fn extract(source: &str, media_type: MediaType) -> Extracted {
        extract_bytes(source.as_bytes(), media_type).unwrap()
    }

    fn check(source: &str, media_type: MediaType) -> Result<(), TestCaseError> {
        let extracted = extract(source, media_type);
        prop_assert_eq!(&extracted, &extract(source, media_type));
        let mut end = 0;
        for block in &extracted.blocks {
            prop_assert!(end <= block.range.start && !block.range.is_empty());
            prop_assert!(extracted.text[end..block.range.start].trim().is_empty());
            prop_assert!(!extracted.text[block.range.clone()].trim().is_empty());
            end = block.range.end;
        }
        prop_assert!(extracted.text[end..].trim().is_empty());
        let banned = extracted.text.contains(['\0', '\r', '\u{feff}']);
        prop_assert!(!banned);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn blocks_cover_all_text_of_any_source(source in "([a-z .]{0,8}|[<>/=\"'&;#`*_|\\-\\[\\]()!\n\r\t\u{feff}\0]|<p>|<li>|<table>|<pre>|</p>|# |- |é|日){0,40}") {
            check(&source, MediaType::Plain)?;
            check(&source, MediaType::Markdown)?;
            check(&source, MediaType::Html)?;
        }
    }

    #[test]
    fn plain_text_stays_as_it_is_but_for_line_ends_and_control_characters() {
        let extracted = extract("\u{feff}One\r\ntwo\0\u{7}\n\nthree\tfour", MediaType::Plain);
        assert_eq!(extracted.text, "One\ntwo\n\nthree\tfour");
        assert_eq!(extracted.blocks.len(), 2);
        assert_eq!(extracted.title, None);
    }

    #[test]
    fn markdown_keeps_headings_code_lists_and_tables() {
        let source = "# Guide\n\nSee [the *docs*](http://x).\n\n## Use\n\n- one\n- two\n\n```rust\nfn a() {\n  b();\n}\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";
        let extracted = extract(source, MediaType::Markdown);
        assert_eq!(extracted.title.as_deref(), Some("Guide"));
        let blocks: Vec<_> = extracted
            .blocks
            .iter()
            .map(|block| (block.kind, &extracted.text[block.range.clone()]))
            .collect();
        assert_eq!(
            blocks,
            [
                (Kind::Heading(1), "Guide"),
                (Kind::Paragraph, "See the docs."),
                (Kind::Heading(2), "Use"),
                (Kind::ListItem, "- one"),
                (Kind::ListItem, "- two"),
                (Kind::Code, "fn a() {\n  b();\n}"),
                (Kind::Table, "a | b\n1 | 2"),
            ]
        );
    }

    #[test]
    fn html_gives_what_a_reader_sees() {
        let source = "<!doctype html><html><head><title>A &amp; B</title><style>p{}</style></head><body><nav>Menu</nav>\
            <h1>Top</h1><p>One <b>two</b>\n three&nbsp;&lt;4&gt;<br>five</p><script>alert('x</p>')</script>\
            <ul><li>x<li>y</ul><pre>a\n  b</pre><table><tr><td>1<td>2</tr></table><p hidden>no</p></body>";
        let extracted = extract(source, MediaType::Html);
        assert_eq!(extracted.title.as_deref(), Some("A & B"));
        let blocks: Vec<_> = extracted
            .blocks
            .iter()
            .map(|block| (block.kind, &extracted.text[block.range.clone()]))
            .collect();
        assert_eq!(
            blocks,
            [
                (Kind::Heading(1), "Top"),
                (Kind::Paragraph, "One two three <4>\nfive"),
                (Kind::ListItem, "- x"),
                (Kind::ListItem, "- y"),
                (Kind::Code, "a\n  b"),
                (Kind::Table, "1 | 2"),
            ]
        );
    }
}
