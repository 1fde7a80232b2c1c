//! What a reader of a document should know of how its text was made.

/// The kinds of warning. The code of each is public and stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WarningCode {
    /// A page holds no text; an image of text counts as none.
    PageWithoutText,
    /// Characters of a font have no known Unicode value and are left out.
    UnmappedFont,
    /// A font cannot be read, so its text is left out.
    FontUnreadable,
    /// The encoding of the text was not declared and has been guessed.
    EncodingGuessed,
    /// A part of the source cannot be read or is not text, and is left out.
    PartLeftOut,
    /// Comments of reviewers are left out.
    CommentsLeftOut,
    /// Navigation, header, footer or the like of a page is left out.
    BoilerplateLeftOut,
    /// A sheet, a slide or a row that its author hid is left out.
    HiddenLeftOut,
    /// An attachment is left out.
    AttachmentLeftOut,
    /// Metadata that the source holds is left out.
    MetadataLeftOut,
}

impl WarningCode {
    /// All of them, in the order of the catalogue.
    pub const ALL: &[Self] = &[
        Self::PageWithoutText,
        Self::UnmappedFont,
        Self::FontUnreadable,
        Self::EncodingGuessed,
        Self::PartLeftOut,
        Self::CommentsLeftOut,
        Self::BoilerplateLeftOut,
        Self::HiddenLeftOut,
        Self::AttachmentLeftOut,
        Self::MetadataLeftOut,
    ];

    /// The stable name, in lower case with underscores.
    pub const fn code(self) -> &'static str {
        match self {
            Self::PageWithoutText => "page_without_text",
            Self::UnmappedFont => "unmapped_font",
            Self::FontUnreadable => "font_unreadable",
            Self::EncodingGuessed => "encoding_guessed",
            Self::PartLeftOut => "part_left_out",
            Self::CommentsLeftOut => "comments_left_out",
            Self::BoilerplateLeftOut => "boilerplate_left_out",
            Self::HiddenLeftOut => "hidden_left_out",
            Self::AttachmentLeftOut => "attachment_left_out",
            Self::MetadataLeftOut => "metadata_left_out",
        }
    }

    /// One sentence for people: what happened and what can be done.
    pub const fn title(self) -> &'static str {
        match self {
            Self::PageWithoutText => {
                "A page holds no text. If it is a scan, run OCR and send it again."
            }
            Self::UnmappedFont => {
                "Some characters of a font have no known Unicode value and are left out."
            }
            Self::FontUnreadable => "A font cannot be read, so the text set in it is left out.",
            Self::EncodingGuessed => {
                "The encoding of the text is not declared and has been guessed. Declare it with `charset`."
            }
            Self::PartLeftOut => "A part of the source cannot be read as text and is left out.",
            Self::CommentsLeftOut => "Comments of reviewers are left out.",
            Self::BoilerplateLeftOut => {
                "Navigation, header, footer or the like of a page is left out. Send it with `boilerplate=keep` to have it."
            }
            Self::HiddenLeftOut => "What the author has hidden, such as a sheet, is left out.",
            Self::AttachmentLeftOut => "An attachment cannot be read and is left out.",
            Self::MetadataLeftOut => {
                "Metadata that the source holds is too large or not valid and is left out."
            }
        }
    }
}

/// Something that a reader of a document should know of how its text was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// What kind it is.
    pub code: WarningCode,
    /// The page it is about, from 1, where the source has pages.
    pub page: Option<u32>,
    /// What it is about, for people. It quotes no text of the document.
    pub detail: String,
}

impl Warning {
    /// A warning about the whole document.
    pub(super) fn new(code: WarningCode, detail: impl Into<String>) -> Self {
        Self { code, page: None, detail: detail.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once() {
        let mut codes: Vec<_> = WarningCode::ALL.iter().map(|code| code.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), WarningCode::ALL.len());
        assert!(WarningCode::ALL.is_sorted());
    }
}
