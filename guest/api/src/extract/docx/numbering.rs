//! Numbers of lists and headings (ECMA-376 part 1, section 17.9).

use std::collections::HashMap;

use roxmltree::Node;

use super::super::xml::{at, attribute, child, is_on, named, val};
use super::styles::Styles;

/// Levels of a list.
const LEVELS: usize = 9;

#[derive(Debug, Clone)]
struct Level {
    start: u32,
    format: String,
    text: String,
    /// The level whose number restarts this one; none: never.
    restart: Option<usize>,
    legal: bool,
    style: Option<String>,
}

#[derive(Debug, Default)]
struct List {
    levels: HashMap<usize, Level>,
    /// The style that a list of no levels of its own takes them from.
    link: Option<String>,
}

/// A use of a list, with what it changes.
#[derive(Debug, Default)]
struct Use {
    list: String,
    starts: HashMap<usize, u32>,
    levels: HashMap<usize, Level>,
}

/// The lists of a document and how far they have counted.
#[derive(Debug, Default)]
pub(super) struct Numbering {
    lists: HashMap<String, List>,
    uses: HashMap<String, Use>,
    /// Counts by list, the last number of each level.
    counts: HashMap<String, [Option<u32>; LEVELS]>,
    /// Uses whose own starts have been applied.
    begun: Vec<String>,
}

/// What stands before a paragraph of a list.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Label {
    Bullet,
    Number(String),
    Nothing,
}

impl Numbering {
    /// From the root of `numbering.xml`.
    pub(super) fn read(root: Node<'_, '_>) -> Self {
        let mut numbering = Self::default();
        for node in root.children() {
            if let Some(id) =
                attribute(node, "abstractNumId").filter(|_| named(node, "abstractNum"))
            {
                let link = child(node, "numStyleLink").and_then(val).map(str::to_owned);
                numbering.lists.insert(id.to_owned(), List { levels: levels(node), link });
            } else if let Some(id) = attribute(node, "numId").filter(|_| named(node, "num")) {
                let list = child(node, "abstractNumId").and_then(val).unwrap_or_default();
                let mut used = Use { list: list.to_owned(), ..Use::default() };
                for change in node.children().filter(|node| named(*node, "lvlOverride")) {
                    let Some(level) = number(attribute(change, "ilvl")) else { continue };
                    if let Some(start) = number(child(change, "startOverride").and_then(val)) {
                        used.starts.insert(level, start as u32);
                    }
                    used.levels.extend(levels(change));
                }
                numbering.uses.insert(id.to_owned(), used);
            }
        }
        numbering
    }

    /// The level that a list keeps for paragraphs of one of these styles.
    pub(super) fn level_of<'s>(
        &self,
        number: &str,
        styles: impl Iterator<Item = &'s str>,
    ) -> Option<usize> {
        let list = self.lists.get(&self.uses.get(number)?.list)?;
        let mut styles = styles;
        styles.find_map(|id| {
            let of = |level: &Level| level.style.as_deref() == Some(id);
            list.levels.iter().find(|(_, level)| of(level)).map(|(index, _)| *index)
        })
    }

    /// Counts a paragraph of a list and says what stands before it.
    pub(super) fn next(&mut self, number: &str, level: usize, styles: &Styles) -> Label {
        let level = level.min(LEVELS - 1);
        let Some((used, list)) = resolve(&self.uses, &self.lists, number, styles) else {
            return Label::Nothing;
        };
        let find = |index: usize| used.levels.get(&index).or_else(|| list.levels.get(&index));
        let Some(own) = find(level) else { return Label::Bullet };
        let counts = self.counts.entry(used.list.clone()).or_default();
        let first = !self.begun.iter().any(|begun| begun == number);
        if first {
            for (index, start) in &used.starts {
                if let Some(count) = counts.get_mut(*index) {
                    *count = start.checked_sub(1);
                }
            }
        }
        let start = used.starts.get(&level).copied().unwrap_or(own.start);
        if let Some(count) = counts.get_mut(level) {
            *count = Some(count.map_or(start, |count| count.saturating_add(1)));
        }
        for (below, count) in counts.iter_mut().enumerate().skip(level + 1) {
            let restarts = find(below).and_then(|below| below.restart).is_none_or(|at| at > level);
            if restarts {
                *count = None;
            }
        }
        let label = match own.format.as_str() {
            "bullet" => Label::Bullet,
            "none" if !own.text.contains('%') => Label::Nothing,
            _ => Label::Number(expand(own, level, counts, find)),
        };
        if first {
            self.begun.push(number.to_owned());
        }
        match label {
            Label::Number(text) if text.trim().is_empty() => Label::Nothing,
            label => label,
        }
    }
}

/// A use and its list; a list that is linked to a style is that style's.
fn resolve<'n>(
    uses: &'n HashMap<String, Use>,
    lists: &'n HashMap<String, List>,
    number: &str,
    styles: &Styles,
) -> Option<(&'n Use, &'n List)> {
    let used = uses.get(number)?;
    let list = lists.get(&used.list)?;
    let Some(link) = list.link.as_deref() else { return Some((used, list)) };
    let linked = uses.get(styles.numbering(Some(link)).0?)?;
    Some((linked, lists.get(&linked.list)?))
}

