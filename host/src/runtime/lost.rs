//! Why an instance was lost. Wasmtime says two of the causes in words only, so this file
//! alone compares its words, and a test reads them in its source.

use wasmtime::Trap;

use crate::telemetry::Lost;

/// Said of an instance that outlived its expiration.
const OUTLIVED: &str = "guest timed out";
/// Said of an instance in which the host panicked.
const PANICKED: &str = "worker panicked";

/// What ended an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It used up its processor time.
    Interrupted,
    /// It outlived its expiration.
    Outlived,
    /// The host panicked in it.
    Panicked,
    /// It trapped.
    Trapped,
}

impl From<Cause> for Lost {
    fn from(cause: Cause) -> Self {
        match cause {
            Cause::Interrupted | Cause::Outlived => Self::Overrun,
            Cause::Panicked => Self::Panic,
            Cause::Trapped => Self::Trap,
        }
    }
}

/// The cause that stands behind an error.
pub fn cause(error: &wasmtime::Error) -> Cause {
    if error.downcast_ref::<Trap>() == Some(&Trap::Interrupt) {
        return Cause::Interrupted;
    }
    match error.to_string().as_str() {
        OUTLIVED => Cause::Outlived,
        PANICKED => Cause::Panicked,
        _ => Cause::Trapped,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_cause_is_known_by_its_words() {
        let of = |words: &'static str| cause(&wasmtime::Error::msg(words));
        assert_eq!(of(OUTLIVED), Cause::Outlived);
        assert_eq!(of(PANICKED), Cause::Panicked);
        assert_eq!(of("wasm trap: out of bounds memory access"), Cause::Trapped);
        assert_eq!(cause(&Trap::Interrupt.into()), Cause::Interrupted);
    }

    #[test]
    fn the_words_are_those_of_the_wasmtime_that_is_built() {
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
            .other_options(["--locked".to_owned(), "--offline".to_owned()])
            .exec()
            .unwrap();
        let http = metadata.packages.iter().find(|one| *one.name == "wasmtime-wasi-http").unwrap();
        let handler = http.manifest_path.parent().unwrap().join("src/handler.rs");
        let source = std::fs::read_to_string(handler).unwrap();
        for words in [OUTLIVED, PANICKED] {
            assert!(source.contains(&format!("format_err!(\"{words}\")")), "{words}");
        }
    }
}
