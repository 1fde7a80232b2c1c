//! Languages by their codes, and what is known of each.

use frostem::{Algorithm, Stemmer};

/// A language, as the primary subtag of its BCP 47 tag: two or three letters of
/// ISO 639, lower case. Any code may be named; those with a stemmer are stemmed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Language {
    bytes: [u8; 3],
}

impl Language {
    /// English.
    pub const ENGLISH: Self = Self { bytes: *b"en\0" };

    /// The language of a tag such as `de`, `pt-BR` or `zh-Hant`; none where the
    /// primary subtag is not of two or three ASCII letters.
    pub fn parse(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        let letters = primary.bytes().all(|byte| byte.is_ascii_alphabetic());
        if !letters || !(2..=3).contains(&primary.len()) {
            return None;
        }
        let mut bytes = [0; 3];
        for (to, from) in bytes.iter_mut().zip(primary.bytes()) {
            *to = from.to_ascii_lowercase();
        }
        // Norwegian is written Bokmål unless it says otherwise.
        Some(if &bytes == b"nb\0" { Self { bytes: *b"no\0" } } else { Self { bytes } })
    }

    /// Whether its words are distinguished by marks, as those of Vietnamese are by tone.
    pub(crate) fn keeps_marks(self) -> bool {
        self.code() == "vi"
    }

    /// Its code, two or three lower-case letters.
    pub fn code(&self) -> &str {
        let bytes = self.bytes.strip_suffix(b"\0").unwrap_or(&self.bytes);
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    /// The stemmer for words in its own script, if there is one.
    pub(crate) fn stemmer(&self) -> Option<Stemmer> {
        let algorithm = match self.code() {
            "ar" => Algorithm::Arabic,
            "hy" => Algorithm::Armenian,
            "eu" => Algorithm::Basque,
            "ca" => Algorithm::Catalan,
            "cs" => Algorithm::Czech,
            "da" => Algorithm::Danish,
            "nl" => Algorithm::Dutch,
            "en" => Algorithm::English,
            "et" => Algorithm::Estonian,
            "fi" => Algorithm::Finnish,
            "fr" => Algorithm::French,
            "de" => Algorithm::German,
            "el" => Algorithm::Greek,
            "hi" => Algorithm::Hindi,
            "hu" => Algorithm::Hungarian,
            "id" | "ms" => Algorithm::Indonesian,
            "ga" => Algorithm::Irish,
            "it" => Algorithm::Italian,
            "lt" => Algorithm::Lithuanian,
            "ne" => Algorithm::Nepali,
            "no" | "nn" => Algorithm::Norwegian,
            "fa" => Algorithm::Persian,
            "pl" => Algorithm::Polish,
            "pt" => Algorithm::Portuguese,
            "ro" => Algorithm::Romanian,
            "ru" => Algorithm::Russian,
            "sr" => Algorithm::Serbian,
            "es" => Algorithm::Spanish,
            "sv" => Algorithm::Swedish,
            "ta" => Algorithm::Tamil,
            "tr" => Algorithm::Turkish,
            "uk" => Algorithm::Ukrainian,
            _ => return None,
        };
        Some(Stemmer::new(algorithm))
    }
}

impl std::fmt::Debug for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_read_by_its_primary_subtag() {
        for (tag, code) in [
            ("de", "de"),
            ("pt-BR", "pt"),
            ("zh_Hant", "zh"),
            ("EN", "en"),
            ("nb", "no"),
            ("fil", "fil"),
        ] {
            assert_eq!(
                Language::parse(tag).map(|one| one.code().to_owned()).as_deref(),
                Some(code)
            );
        }
        for wrong in ["", "x", "german", "d1", "-de", "日本"] {
            assert_eq!(Language::parse(wrong), None, "{wrong}");
        }
    }
}
