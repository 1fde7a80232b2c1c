//! What a source may be.

/// What a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MediaType {
    /// `text/plain`
    Plain,
    /// `text/markdown`
    Markdown,
    /// `text/html`, and XHTML.
    Html,
    /// `text/csv`
    Csv,
    /// `text/tab-separated-values`
    Tsv,
    /// JSON, or a JSON value a line.
    Json,
    /// `application/pdf`
    Pdf,
    /// Word's format since 2007.
    Docx,
    /// PowerPoint's format since 2007.
    Pptx,
    /// Excel's format since 2007.
    Xlsx,
    /// Excel's binary format since 2007.
    Xlsb,
    /// Excel's format until 2003.
    Xls,
    /// A text of the OpenDocument format.
    Odt,
    /// A workbook of the OpenDocument format.
    Ods,
    /// Slides of the OpenDocument format.
    Odp,
    /// A book.
    Epub,
    /// Rich Text Format.
    Rtf,
    /// A message (RFC 5322).
    Eml,
}

/// A type, its name, other names it goes by, and how its files' names end.
type Entry = (MediaType, &'static str, &'static [&'static str], &'static [&'static str]);

const TABLE: &[Entry] = &[
    (MediaType::Plain, "text/plain", &[], &["txt", "text", "log"]),
    (MediaType::Markdown, "text/markdown", &["text/x-markdown"], &["md", "markdown"]),
    (MediaType::Html, "text/html", &["application/xhtml+xml"], &["html", "htm", "xhtml"]),
    (MediaType::Csv, "text/csv", &["application/csv"], &["csv"]),
    (MediaType::Tsv, "text/tab-separated-values", &["text/tsv"], &["tsv", "tab"]),
    (
        MediaType::Json,
        "text/json",
        &["application/json", "application/x-ndjson", "application/jsonl"],
        &["json", "ndjson", "jsonl", "geojson"],
    ),
    (MediaType::Pdf, "application/pdf", &["application/x-pdf"], &["pdf"]),
    (
        MediaType::Docx,
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        &[
            "application/vnd.openxmlformats-officedocument.wordprocessingml.template",
            "application/vnd.ms-word.document.macroenabled.12",
            "application/msword",
        ],
        &["docx", "docm", "dotx", "dotm", "doc"],
    ),
    (
        MediaType::Pptx,
        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        &[
            "application/vnd.openxmlformats-officedocument.presentationml.slideshow",
            "application/vnd.openxmlformats-officedocument.presentationml.template",
            "application/vnd.ms-powerpoint.presentation.macroenabled.12",
            "application/vnd.ms-powerpoint",
        ],
        &["pptx", "pptm", "ppsx", "potx", "ppt"],
    ),
    (
        MediaType::Xlsx,
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        &[
            "application/vnd.openxmlformats-officedocument.spreadsheetml.template",
            "application/vnd.ms-excel.sheet.macroenabled.12",
        ],
        &["xlsx", "xlsm", "xltx"],
    ),
    (MediaType::Xlsb, "application/vnd.ms-excel.sheet.binary.macroenabled.12", &[], &["xlsb"]),
    (MediaType::Xls, "application/vnd.ms-excel", &["application/msexcel"], &["xls"]),
    (MediaType::Odt, "application/vnd.oasis.opendocument.text", &[], &["odt", "ott"]),
    (MediaType::Ods, "application/vnd.oasis.opendocument.spreadsheet", &[], &["ods", "ots"]),
    (MediaType::Odp, "application/vnd.oasis.opendocument.presentation", &[], &["odp", "otp"]),
    (MediaType::Epub, "application/epub+zip", &[], &["epub"]),
    (MediaType::Rtf, "application/rtf", &["text/rtf"], &["rtf"]),
    (MediaType::Eml, "message/rfc822", &[], &["eml", "mht", "mhtml"]),
];

impl MediaType {
    /// What a text in a JSON body may be.
    pub const WORDS: &[(&str, Self)] = &[
        ("text/plain", Self::Plain),
        ("text/markdown", Self::Markdown),
        ("text/html", Self::Html),
    ];

    /// The kinds that can be read, for people.
    pub const KINDS: &str = "send text, Markdown, HTML, CSV, TSV, JSON, PDF, DOCX, PPTX, XLSX, \
        XLSB, XLS, ODT, ODS, ODP, EPUB, RTF or EML";

    /// Every type.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().map(|(one, ..)| *one)
    }

    /// The word for it.
    pub fn name(self) -> &'static str {
        TABLE.iter().find(|(one, ..)| *one == self).map_or("text/plain", |(_, name, ..)| name)
    }

    /// The type of this name, which has no parameters and may be in any case.
    pub fn of(name: &[u8]) -> Option<Self> {
        let is = |known: &&str| known.as_bytes().eq_ignore_ascii_case(name);
        let found = TABLE.iter().find(|(_, main, others, _)| is(main) || others.iter().any(&is));
        let json = || name.len() > 5 && name.to_ascii_lowercase().ends_with(b"+json");
        found.map(|(one, ..)| *one).or_else(|| json().then_some(Self::Json))
    }

    /// Whether its bytes are not the text itself.
    pub fn is_packed(self) -> bool {
        !matches!(
            self,
            Self::Plain | Self::Markdown | Self::Html | Self::Csv | Self::Tsv | Self::Json
        )
    }

    /// How the names of its files end, in lower case.
    pub fn ends(self) -> &'static [&'static str] {
        TABLE.iter().find(|(one, ..)| *one == self).map_or(&[], |(.., ends)| ends)
    }

    /// The type of a file of this name.
    pub fn of_file(name: &str) -> Option<Self> {
        let end = name.rsplit_once('.')?.1.to_ascii_lowercase();
        let found = TABLE.iter().find(|(.., ends)| ends.contains(&end.as_str()));
        found.map(|(one, ..)| *one)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_and_every_end_stands_for_one_type() {
        for one in MediaType::all() {
            assert_eq!(MediaType::of(one.name().to_uppercase().as_bytes()), Some(one));
        }
        let mut ends: Vec<_> = TABLE.iter().flat_map(|(.., ends)| ends.iter()).collect();
        let all = ends.len();
        ends.sort_unstable();
        ends.dedup();
        assert_eq!(ends.len(), all);
        assert_eq!(MediaType::of_file("A.B.DOCX"), Some(MediaType::Docx));
        assert_eq!(MediaType::of(b"application/ld+json"), Some(MediaType::Json));
    }
}
