//! From the order on the page to the order in which text is read: the inverse of
//! the Unicode bidirectional algorithm, as far as a line of glyphs allows it.

use super::geometry::Text;

/// What stands in a line, from left to right.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A glyph; its own characters are in reading order.
    Glyph(Text),
    /// The end of a word.
    Space,
}

/// The words of a glyph, which are more than one where a font says that a glyph
/// stands for several.
pub(super) fn tokens(text: &Text) -> impl Iterator<Item = Token> + use<> {
    let words = match text {
        Text::Str(words) if words.trim().contains(' ') => words.trim(),
        _ => return vec![Token::Glyph(text.clone())].into_iter(),
    };
    let words = words.split(' ').filter_map(Text::of).map(Token::Glyph);
    let mut tokens: Vec<Token> = words.flat_map(|word| [Token::Space, word]).collect();
    tokens.remove(0);
    tokens.into_iter()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Left,
    Right,
    Digit,
    /// What may stand within a number.
    Separator,
    Neutral,
}

/// Whether most letters are written from right to left.
pub(super) fn is_rtl<'a>(tokens: impl Iterator<Item = &'a Token>) -> bool {
    let (mut right, mut left) = (0, 0);
    for token in tokens {
        match class(token) {
            Class::Right => right += 1,
            Class::Left => left += 1,
            _ => {}
        }
    }
    right > 0 && right >= left
}

/// The text of a line.
pub(super) fn logical(tokens: Vec<Token>, rtl: bool) -> String {
    let mut levels = levels(&tokens, rtl);
    let mut tokens = tokens;
    if levels.iter().any(|level| *level > 0) {
        mirror(&mut tokens, &levels);
        for level in 1..=2 {
            reverse_runs(&mut tokens, &mut levels, level);
        }
    }
    let mut text = String::new();
    for token in &tokens {
        match token {
            Token::Glyph(glyph) => glyph.push_to(&mut text),
            Token::Space => text.push(' '),
        }
    }
    text
}

/// The level of each token: odd ones run from right to left.
fn levels(tokens: &[Token], rtl: bool) -> Vec<u8> {
    let classes: Vec<Class> = tokens.iter().map(class).collect();
    if !classes.contains(&Class::Right) {
        return vec![0; tokens.len()];
    }
    let strong = |class: &Class| matches!(class, Class::Left | Class::Right);
    let mut levels = Vec::with_capacity(classes.len());
    let mut before = None;
    for (at, class) in classes.iter().enumerate() {
        if strong(class) {
            before = Some(*class);
        }
        let rest = classes.get(at + 1..).unwrap_or_default();
        let after = || rest.iter().copied().find(|class| strong(class));
        let right = |around: bool| if around { 1 } else { u8::from(rtl) };
        levels.push(match class {
            Class::Right => 1,
            Class::Left => {
                if rtl {
                    2
                } else {
                    0
                }
            }
            Class::Digit if rtl => 2,
            Class::Digit => {
                if before == Some(Class::Right) && after() == Some(Class::Right) {
                    2
                } else {
                    0
                }
            }
            Class::Separator | Class::Neutral => {
                let next = rest.first().copied();
                let last = at.checked_sub(1).and_then(|at| classes.get(at).copied());
                let in_number = *class == Class::Separator
                    && next == Some(Class::Digit)
                    && last == Some(Class::Digit);
                match (before, after()) {
                    _ if in_number => {
                        if rtl {
                            2
                        } else {
                            levels.last().copied().unwrap_or(0)
                        }
                    }
                    (Some(Class::Right), Some(Class::Right)) => right(true),
                    (Some(Class::Left), Some(Class::Left)) => {
                        if rtl {
                            2
                        } else {
                            0
                        }
                    }
                    _ => right(false),
                }
            }
        });
    }
    levels
}

fn reverse_runs(tokens: &mut [Token], levels: &mut [u8], level: u8) {
    let mut at = 0;
    while let Some(start) = levels.iter().skip(at).position(|one| *one >= level) {
        let start = at + start;
        let run = levels.iter().skip(start).take_while(|one| **one >= level).count();
        let range = start..start + run;
        tokens.get_mut(range.clone()).unwrap_or_default().reverse();
        levels.get_mut(range).unwrap_or_default().reverse();
        at = start + run;
    }
}

/// Brackets in text from right to left are drawn mirrored. Fonts differ in
/// whether they name the drawing or the character, so the text decides: a
/// bracket opens before it closes.
fn mirror(tokens: &mut [Token], levels: &[u8]) {
    let brackets = || tokens.iter().zip(levels).filter(|(_, level)| **level == 1);
    let last = brackets().rev().find_map(|(token, _)| match token {
        Token::Glyph(Text::Char(char)) if mirrored(*char).is_some() => Some(*char),
        _ => None,
    });
    // The last on the page is the first that is read.
    if !last.is_some_and(|char| matches!(char, ')' | ']' | '}' | '»')) {
        return;
    }
    for (token, _) in tokens.iter_mut().zip(levels).filter(|(_, level)| **level == 1) {
        if let Token::Glyph(Text::Char(char)) = token
            && let Some(other) = mirrored(*char)
        {
            *char = other;
        }
    }
}

fn mirrored(char: char) -> Option<char> {
    Some(match char {
        '(' => ')',
        ')' => '(',
        '[' => ']',
        ']' => '[',
        '{' => '}',
        '}' => '{',
        '«' => '»',
        '»' => '«',
        _ => return None,
    })
}

fn class(token: &Token) -> Class {
    let Token::Glyph(text) = token else { return Class::Neutral };
    let char = text.first();
    match char {
        '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' => Class::Digit,
        '\u{590}'..='\u{8ff}'
        | '\u{fb1d}'..='\u{fdff}'
        | '\u{fe70}'..='\u{feff}'
        | '\u{10800}'..='\u{10fff}'
        | '\u{1e800}'..='\u{1efff}' => Class::Right,
        _ if char.is_numeric() => Class::Digit,
        _ if char.is_alphabetic() => Class::Left,
        '.' | ',' | ':' | '/' | '-' | '%' | '+' => Class::Separator,
        _ => Class::Neutral,
    }
}
