//! Generators: from a question and its passages to an answer.

mod extractive;

pub use extractive::{Extract, Extractive, NAME as EXTRACTIVE};
