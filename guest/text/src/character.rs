//! What is so of a character by itself, from the tables of Unicode and ours;
//! [`crate::class`] remembers it.

use unicode_script::{Script, UnicodeScript};

/// The script of a character; ASCII needs no look at the tables.
pub(crate) fn script(character: char) -> Script {
    match character {
        'a'..='z' | 'A'..='Z' => Script::Latin,
        '\0'..='\u{7f}' => Script::Common,
        // Marks that lengthen or repeat kana are shared by two scripts.
        '\u{30fc}' | '\u{ff70}' => Script::Katakana,
        _ => character.script(),
    }
}

/// Characters that are not seen: soft hyphens, joiners, marks of direction,
/// variation selectors (Default_Ignorable_Code_Point of Unicode 16).
pub(crate) fn is_ignorable(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether the compatible form has a character that NFKC does.
pub(crate) fn is_kept(character: char) -> bool {
    !is_ignorable(character) && character != TATWEEL && ascii_digit(character) == character
}

/// A stretch of a letter that writes nothing.
pub(crate) const TATWEEL: char = '\u{640}';

/// Whether a character is its own lower case.
pub(crate) fn is_lower(character: char) -> bool {
    character.to_lowercase().eq([character])
        && !matches!(character, '\u{df}' | '\u{3c2}' | '\u{307}')
}

/// Whether a letter without marks is written as it is.
pub(crate) fn is_plain(character: char) -> bool {
    let mut plain = String::new();
    push_plain(&mut plain, character);
    plain.chars().eq([character])
}

/// Writes a letter without marks as it is compared.
pub(crate) fn push_plain(folded: &mut String, character: char) {
    match character {
        '\u{142}' => folded.push('l'),
        '\u{f8}' => folded.push('o'),
        '\u{111}' | '\u{f0}' => folded.push('d'),
        '\u{e6}' => folded.push_str("ae"),
        '\u{153}' => folded.push_str("oe"),
        '\u{131}' => folded.push('i'),
        '\u{fe}' => folded.push_str("th"),
        // Persian and Urdu letters that Arabic keyboards do not have.
        '\u{6cc}' | '\u{649}' => folded.push('\u{64a}'),
        '\u{6a9}' => folded.push('\u{643}'),
        '\u{6c1}' | '\u{6be}' => folded.push('\u{647}'),
        other => folded.push(other),
    }
}

/// Zero of each script whose decimal digits stand for those of ASCII.
const ZEROS: [u32; 17] = [
    0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xb66, 0xbe6, 0xc66, 0xce6, 0xd66, 0xe50,
    0xed0, 0x1040, 0x17e0, 0x1810,
];

/// The digit of ASCII that a decimal digit stands for; any other character is itself.
pub(crate) fn ascii_digit(character: char) -> char {
    let code = u32::from(character);
    if code < 0x660 {
        return character;
    }
    let value = ZEROS.iter().filter_map(|zero| code.checked_sub(*zero)).find(|value| *value < 10);
    value.and_then(|value| char::from_digit(value, 10)).unwrap_or(character)
}
