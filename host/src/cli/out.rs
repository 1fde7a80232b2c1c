//! Printing: data to stdout, everything else to stderr.
//!
//! A reader that has seen enough (`| head`) is no failure, so errors of writing
//! are dropped.

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

/// A line of data.
pub fn data(line: &str) {
    piece(&format!("{line}\n"));
}

/// Data that goes on, shown at once.
pub fn piece(text: &str) {
    let mut stdout = std::io::stdout();
    let text = if stdout.is_terminal() { harmless(text) } else { text.into() };
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A line for the person, not for the next program.
pub fn note(line: &str) {
    let mut stderr = std::io::stderr();
    let line = if stderr.is_terminal() { harmless(line) } else { line.into() };
    let _ = writeln!(stderr, "{line}");
}

/// `error: …` and what to do about it.
pub fn fail(message: &str, hint: Option<&str>) -> ExitCode {
    note(&format!("error: {message}"));
    if let Some(hint) = hint {
        note(&format!("hint: {hint}"));
    }
    ExitCode::FAILURE
}

/// Text without what a terminal takes for a command. Documents and models say
/// what strangers wrote.
fn harmless(text: &str) -> Cow<'_, str> {
    let command = |char: char| char.is_control() && !matches!(char, '\n' | '\t');
    match text.contains(command) {
        true => text.replace(command, "\u{fffd}").into(),
        false => text.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_cannot_command_the_terminal() {
        assert_eq!(
            harmless("a\u{1b}]0;x\u{7}\u{9b}2J\r"),
            "a\u{fffd}]0;x\u{fffd}\u{fffd}2J\u{fffd}"
        );
        assert!(matches!(harmless("two\nlines\tand ümlauts"), Cow::Borrowed(_)));
    }
}
