//! What the lines of a block look like: code, a row of a table, an item of a list,
//! a heading.

/// Words of the longest heading.
const MAX_HEADING_WORDS: usize = 12;
/// Characters of the longest heading; scripts without spaces have one long word.
const MAX_HEADING_CHARS: usize = 80;
/// The share of a block's words that are signs rather than words from which on it is
/// code. Technical prose names flags and paths and stays below a fifth; a command line
/// with one flag has a quarter.
const CODE_SHARE: f32 = 0.34;
/// The same where no line begins with a capital: prose hardly ever does.
const LOWER_CODE_SHARE: f32 = 0.1;
/// From this many characters on, a line may have been wrapped.
const WRAPPED_CHARS: usize = 45;

/// Marks that end a statement, a question or a clause.
pub(crate) fn ends_sentence(line: &str) -> bool {
    let closes =
        |one: char| matches!(one, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '）');
    let line = line.trim_end().trim_end_matches(closes);
    line.ends_with(['.', '!', '?', '…', '。', '！', '？', '؟', '।', '۔'])
}

/// A line that asks.
pub(crate) fn asks(sentence: &str) -> bool {
    let closes =
        |one: char| matches!(one, '"' | '\'' | ')' | '”' | '’' | '»' | '」' | '』' | '）' | '*');
    sentence.trim_end().trim_end_matches(closes).ends_with(['?', '？', '؟'])
}

/// A line that announces what follows it.
pub(crate) fn announces(sentence: &str) -> bool {
    sentence.trim_end().ends_with([':', '：'])
}

