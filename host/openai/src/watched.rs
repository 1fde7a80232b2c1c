//! The text of a language model as a client may see it: without what it thought
//! aloud, and without marks for sources that there are not.

use crate::cited::{MAX_MARK_CHARS, numbers};

/// Tags between which models think aloud.
const THOUGHTS: [(&str, &str); 3] =
    [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("<reasoning>", "</reasoning>")];

/// Cleans a text that comes in pieces.
#[derive(Debug, Default)]
pub struct Watched {
    /// How many sources there are.
    sources: usize,
    /// What cannot be decided yet.
    held: String,
    /// What ends the thought that is being thought.
    thought: Option<&'static str>,
    /// Whether anything was said.
    spoke: bool,
}

/// What stands at the beginning of a text.
enum Next {
    /// So many bytes that are text.
    Text(usize),
    /// So many bytes that are none, with the white space before them.
    Drop(usize),
    /// So many bytes that begin a thought, which ends so.
    Thought(usize, &'static str),
    /// So many bytes in place of which a mark stands.
    Mark(usize, String),
    /// Only more text shows what it is.
    Unknown,
}

impl Watched {
    /// For an answer from so many sources.
    pub fn new(sources: usize) -> Self {
        Self { sources, ..Self::default() }
    }

    /// Takes more of the text and returns what of it is certain.
    pub fn push(&mut self, text: &str) -> String {
        self.held.push_str(text);
        self.go_on(false)
    }

    /// What is left at the end. A thought that did not end is none of it.
    pub fn finish(&mut self) -> String {
        self.go_on(true)
    }

    fn go_on(&mut self, last: bool) -> String {
        let (held, mut out) = (std::mem::take(&mut self.held), String::new());
        let mut rest = held.as_str();
        while !rest.is_empty() {
            if let Some(end) = self.thought {
                match find(rest, end) {
                    Some(at) => {
                        rest = after(rest, at + end.len());
                        self.thought = None;
                    }
                    None => {
                        // Its end may have begun.
                        let kept = rest.floor_char_boundary(rest.len().saturating_sub(end.len()));
                        rest = if last { "" } else { after(rest, kept) };
                        break;
                    }
                }
                continue;
            }
            let signs = rest.find(['<', '[']).unwrap_or(rest.len());
            let spaced = rest.get(..signs).unwrap_or_default().trim_end().len();
            self.say(rest.get(..spaced).unwrap_or_default(), &mut out);
            rest = after(rest, spaced);
            let space = signs - spaced;
            if rest.len() == space && !last {
                break;
            }
            let (before, sign) = rest.split_at(space);
            match self.next(sign, last) {
                Next::Text(bytes) => {
                    self.say(rest.get(..space + bytes).unwrap_or_default(), &mut out);
                    rest = after(rest, space + bytes);
                }
                Next::Mark(bytes, mark) => {
                    self.say(before, &mut out);
                    self.say(&mark, &mut out);
                    rest = after(sign, bytes);
                }
                Next::Drop(bytes) => rest = after(sign, bytes),
                Next::Thought(bytes, end) => {
                    // The white space goes on with what follows the thought.
                    self.say(before, &mut out);
                    rest = after(sign, bytes);
                    self.thought = Some(end);
                }
                Next::Unknown => break,
            }
        }
        self.held = rest.to_owned();
        out
    }

    /// Adds text; none begins with white space.
    fn say(&mut self, text: &str, out: &mut String) {
        let text = if self.spoke { text } else { text.trim_start() };
        self.spoke |= !text.is_empty();
        out.push_str(text);
    }

    fn next(&self, text: &str, last: bool) -> Next {
        if text.starts_with('<') {
            return tag(text, last);
        }
        let Some(inside) = text.strip_prefix('[') else { return Next::Text(text.len()) };
        let Some(end) = inside.find(']').filter(|end| *end <= MAX_MARK_CHARS) else {
            return match inside.len() > MAX_MARK_CHARS || last {
                true => Next::Text(1),
                false => Next::Unknown,
            };
        };
        let bytes = end + 2;
        let Some(named) = numbers(inside.get(..end).unwrap_or_default()) else {
            return Next::Text(bytes);
        };
        let kept: Vec<_> =
            named.iter().filter(|number| (1..=self.sources).contains(*number)).collect();
        match kept.len() {
            0 => Next::Drop(bytes),
            all if all == named.len() => Next::Text(bytes),
            _ => {
                let kept: Vec<_> = kept.iter().map(ToString::to_string).collect();
                Next::Mark(bytes, format!("[{}]", kept.join(", ")))
            }
        }
    }
}

/// A tag of a thought, or text.
fn tag(text: &str, last: bool) -> Next {
    let begins = |tag: &str| {
        text.get(..tag.len().min(text.len())).is_some_and(|start| {
            tag.get(..start.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(start))
        })
    };
    for (open, close) in THOUGHTS {
        if begins(open) && text.len() >= open.len() {
            return Next::Thought(open.len(), close);
        }
        // A thought that began in the prompt.
        if begins(close) && text.len() >= close.len() {
            return Next::Drop(close.len());
        }
    }
    let open = THOUGHTS.iter().any(|(open, close)| begins(open) || begins(close));
    if open && !last { Next::Unknown } else { Next::Text(1) }
}

/// Where a tag stands, in any case.
fn find(text: &str, tag: &str) -> Option<usize> {
    text.match_indices('<').map(|(at, _)| at).find(|at| {
        text.get(*at..at + tag.len()).is_some_and(|found| found.eq_ignore_ascii_case(tag))
    })
}

fn after(text: &str, bytes: usize) -> &str {
    text.get(bytes..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::indexing_slicing)]
    use super::*;

    /// However the text is cut, the same comes out.
    fn watched(text: &str, sources: usize) -> String {
        let mut whole = Watched::new(sources);
        let expected = whole.push(text) + &whole.finish();
        for cut in text.char_indices().map(|(at, _)| at) {
            let mut parts = Watched::new(sources);
            let said = parts.push(&text[..cut]) + &parts.push(&text[cut..]) + &parts.finish();
            assert_eq!(said, expected, "{cut}");
        }
        let mut each = Watched::new(sources);
        let said: String = text.chars().map(|one| each.push(&one.to_string())).collect();
        assert_eq!(said + &each.finish(), expected);
        expected
    }

    #[test]
    fn thoughts_are_no_part_of_an_answer() {
        assert_eq!(watched("<think>Hm, [1]?\n</think>\n\nIt is so [1].", 2), "It is so [1].");
        assert_eq!(watched("It <THINKING>or</thinking>is so.", 2), "It is so.");
        assert_eq!(watched("It is <think>so, I", 2), "It is ");
        assert_eq!(watched("so I say</think> It is.", 2), "so I say It is.");
        assert_eq!(watched("a < b and <b>c</b> <th", 2), "a < b and <b>c</b> <th");
    }

    #[test]
    fn marks_without_a_source_are_dropped() {
        assert_eq!(watched("It is so [9]. And so [1, 7][2].", 2), "It is so. And so [1][2].");
        assert_eq!(watched("See [the note] and [0] x[1]", 2), "See [the note] and x[1]");
        let long = format!("[{}", "1,".repeat(40));
        assert_eq!(watched(&long, 2), long);
    }
}
