//! Text analysis for search in many languages, without I/O: the words of a text
//! and of a query, the language that a text is in, and where its sentences end.
//!
//! Both hosts index and search by this crate alone, natively and as WebAssembly,
//! so that they rank alike by construction. What it takes from a text are terms to
//! compare by and byte ranges of the source; the source itself is never changed.

mod analysis;
pub mod bm25;
mod character;
mod class;
mod content;
mod detect;
mod highlight;
mod knows;
mod language;
mod normal;
mod query;
mod refers;
mod script;
mod sentences;
mod words;

pub use analysis::{Found, KnownStems, Segmented, Token, analyse};
pub use content::content;
pub use detect::{detect, is_function_word};
pub use highlight::highlights;
pub use knows::ModelLanguages;
pub use language::Language;
pub use query::{
    Field, MAX_TERMS, Term, Words, language_of_query, phrase, query_terms, stems_cover,
};
pub use refers::{refers_back, stands_alone};
pub use sentences::{Lines, sentences};

/// The version of the analysis. An index made by another version is of no use to
/// a query analysed by this one, so it is rebuilt. Counts up with every change of
/// the terms that a text gives.
pub const VERSION: u32 = 1;
