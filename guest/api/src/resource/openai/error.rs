//! A problem as OpenAI's clients read it.

use ragtime_policy::problem::{Entry, openai_type};
use serde::Serialize;

/// What OpenAI's clients show of a problem.
#[derive(Debug, Serialize, schemars::JsonSchema)]
pub struct Error<'a> {
    /// What to do about it.
    pub message: &'a str,
    /// The kind of error, by its status.
    pub r#type: &'static str,
    /// The problem's code.
    pub code: &'a str,
    /// The parameter at fault.
    pub param: Option<&'a str>,
}

impl<'a> Error<'a> {
    /// Of a problem.
    pub fn of(entry: Entry, message: &'a str, param: Option<&'a str>) -> Self {
        Self { message, r#type: openai_type(entry.status), code: entry.code, param }
    }
}
