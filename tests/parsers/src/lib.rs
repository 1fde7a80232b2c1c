//! What must hold of every parser of untrusted bytes, whatever the bytes: no
//! panic, and results within their limits. One target for each kind of input;
//! the fuzzers of `tests/fuzz` run one each, the tests here run all of them
//! over the corpus and over what proptest makes up.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a panic is how a target reports what it found"
)]

mod answers;
mod bodies;
mod files;
mod words;

/// Takes any bytes, and panics when something does not hold.
pub type Target = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Target)] = &[
    ("answer", answers::answer),
    ("batch", bodies::batch),
    ("body", bodies::body),
    ("docx", files::docx),
    ("filter", words::filter),
    ("headers", words::headers),
    ("html", files::html),
    ("markdown", files::markdown),
    ("office", files::office),
    ("pdf", files::pdf),
    ("plain", files::plain),
    ("search", words::search),
    ("url", words::url),
    ("vectors", answers::vectors),
];

/// The target of this name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
