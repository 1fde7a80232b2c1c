//! Maps to Unicode that break the syntax. The CMap parser gives up at the first
//! entry that it cannot read; here such an entry costs itself only, as the
//! others are written again.

use std::fmt::Write as _;

use hayro_cmap::CMap;

/// The map of a stream that the parser gives up at. Nothing where no entry of it
/// can be read, or where the parser reads it all.
pub(super) fn mended(map: &[u8]) -> Option<CMap> {
    if CMap::parse(map, hayro_cmap::load_embedded).is_some() {
        return None;
    }
    let entries = Entries::read(map);
    if entries.0.is_empty() {
        return None;
    }
    CMap::parse(entries.0.as_bytes(), |_| None)
}

enum Token<'a> {
    /// The digits of a string in hexadecimal.
    Hex(&'a [u8]),
    Open,
    Close,
    Word(&'a [u8]),
}

/// Sound entries, as a map of them is written.
#[derive(Default)]
struct Entries(String);

impl Entries {
    fn read(map: &[u8]) -> Self {
        let mut entries = Self::default();
        let mut rest = map;
        let (mut codes, mut list, mut operands) = (0, None, Vec::<String>::new());
        while let Some(token) = next(&mut rest) {
            match token {
                Token::Word(word) => {
                    codes = match word {
                        b"beginbfchar" => 1,
                        b"beginbfrange" => 2,
                        _ => 0,
                    };
                    list = None;
                    operands.clear();
                }
                Token::Open if codes == 2 && operands.len() == 2 => list = Some(0),
                Token::Open => {}
                Token::Close => {
                    list = None;
                    operands.clear();
                }
                Token::Hex(digits) => {
                    let digits = clean(digits);
                    match (&mut list, operands.as_slice()) {
                        (Some(at), [first, ..]) => {
                            entries.listed(first, *at, &digits);
                            *at += 1;
                        }
                        (_, [code]) if codes == 1 => {
                            entries.add("bfchar", &[code], &digits);
                            operands.clear();
                        }
                        (_, [first, last]) if codes == 2 => {
                            entries.add("bfrange", &[first, last], &digits);
                            operands.clear();
                        }
                        _ if codes > 0 => operands.push(digits),
                        _ => {}
                    }
                }
            }
        }
        entries
    }

    fn add(&mut self, section: &str, codes: &[&String], text: &str) {
        if text.is_empty() || codes.iter().any(|code| !(1..=8).contains(&code.len())) {
            return;
        }
        let _ = write!(self.0, "1 begin{section} ");
        for code in codes {
            let _ = write!(self.0, "<{code}> ");
        }
        let _ = writeln!(self.0, "<{text}> end{section}");
    }

    /// What a list says of the code so far behind the first.
    fn listed(&mut self, first: &str, at: u32, text: &str) {
        let code = u32::from_str_radix(first, 16).ok().and_then(|first| first.checked_add(at));
        if let Some(code) = code {
            self.add("bfchar", &[&format!("{code:0width$X}", width = first.len())], text);
        }
    }
}

/// The digits without what is none.
fn clean(digits: &[u8]) -> String {
    digits.iter().filter(|byte| byte.is_ascii_hexdigit()).map(|byte| char::from(*byte)).collect()
}

/// The next token that matters, off the front.
fn next<'a>(rest: &mut &'a [u8]) -> Option<Token<'a>> {
    loop {
        let (first, after) = rest.split_first()?;
        let until = |end: &dyn Fn(&u8) -> bool| after.iter().position(end).unwrap_or(after.len());
        let (token, taken) = match first {
            b'%' => (None, until(&|byte| matches!(byte, b'\r' | b'\n'))),
            b'(' => (None, until(&|byte| *byte == b')')),
            b'<' if after.first() == Some(&b'<') => (None, 1),
            b'<' => {
                let end = until(&|byte| *byte == b'>');
                (Some(Token::Hex(after.get(..end)?)), (end + 1).min(after.len()))
            }
            b'[' => (Some(Token::Open), 0),
            b']' => (Some(Token::Close), 0),
            b'a'..=b'z' => {
                let end = until(&|byte| !byte.is_ascii_alphabetic());
                (Some(Token::Word(rest.get(..=end)?)), end)
            }
            _ => (None, 0),
        };
        *rest = after.get(taken..).unwrap_or_default();
        if token.is_some() {
            return token;
        }
    }
}
