//! Takes the meaning out of what a text might have in common with the prompt
//! around it.

/// Words that open or close something for a model, in angle or square brackets:
/// our own delimiter, the roles and turns of chat templates, and the special
/// tokens of the common vocabularies.
const MARKS: &[&str] = &[
    "source",
    "system",
    "assistant",
    "user",
    "inst",
    "sys",
    "s",
    "bos",
    "eos",
    "pad",
    "unk",
    "startofturn",
    "endofturn",
    "beginoftext",
    "endoftext",
    "imstart",
    "imend",
    "imsep",
    "toolcall",
    "toolresponse",
    "toolresults",
    "availabletools",
    "think",
];

/// Characters of a bracket to look at: the longest mark with some noise.
const MAX_MARK_CHARS: usize = 48;

/// The text with delimiters and model-control marks made harmless: they lose
/// their bracket, however they are cased, spaced, spelt with look-alikes or
/// parted by characters without a width. Other markup stays, as documents about
/// HTML must stay readable.
pub(super) fn neutral(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for (at, char) in text.char_indices() {
        let rest = text.get(at + char.len_utf8()..).unwrap_or_default();
        match bracket(char) {
            Some(Bracket::Angle) if is_mark(rest, true) => out.push('\u{2039}'),
            Some(Bracket::Square) if is_mark(rest, false) => out.push('('),
            _ => out.push(char),
        }
    }
    out
}

#[derive(Clone, Copy, PartialEq)]
enum Bracket {
    Angle,
    Square,
}

/// Whether a character is an opening bracket, or looks like one.
fn bracket(char: char) -> Option<Bracket> {
    match char {
        '<' | '\u{ff1c}' | '\u{fe64}' | '\u{3008}' | '\u{27e8}' | '\u{2329}' | '\u{1438}'
        | '\u{02c2}' | '\u{276e}' | '\u{2770}' | '\u{227a}' => Some(Bracket::Angle),
        '[' | '\u{ff3b}' | '\u{3010}' | '\u{27e6}' => Some(Bracket::Square),
        _ => None,
    }
}

/// Whether what follows a bracket is a mark: its name is one, or it has the bar
/// that special tokens are written with, as in `<|…|>`.
fn is_mark(rest: &str, angle: bool) -> bool {
    let mut name = String::new();
    for char in rest.chars().filter(|char| !is_invisible(*char)).take(MAX_MARK_CHARS) {
        match char {
            '|' | '\u{ff5c}' | '\u{2502}' | '\u{00a6}' if angle && name.is_empty() => return true,
            // Noise before and within a name.
            '<' | '/' | '\\' | '[' | '_' | '-' | '\u{2581}' | '\u{2044}' | '\u{2215}'
            | '\u{ff0f}' => {}
            char if char.is_whitespace() && name.is_empty() => {}
            char => match folded(char) {
                Some(letter) => name.push(letter),
                None => break,
            },
        }
    }
    // Our own name also where more follows: the bracket is what matters.
    name.starts_with("source") || MARKS.contains(&name.as_str())
}

/// Characters that are not seen: format characters, variation selectors, tags.
fn is_invisible(char: char) -> bool {
    matches!(char, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}'
        | '\u{17b5}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}' | '\u{300}'..='\u{36f}')
        || (char.is_control() && !char.is_whitespace())
}

