//! What a reader of a document should know of how its text was made: the
//! warnings' catalogue, the sister of the problems' one.

use schemars::JsonSchema;
use serde::Serialize;

use crate::limits;

/// What a client and an operator need to know about one code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "WarningEntry")]
pub struct WarningEntry {
    /// Stable, in snake case.
    pub code: &'static str,
    /// The same for every occurrence.
    pub title: &'static str,
    /// What to do about it.
    pub detail: &'static str,
}

macro_rules! catalogue {
    ($($variant:ident = $code:literal, $title:literal, $detail:literal;)*) => {
        /// The kinds of warning. The code of each is public and stable.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum WarningCode {
            $(#[doc = $title] $variant,)*
        }

        impl WarningCode {
            /// All of them, in the order of the catalogue.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The catalogue's entry.
            pub const fn entry(self) -> WarningEntry {
                match self {
                    $(Self::$variant => WarningEntry { code: $code, title: $title, detail: $detail },)*
                }
            }
        }
    };
}

catalogue! {
    PageWithoutText = "page_without_text", "A page holds no text",
        "If it is a scan, run OCR and send the document again.";
    UnmappedFont = "unmapped_font", "Characters of a font have no known Unicode value and are left out",
        "Make the file anew with fonts that map to Unicode, or run OCR on the page.";
    FontUnreadable = "font_unreadable", "A font cannot be read, so the text set in it is left out",
        "Make the file anew, or run OCR on the page.";
    EncodingGuessed = "encoding_guessed", "The encoding of the text is not declared and has been guessed",
        "Declare it with `charset` in `Content-Type`, or send the text as UTF-8.";
    PartLeftOut = "part_left_out", "A part of the source cannot be read as text and is left out",
        "Open the source where `detail` points. If the part holds text, save the source anew and send it again.";
    CommentsLeftOut = "comments_left_out", "Comments of reviewers are left out",
        "Move what should be found into the text.";
    BoilerplateLeftOut = "boilerplate_left_out", "Navigation, header, footer or the like of a page is left out",
        "If it belongs to the text, send the page with `?boilerplate=keep`.";
    HiddenLeftOut = "hidden_left_out", "A sheet, a slide or rows that the author hid are left out",
        "If they should be found, show them in the source and send it again.";
    AttachmentLeftOut = "attachment_left_out", "An attachment cannot be read and is left out",
        "Send it by itself to learn why.";
    MetadataLeftOut = "metadata_left_out", "Metadata that the source holds is too large or not valid and is left out",
        "Correct it in the source, or send `metadata` with the document.";
}

impl WarningCode {
    /// The stable name, in lower case with underscores.
    pub const fn code(self) -> &'static str {
        self.entry().code
    }

    /// The code of this name.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|known| known.code() == code)
    }

    /// The names of all of them.
    pub fn names() -> Vec<&'static str> {
        Self::ALL.iter().map(|known| known.code()).collect()
    }
}

/// Something that a reader of a document should know of how its text was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What kind it is.
    pub code: WarningCode,
    /// The page it is about, from 1, where the source has pages.
    pub page: Option<u32>,
    /// What it is about, for people. It quotes no text of the document but names
    /// that it gives to its parts.
    pub detail: String,
}

impl Warning {
    /// A warning about the whole document.
    pub(super) fn new(code: WarningCode, detail: impl Into<String>) -> Self {
        Self { code, page: None, detail: detail.into() }
    }
}

/// The warnings of one document, each once and in the order of the source. Those
/// beyond [`limits::MAX_WARNINGS`] are counted, and the last one says how many.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Warnings {
    kept: Vec<Warning>,
    more: usize,
}

impl Warnings {
    /// Adds one. A detail that is too long, as it names what a file names at
    /// length, is cut.
    pub(super) fn add(&mut self, mut warning: Warning) {
        clip(&mut warning.detail, limits::MAX_WARNING_BYTES);
        if self.kept.contains(&warning) {
            return;
        }
        match self.kept.len() < limits::MAX_WARNINGS {
            true => self.kept.push(warning),
            false => self.more = self.more.saturating_add(1),
        }
    }

    /// Those that are kept.
    pub(super) fn finish(mut self) -> Vec<Warning> {
        if let Some(last) = self.kept.last_mut().filter(|_| self.more > 0) {
            let rest = format!(" ({} more warnings)", self.more);
            clip(&mut last.detail, limits::MAX_WARNING_BYTES - rest.len());
            last.detail.push_str(&rest);
        }
        self.kept
    }
}

fn clip(text: &mut String, most: usize) {
    const MARK: char = '…';
    if text.len() > most {
        text.truncate(text.floor_char_boundary(most - MARK.len_utf8()));
        text.push(MARK);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn every_code_is_found_by_its_name_alone() {
        for code in WarningCode::ALL {
            assert_eq!(WarningCode::parse(code.code()), Some(*code));
        }
        assert_eq!(WarningCode::parse("Part_left_out"), None);
        assert!(WarningCode::ALL.is_sorted());
    }

    #[test]
    fn warnings_are_told_once_and_those_beyond_the_most_are_counted() {
        let mut warnings = Warnings::default();
        for number in 0..limits::MAX_WARNINGS + 5 {
            let warning = Warning::new(WarningCode::PartLeftOut, format!("part {number}"));
            warnings.add(warning.clone());
            warnings.add(warning);
        }
        let kept = warnings.finish();
        assert_eq!(kept.len(), limits::MAX_WARNINGS);
        // Those beyond are not kept, so the second telling of each counts too.
        assert!(kept.last().unwrap().detail.ends_with(" (10 more warnings)"), "{kept:?}");
    }

    #[test]
    fn a_detail_is_no_longer_than_the_host_keeps() {
        let mut warnings = Warnings::default();
        for number in 0..limits::MAX_WARNINGS + 1 {
            let name = "ä".repeat(limits::MAX_WARNING_BYTES);
            warnings.add(Warning::new(WarningCode::HiddenLeftOut, format!("{number} {name}")));
        }
        let kept = warnings.finish();
        assert!(kept.iter().all(|one| one.detail.len() <= limits::MAX_WARNING_BYTES));
        assert!(kept.last().unwrap().detail.ends_with("… (1 more warnings)"));
    }
}
