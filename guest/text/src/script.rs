//! Which rules a character's script asks for.

use unicode_script::Script;

use crate::class::Class;

/// How the words of a script are found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ScriptKind {
    /// Han and kana: no spaces, pairs of characters.
    Cjk,
    /// Thai, Lao, Khmer, Myanmar, by the number of the script: no spaces, pairs of
    /// clusters.
    SouthEastAsian(u8),
    /// Hangul: spaces, and endings that pairs of syllables see past.
    Hangul,
    /// Letters and digits of a script with spaces.
    Spaced,
}

/// Whether a character is of a script.
pub(crate) fn is(character: char, script: Script) -> bool {
    Class::of(character).script() == script as u8
}

const CJK: [u8; 5] = [
    Script::Han as u8,
    Script::Hiragana as u8,
    Script::Katakana as u8,
    Script::Bopomofo as u8,
    Script::Yi as u8,
];

const SOUTH_EAST_ASIAN: [u8; 10] = [
    Script::Thai as u8,
    Script::Lao as u8,
    Script::Khmer as u8,
    Script::Myanmar as u8,
    Script::Javanese as u8,
    Script::Balinese as u8,
    Script::Tai_Le as u8,
    Script::New_Tai_Lue as u8,
    Script::Tai_Tham as u8,
    Script::Tai_Viet as u8,
];

/// How words are found in the script of a character.
pub(crate) fn kind(class: Class) -> ScriptKind {
    let script = class.script();
    if script == Script::Latin as u8 || script == Script::Common as u8 {
        ScriptKind::Spaced
    } else if CJK.contains(&script) {
        ScriptKind::Cjk
    } else if SOUTH_EAST_ASIAN.contains(&script) {
        ScriptKind::SouthEastAsian(script)
    } else if script == Script::Hangul as u8 {
        ScriptKind::Hangul
    } else {
        ScriptKind::Spaced
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
