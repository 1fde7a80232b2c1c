//! From what was sent to the plain text that is stored, with its structure.
//! Every span of a result, a chunk or a citation points into this text.

mod builder;
mod docx;
mod drawing;
mod eml;
mod encoding;
mod epub;
mod front_matter;
mod html;
mod markdown;
mod math;
mod media_type;
mod odf;
mod outline;
mod package;
mod pdf;
mod plain;
mod pptx;
mod rtf;
mod sheet;
mod sniff;
mod table;
mod values;
mod warning;
mod xml;

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::limits;
pub use warning::{Warning, WarningCode, WarningEntry};

pub use eml::{Attachment, attachments};
pub use media_type::MediaType;
pub(crate) use table::delimiter_of;

/// What is known of a source beside its bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hints {
    /// The charset that came with it, for example in `Content-Type`.
    pub charset: Option<String>,
    /// Whether navigation, headers and footers of a page are text too.
    pub keep_boilerplate: bool,
    /// Whether the attachments of a message come as documents of their own.
    pub attachments_apart: bool,
    /// Messages that this one came in.
    pub nesting: usize,
}

/// What a block of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockKind {
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
    pub kind: BlockKind,
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
    /// What the source says of itself, as members of the document's metadata.
    pub metadata: Map<String, Value>,
    /// What was left out or guessed, at most [`limits::MAX_WARNINGS`] and one on
    /// the encoding of the whole.
    pub warnings: Vec<Warning>,
}

impl Extracted {
    /// The page, from 1, that a byte of the text is on.
    pub fn page_at(&self, byte: usize) -> Option<u32> {
        u32::try_from(self.pages.partition_point(|start| *start <= byte))
            .ok()
            .filter(|page| *page > 0)
    }

    /// Why the source cannot be taken if nothing of it is text: what was left
    /// out, where anything was. Fit for the client.
    pub fn without_text(&self) -> String {
        let mut left_out =
            self.warnings.iter().filter(|warning| warning.code != WarningCode::PageWithoutText);
        let Some(first) = left_out.next() else { return NO_TEXT.to_owned() };
        let more = match left_out.count() {
            0 => String::new(),
            more => format!(" ({more} more)"),
        };
        let detail = first.detail.trim_end_matches('.');
        format!("holds no text that can be read: {detail}{more}")
    }
}

const NO_TEXT: &str = "holds no text once markup is taken away; a scan has to be read by OCR first";

/// Why no text can be made of a source. Fit for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreadable {
    /// It is not of its media type, or not whole.
    Damaged(&'static str),
    /// It wants a password.
    Encrypted,
    /// It has more pages than [`limits::MAX_PAGES`].
    TooManyPages,
    /// Its text is longer than [`limits::MAX_TEXT_BYTES`].
    TooLong,
    /// It unpacks to more than [`limits::MAX_UNPACKED_BYTES`].
    Unpacked,
    /// It has more of something than there may be.
    Bound {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
    /// It should be text, and cannot be decoded as what it was declared or
    /// guessed to be.
    Encoding(&'static str),
    /// It is of a kind that cannot be read.
    Foreign(&'static str),
    /// It is of no kind that is known.
    UnknownKind,
}

impl Unreadable {
    /// More than `most` of something.
    fn bound(what: &'static str, most: usize) -> Self {
        Self::Bound { what, most }
    }
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
                "has more than {} bytes of text; split it",
                limits::MAX_TEXT_BYTES
            ),
            Self::Unpacked => write!(
                formatter,
                "unpacks to more than {} bytes; split it",
                limits::MAX_UNPACKED_BYTES
            ),
            Self::Bound { what, most } => {
                write!(formatter, "has more than {most} {what}; split it")
            }
            Self::Encoding(guess) => write!(
                formatter,
                "cannot be decoded as {guess}; send it as UTF-8, or name its charset in Content-Type"
            ),
            Self::Foreign(what) => write!(formatter, "is {what}"),
            Self::UnknownKind => {
                write!(formatter, "is of no kind that can be read; {}", MediaType::KINDS)
            }
        }
    }
}

/// What a file is: by its content first, then by what it was declared as.
///
/// # Errors
///
/// It is of a kind that cannot be read, or of none that is known.
pub fn detect(source: &[u8], declared: Option<MediaType>) -> Result<MediaType, Unreadable> {
    sniff::detect(source, declared)
}

/// The characters of a text, by its charset, its own word or a guess.
///
/// # Errors
///
/// It cannot be decoded.
pub(crate) fn decoded<'s>(
    source: &'s [u8],
    charset: Option<&str>,
    media_type: MediaType,
) -> Result<Cow<'s, str>, Unreadable> {
    encoding::decode(source, charset, media_type).map(|decoded| decoded.text)
}

/// Like [`extract_with`], of which nothing more is known.
///
/// # Errors
///
/// A file that cannot be read at all, and why.
pub fn extract(source: &[u8], media_type: MediaType) -> Result<Extracted, Unreadable> {
    extract_with(source, media_type, &Hints::default())
}

/// Makes plain text of a source. Deterministic. A text that breaks the rules of
/// its media type gives what can be read of it.
///
/// # Errors
///
/// A file that cannot be read at all, and why.
pub fn extract_with(
    source: &[u8],
    media_type: MediaType,
    hints: &Hints,
) -> Result<Extracted, Unreadable> {
    let extracted = match media_type {
        MediaType::Pdf => pdf::extract(source),
        MediaType::Docx => docx::extract(source),
        MediaType::Pptx => pptx::extract(source),
        MediaType::Xlsx | MediaType::Xlsb | MediaType::Xls => sheet::extract(source, media_type),
        MediaType::Odt | MediaType::Ods | MediaType::Odp => odf::extract(source, media_type),
        MediaType::Epub => epub::extract(source),
        MediaType::Rtf => rtf::extract(source),
        MediaType::Eml => eml::extract(source, hints),
        _ => text(source, media_type, hints),
    }?;
    if extracted.text.len() > limits::MAX_TEXT_BYTES {
        return Err(Unreadable::TooLong);
    }
    Ok(extracted)
}

/// The text of what is text already, once it is decoded.
fn text(source: &[u8], media_type: MediaType, hints: &Hints) -> Result<Extracted, Unreadable> {
    let decoded = encoding::decode(source, hints.charset.as_deref(), media_type)?;
    let mut extracted = match media_type {
        MediaType::Markdown => markdown::extract(&decoded.text)?,
        MediaType::Html => html::extract(&decoded.text, hints.keep_boilerplate)?,
        MediaType::Csv => table::extract(&decoded.text, None),
        MediaType::Tsv => table::extract(&decoded.text, Some(b'\t')),
        MediaType::Json => values::extract(&decoded.text)?,
        _ => plain::extract(&decoded.text),
    };
    extracted.warnings.splice(0..0, decoded.warning);
    Ok(extracted)
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
                (BlockKind::Heading(1), "Guide"),
                (BlockKind::Paragraph, "See the docs."),
                (BlockKind::Heading(2), "Use"),
                (BlockKind::ListItem, "- one"),
                (BlockKind::ListItem, "- two"),
                (BlockKind::Code, "fn a() {\n  b();\n}"),
                (BlockKind::Table, "a | b\n1 | 2"),
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
                (BlockKind::Heading(1), "Top"),
                (BlockKind::Paragraph, "One two three <4>\nfive"),
                (BlockKind::ListItem, "- x"),
                (BlockKind::ListItem, "- y"),
                (BlockKind::Code, "a\n  b"),
                (BlockKind::Table, "1 | 2"),
            ]
        );
    }
}