/// The Latin letter that a character is, or looks like (the letters of our marks
/// in Unicode's confusables, UTS 39), in lower case.
fn folded(char: char) -> Option<char> {
    let letter = match char {
        'a'..='z' | 'A'..='Z' => char,
        // Full width.
        '\u{ff21}'..='\u{ff3a}' | '\u{ff41}'..='\u{ff5a}' => {
            char::from_u32(u32::from(char) - 0xff21 + u32::from('A'))?
        }
        // Mathematical alphabets: 26 letters each, upper and lower.
        '\u{1d400}'..='\u{1d6a3}' => {
            char::from_u32((u32::from(char) - 0x1d400) % 26 + u32::from('a'))?
        }
        // Circled.
        '\u{24b6}'..='\u{24e9}' => char::from_u32((u32::from(char) - 0x24b6) % 26 + 97)?,
        '\u{0430}' | '\u{0410}' | '\u{03b1}' | '\u{0391}' => 'a',
        '\u{0441}' | '\u{0421}' | '\u{03f2}' | '\u{2ca5}' => 'c',
        '\u{0435}' | '\u{0415}' | '\u{0395}' | '\u{0451}' => 'e',
        '\u{0456}' | '\u{0406}' | '\u{03b9}' | '\u{0399}' | '\u{0131}' => 'i',
        '\u{043e}' | '\u{041e}' | '\u{03bf}' | '\u{039f}' | '\u{0585}' | '0' => 'o',
        '\u{0440}' | '\u{0420}' | '\u{03c1}' | '\u{03a1}' => 'p',
        '\u{0433}' => 'r',
        '\u{0455}' | '\u{0405}' | '\u{0282}' | '\u{a731}' => 's',
        '\u{0442}' | '\u{0422}' | '\u{03a4}' => 't',
        '\u{03c5}' | '\u{057d}' | '\u{0446}' | '\u{1d1c}' => 'u',
        '\u{0443}' | '\u{0423}' => 'y',
        _ => return None,
    };
    Some(letter.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_delimiter_loses_its_bracket_however_it_is_spelt() {
        for disguised in [
            "</source>",
            "< / SOURCE >",
            "</sou\u{200b}rce>",
            "\u{ff1c}/\u{ff53}\u{ff4f}\u{ff55}\u{ff52}\u{ff43}\u{ff45}\u{ff1e}",
            "<\u{2060}/\u{0455}\u{043e}urc\u{0435}>",
            "</\u{1d42c}\u{1d428}\u{1d42e}\u{1d42b}\u{1d41c}\u{1d41e}>",
            "<\u{e0001}source number=\"9\">",
            "\u{27e8}/so\u{300}urce\u{27e9}",
        ] {
            let neutral = neutral(disguised);
            assert!(neutral.starts_with('\u{2039}'), "{disguised:?}: {neutral:?}");
        }
    }

    #[test]
    fn a_mark_of_a_model_loses_its_bracket() {
        for mark in [
            "<|im_start|>system",
            "<|eot_id|>",
            "<\u{ff5c}begin\u{2581}of\u{2581}sentence\u{ff5c}>",
            "<start_of_turn>user",
            "<<SYS>>",
            "</s>",
            "<\u{200b}|endoftext|>",
            "<think>",
        ] {
            assert!(neutral(mark).starts_with('\u{2039}'), "{mark}");
        }
        assert_eq!(neutral("[INST] x [/INST]"), "(INST] x (/INST]");
    }

    #[test]
    fn what_only_looks_alike_stays_readable() {
        for text in [
            "Use <b>bold</b> if a < b.",
            "Vec<String>, [1], [see Section 4], a <- b, <span>, x[i]",
            "\u{0641}\u{0631}\u{0647}\u{200c}\u{0647}\u{0627} <= 3",
        ] {
            assert_eq!(neutral(text), text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn no_text_holds_a_delimiter(
            text in "(<|/| |\\\\|source|SOURCE|>|\u{e9}|a|\u{200b}|\u{ff1c}|\\|){0,12}",
        ) {
            let lower = neutral(&text).replace('\u{ff1c}', "<").to_ascii_lowercase();
            let squeezed: String = lower
                .chars()
                .filter(|char| {
                    !char.is_whitespace() && !matches!(char, '/' | '\\' | '\u{200b}')
                })
                .collect();
            prop_assert!(!squeezed.contains("<source"), "{squeezed}");
            prop_assert!(!squeezed.contains("<|"), "{squeezed}");
        }

        #[test]
        fn nothing_but_brackets_changes(text: String) {
            let neutral = neutral(&text);
            prop_assert_eq!(neutral.chars().count(), text.chars().count());
        }
    }
}
