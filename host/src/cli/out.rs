//! Printing: data to stdout, everything else to stderr.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::process::ExitCode;

/// A line of data.
pub fn data(line: &str) {
    // A reader that has seen enough (`| head`) is no failure.
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// Data that goes on, shown at once.
pub fn piece(text: &str) {
    let mut stdout = std::io::stdout();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// A line for the person, not for the next program.
pub fn note(line: &str) {
    eprintln!("{line}");
}

/// `error: …` and what to do about it.
pub fn fail(message: &str, hint: Option<&str>) -> ExitCode {
    eprintln!("error: {message}");
    if let Some(hint) = hint {
        eprintln!("hint: {hint}");
    }
    ExitCode::FAILURE
}