/// The bytes before an item's text: a bullet or a number.
pub(crate) fn item_mark(line: &str) -> Option<usize> {
    let text = line.trim_start();
    let indent = line.len() - text.len();
    for bullet in ["- ", "* ", "+ ", "• ", "– ", "— ", "· ", "▪ ", "◦ "] {
        if text.starts_with(bullet) {
            return Some(indent + bullet.len());
        }
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let after = text.get(digits..)?;
    let numbered =
        (1..=3).contains(&digits) && (after.starts_with(". ") || after.starts_with(") "));
    numbered.then_some(indent + digits + 2)
}

/// Whether a line is a row: cells between bars.
pub(crate) fn is_row(line: &str) -> bool {
    if !line.bytes().any(|byte| byte == b'|') {
        return false;
    }
    line.contains(" | ") || (line.trim_start().starts_with("| ") && line.trim_end().ends_with('|'))
}

/// Whether a line of a table only parts its head from its rows.
pub(crate) fn is_rule(line: &str) -> bool {
    line.contains('-') && line.chars().all(|one| matches!(one, '|' | '-' | ':' | ' ' | '+' | '='))
}

/// Whether a row names the columns of the row below it and of those that follow.
pub(crate) fn names_columns(row: &str, below: &str) -> bool {
    let digits = row.chars().any(char::is_numeric);
    row.chars().any(char::is_alphabetic) && (!digits || is_above_numbers(row, below))
}

/// Whether numbers stand under words: the name of a column may have a digit, as in
/// `nDCG@10`.
fn is_above_numbers(row: &str, below: &str) -> bool {
    let is_number =
        |cell: &str| cell.chars().any(char::is_numeric) && !cell.chars().any(char::is_alphabetic);
    let mut under = false;
    for (head, cell) in row.split('|').zip(below.split('|')) {
        if is_number(head) {
            return false;
        }
        under |= is_number(cell);
    }
    under
}

/// Whether a line is part of a drawing: it has lines, corners or boxes.
fn is_drawn(line: &&&str) -> bool {
    line.chars().any(|one| matches!(one, '\u{2500}'..='\u{25ff}'))
}

/// Whether a block is code: commands, settings, data, a program, a drawing.
pub(crate) fn is_code(lines: &[&str]) -> bool {
    if 2 * lines.iter().filter(is_drawn).count() > lines.len() {
        return true;
    }
    let words = lines.iter().flat_map(|line| line.split_whitespace());
    let (mut all, mut signs) = (0_usize, 0_usize);
    for word in words {
        all += 1;
        signs += usize::from(is_sign(word));
    }
    // Most blocks have none, and need no further look.
    if signs == 0 {
        return false;
    }
    let share = signs as f32 / all.max(1) as f32;
    let ended = lines.iter().filter(|line| ends_sentence(line)).count();
    let capitals = lines.iter().any(|line| line.trim_start().starts_with(char::is_uppercase));
    let latin =
        lines.iter().all(|line| line.chars().all(|one| one.is_ascii() || !one.is_alphabetic()));
    match () {
        () if !latin || 3 * ended > lines.len() => false,
        () if capitals => share >= CODE_SHARE,
        () => share >= LOWER_CODE_SHARE,
    }
}

/// Whether a word is of a language of machines: it has signs where words have none.
fn is_sign(word: &str) -> bool {
    // Most words have none of these, and need no further look.
    if !word.bytes().any(|byte| byte.is_ascii_punctuation()) {
        return false;
    }
    let opens = |one: char| matches!(one, '(' | '"' | '\'' | '[' | '“' | '‘' | '«');
    let closes = |one: char| {
        matches!(
            one,
            ')' | '"' | '\'' | ']' | '”' | '’' | '»' | '.' | ',' | ';' | ':' | '!' | '?' | '%'
        )
    };
    if ["{", "}", "[", "]", "(", ")", "=", "=>", "->", "|", "||", "&&", "\\", "$", ">", "<"]
        .contains(&word)
        || word.ends_with(['{', '}', '\\'])
        || word.ends_with(");")
        || word.ends_with("()")
    {
        return true;
    }
    let core = word.trim_start_matches(opens).trim_end_matches(closes);
    core.starts_with("--")
        || (core.starts_with('-') && core.len() == 2)
        || core.contains(['=', '{', '}', '<', '>', '$', '\\', '_', '|', '~', '`', '"'])
        || core.contains("::")
        || core.contains("://")
        || (core.contains('/') && core.contains('.'))
        || core.starts_with('/')
}

/// Whether a line that something follows is a heading.
pub(crate) fn is_heading(line: &str) -> bool {
    let line = line.trim();
    let words = line.split_whitespace().count();
    words <= MAX_HEADING_WORDS
        && line.chars().count() <= MAX_HEADING_CHARS
        && line.chars().any(char::is_alphabetic)
        && !ends_sentence(line)
        && !line.ends_with([':', '：', ',', ';', '，', '；', '、'])
        && !line.contains(": ")
}

/// Whether a block's line ends are those of wrapped text.
pub(crate) fn is_wrapped(lines: &[&str]) -> bool {
    let Some((_, before)) = lines.split_last() else { return false };
    let long = |line: &&&str| line.chars().count() >= WRAPPED_CHARS && !ends_sentence(line);
    2 * before.iter().filter(long).count() > before.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_above_numbers_names_columns_even_if_a_name_has_a_digit() {
        assert!(names_columns("City | Phone", "Bern | 555-0100"));
        assert!(names_columns("nDCG@10 | hybrid | lexical", "Cranfield | .576 | .532"));
        assert!(!names_columns("Bern | 555-0100", "Basel | 555-0199"));
        assert!(!names_columns("Q1 2024 | low", "Q2 2024 | high"));
        assert!(!names_columns("1 | 2", "3 | 4"));
    }

    #[test]
    fn code_is_told_from_prose() {
        for code in [
            "ragtime query \"What does a handler reach?\" --json",
            "cargo run --release -- serve",
            "export KEY=value\ncargo test --workspace",
            "let x = answer(&question);\nprintln!(\"{x}\");",
            "{\"a\": 1, \"b\": [2]}",
            "[server]\nlisten = \"127.0.0.1:80\"",
            "┌───┐  ┌───┐\n│ host │─▶│ handler │\n└───┘  └───┘",
        ] {
            assert!(is_code(&code.lines().collect::<Vec<_>>()), "{code}");
        }
        for prose in [
            "The flag --json prints what the server answered (see README.md).",
            "While it serves, no restart:",
            "a text without capitals, as some abstracts are",
            "Phone: 555-1234",
            "Der Preis (in Euro) ist 5 % höher.",
            "Use `check` with --repair, or restore from a backup",
        ] {
            assert!(!is_code(&prose.lines().collect::<Vec<_>>()), "{prose}");
        }
    }

    #[test]
    fn headings_rows_and_items_have_their_forms() {
        assert!(is_heading("Swap the handler") && is_heading("3.2 Limits"));
        for line in ["It ended.", "Phone: 555", "Then:", "one, two,", "2019"] {
            assert!(!is_heading(line), "{line}");
        }
        assert_eq!(
            (item_mark("- one"), item_mark("  12. two"), item_mark("-one")),
            (Some(2), Some(6), None)
        );
        assert!(is_row("a | b") && is_row("| a |") && !is_row("a||b"));
        assert!(is_rule("|---|:-:|") && !is_rule("| a |"));
        assert!(asks("Why?") && asks("“Why?”") && !asks("Why."));
    }

    #[test]
    fn wrapped_lines_are_long() {
        let wrapped =
            "A paragraph whose lines were cut by an editor at some\ncolumn, as Mails are.";
        assert!(is_wrapped(&wrapped.lines().collect::<Vec<_>>()));
        assert!(!is_wrapped(&["How do I reset it?", "Open the settings page."]));
    }
}
