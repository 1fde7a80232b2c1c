//! Which rules a character's script asks for.

use unicode_script::{Script, UnicodeScript};

/// How the words of a script are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Han and kana: no spaces, pairs of characters.
    Cjk,
    /// Thai, Lao, Khmer, Myanmar: no spaces, pairs of clusters.
    SouthEastAsian(Script),
    /// Hangul: spaces, and endings that pairs of syllables see past.
    Hangul,
    /// Letters and digits of a script with spaces.
    Spaced,
}

/// The script of a character; ASCII is told without a look at the tables.
pub(crate) fn of(character: char) -> Script {
    match character {
        'a'..='z' | 'A'..='Z' => Script::Latin,
        '\0'..='\u{7f}' => Script::Common,
        // Marks that lengthen or repeat kana are shared by two scripts.
        '\u{30fc}' | '\u{ff70}' => Script::Katakana,
        _ => character.script(),
    }
}

pub(crate) fn kind(character: char) -> Kind {
    match of(character) {
        Script::Han | Script::Hiragana | Script::Katakana | Script::Bopomofo | Script::Yi => {
            Kind::Cjk
        }
        script @ (Script::Thai
        | Script::Lao
        | Script::Khmer
        | Script::Myanmar
        | Script::Javanese
        | Script::Balinese
        | Script::Tai_Le
        | Script::New_Tai_Lue
        | Script::Tai_Tham
        | Script::Tai_Viet) => Kind::SouthEastAsian(script),
        Script::Hangul => Kind::Hangul,
        _ => Kind::Spaced,
    }
}

/// The script that a language's words are stemmed in.
pub(crate) fn of_language(code: &str) -> Script {
    match code {
        "ru" | "uk" | "bg" | "sr" | "be" | "mk" => Script::Cyrillic,
        "ar" | "fa" | "ur" | "ps" | "ku" => Script::Arabic,
        "hi" | "mr" | "ne" | "sa" => Script::Devanagari,
        "el" => Script::Greek,
        "he" | "yi" => Script::Hebrew,
        "hy" => Script::Armenian,
        "ta" => Script::Tamil,
        "ka" => Script::Georgian,
        "bn" | "as" => Script::Bengali,
        "gu" => Script::Gujarati,
        "pa" => Script::Gurmukhi,
        "te" => Script::Telugu,
        "kn" => Script::Kannada,
        "ml" => Script::Malayalam,
        "si" => Script::Sinhala,
        "am" | "ti" => Script::Ethiopic,
        "th" => Script::Thai,
        "lo" => Script::Lao,
        "km" => Script::Khmer,
        "my" => Script::Myanmar,
        "zh" | "ja" | "yue" => Script::Han,
        "ko" => Script::Hangul,
        _ => Script::Latin,
    }
}