/// `%1.%2` with the numbers of the levels.
fn expand<'l>(
    own: &'l Level,
    level: usize,
    counts: &[Option<u32>; LEVELS],
    find: impl Fn(usize) -> Option<&'l Level>,
) -> String {
    let mut label = String::new();
    let mut chars = own.text.chars().peekable();
    while let Some(char) = chars.next() {
        let digit = chars.peek().and_then(|next| next.to_digit(10)).filter(|_| char == '%');
        let Some(index) = digit.and_then(|digit| (digit as usize).checked_sub(1)) else {
            label.push(char);
            continue;
        };
        chars.next();
        let of = if index == level { Some(own) } else { find(index) };
        let Some(of) = of else { continue };
        let count = counts.get(index).copied().flatten().unwrap_or(of.start);
        let format = if own.legal { "decimal" } else { of.format.as_str() };
        label.push_str(&written(count, format));
    }
    label
}

fn levels(node: Node<'_, '_>) -> HashMap<usize, Level> {
    let levels = node.children().filter(|node| named(*node, "lvl"));
    let level = |node: Node<'_, '_>| {
        let string = |name: &str| child(node, name).and_then(val).map(str::to_owned);
        let index = number(attribute(node, "ilvl"))?;
        // `0` says never (section 17.9.10); by default every level above does.
        let restart = number(child(node, "lvlRestart").and_then(val));
        let level = Level {
            start: number(child(node, "start").and_then(val)).unwrap_or(1) as u32,
            format: string("numFmt").unwrap_or_else(|| "decimal".into()),
            text: string("lvlText").unwrap_or_default(),
            restart,
            legal: is_on(child(node, "isLgl")),
            style: at(node, &["pStyle"]).and_then(val).map(str::to_owned),
        };
        Some((index, level))
    };
    levels.filter_map(level).collect()
}

fn number(text: Option<&str>) -> Option<usize> {
    text?.parse().ok()
}

/// A number as a list writes it.
pub(in crate::extract) fn written(count: u32, format: &str) -> String {
    match format {
        "lowerLetter" => letters(count).to_lowercase(),
        "upperLetter" => letters(count),
        "lowerRoman" => roman(count).to_lowercase(),
        "upperRoman" => roman(count),
        "decimalZero" => format!("{count:02}"),
        "none" | "bullet" => String::new(),
        _ => count.to_string(),
    }
}

/// A, B, … Z, AA, BB, … as Word counts.
fn letters(count: u32) -> String {
    let Some(from_zero) = count.checked_sub(1) else { return String::new() };
    let letter = char::from(b'A' + (from_zero % 26) as u8);
    let times = (from_zero / 26 + 1).min(32);
    std::iter::repeat_n(letter, times as usize).collect()
}

fn roman(count: u32) -> String {
    const SIGNS: [(u32, &str); 13] = [
        (1_000, "M"),
        (900, "CM"),
        (500, "D"),
        (400, "CD"),
        (100, "C"),
        (90, "XC"),
        (50, "L"),
        (40, "XL"),
        (10, "X"),
        (9, "IX"),
        (5, "V"),
        (4, "IV"),
        (1, "I"),
    ];
    if count > 3_999 {
        return count.to_string();
    }
    let (mut rest, mut text) = (count, String::new());
    for (value, sign) in SIGNS {
        while rest >= value {
            rest -= value;
            text.push_str(sign);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const XML: &str = "<n xmlns:w='w'>
        <w:abstractNum w:abstractNumId='7'>
          <w:lvl w:ilvl='0'><w:start w:val='1'/><w:numFmt w:val='upperRoman'/><w:lvlText w:val='%1.'/></w:lvl>
          <w:lvl w:ilvl='1'><w:start w:val='3'/><w:numFmt w:val='lowerLetter'/><w:lvlText w:val='%1.%2)'/></w:lvl>
          <w:lvl w:ilvl='2'><w:numFmt w:val='decimal'/><w:lvlText w:val='%1.%3'/><w:isLgl/></w:lvl>
          <w:lvl w:ilvl='3'><w:numFmt w:val='bullet'/><w:lvlText w:val='o'/></w:lvl>
        </w:abstractNum>
        <w:num w:numId='1'><w:abstractNumId w:val='7'/></w:num>
        <w:num w:numId='2'><w:abstractNumId w:val='7'/>
          <w:lvlOverride w:ilvl='0'><w:startOverride w:val='9'/></w:lvlOverride></w:num></n>";

    #[test]
    fn lists_count_as_they_are_written() {
        let document = roxmltree::Document::parse(XML).unwrap();
        let mut numbering = Numbering::read(document.root_element());
        let styles = Styles::default();
        let mut next = |number: &str, level| match numbering.next(number, level, &styles) {
            Label::Number(text) => text,
            label => format!("{label:?}"),
        };
        let labels = [
            ("1", 0),
            ("1", 1),
            ("1", 1),
            ("1", 2),
            ("1", 3),
            ("1", 0),
            ("1", 1),
            ("2", 0),
            ("2", 0),
            ("3", 0),
        ]
        .map(|(number, level)| next(number, level));
        assert_eq!(
            labels,
            ["I.", "I.c)", "I.d)", "1.1", "Bullet", "II.", "II.c)", "IX.", "X.", "Nothing"]
        );
    }

    #[test]
    fn letters_and_roman_numbers() {
        assert_eq!([letters(1), letters(26), letters(28)], ["A", "Z", "BB"]);
        assert_eq!([roman(4), roman(1_999), roman(4_000)], ["IV", "MCMXCIX", "4000"]);
    }
}
