//! What is known of a document beside its text: language, file name, warnings.

use serde::{Deserialize, Serialize};

/// Bytes of a BCP 47 language tag: RFC 5646 section 4.4.1 asks for 35.
pub const MAX_LANGUAGE_BYTES: usize = 35;
/// Bytes of a file's name: file systems in use take 255 characters, of up to 4
/// bytes each.
pub const MAX_FILE_NAME_BYTES: usize = 1_024;
/// Warnings of one document that the host keeps, whichever handler gives them: a
/// reader looks at the first few.
pub const MAX_WARNINGS: usize = 256;
/// Bytes of a warning's code.
pub const MAX_CODE_BYTES: usize = 64;
/// Bytes of a warning's detail: a sentence or two.
pub const MAX_DETAIL_BYTES: usize = 1_024;
/// Warnings of one job that are listed; the others are counted.
pub const MAX_JOB_WARNINGS: usize = 100;

/// Something that a reader of a document should know of how its text was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The kind, of `a-z 0-9 _`.
    pub code: String,
    /// The page it is about, from 1, where the source has pages.
    pub page: Option<u32>,
    /// What it is about, for people.
    pub detail: String,
}

/// What is known of a document beside its text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Details {
    /// The language of the text, as a BCP 47 tag.
    pub language: Option<String>,
    /// The name of the file that it came as.
    pub file_name: Option<String>,
    /// What was left out or guessed.
    pub warnings: Vec<Warning>,
}

/// Bytes of each part of a collection's prompt: some pages, which leave a small model
/// room for sources.
pub const MAX_PROMPT_BYTES: usize = 8_192;
/// Where the sources stand in a template.
pub const SOURCES: &str = "{sources}";
/// Where the question stands in a template.
pub const QUESTION: &str = "{question}";

/// How language models are asked about a collection.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prompt {
    /// What the prompt says before the rules.
    pub system: Option<String>,
    /// The message of the user, with [`SOURCES`] and behind them [`QUESTION`].
    pub template: Option<String>,
}

impl Prompt {
    /// Whether it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says what is wrong with it, fit for the client.
    ///
    /// # Errors
    ///
    /// The rule that it breaks.
    pub fn check(&self) -> Result<(), String> {
        let parts = [self.system.as_deref(), self.template.as_deref()];
        if parts.into_iter().flatten().any(|part| part.len() > MAX_PROMPT_BYTES) {
            return Err(format!("each part of a prompt has at most {MAX_PROMPT_BYTES} bytes"));
        }
        match self.template.as_deref().is_none_or(has_places) {
            true => Ok(()),
            false => Err(format!("a template holds {SOURCES}, and {QUESTION} behind them")),
        }
    }
}

/// Whether a template has the places that it needs.
pub fn has_places(template: &str) -> bool {
    template.split_once(SOURCES).is_some_and(|(_, behind)| behind.contains(QUESTION))
}

impl Details {
    /// Whether nothing is known.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Says what is wrong with them, fit for the client.
    ///
    /// # Errors
    ///
    /// The rule that they break.
    pub fn check(&self) -> Result<(), String> {
        if !self.language.as_deref().is_none_or(is_tag) {
            return Err(format!("a language is a BCP 47 tag of 1 to {MAX_LANGUAGE_BYTES} bytes"));
        }
        if self.file_name.as_ref().is_some_and(|name| name.len() > MAX_FILE_NAME_BYTES) {
            return Err(format!("a file name has at most {MAX_FILE_NAME_BYTES} bytes"));
        }
        if self.warnings.len() > MAX_WARNINGS {
            return Err(format!("a document has at most {MAX_WARNINGS} warnings"));
        }
        self.warnings.iter().try_for_each(Warning::check)
    }

    /// Them as a JSON text that is equal for equal details; none when nothing is
    /// known, so that documents of a time before details are known again.
    pub fn canonical(&self) -> Option<String> {
        match self.is_empty() {
            true => None,
            false => serde_json::to_string(self).ok(),
        }
    }
}

impl Warning {
    /// Whether its code has the form of one.
    pub fn has_code(&self) -> bool {
        let named = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        (1..=MAX_CODE_BYTES).contains(&self.code.len()) && self.code.bytes().all(named)
    }

    fn check(&self) -> Result<(), String> {
        match self.has_code() && self.detail.len() <= MAX_DETAIL_BYTES {
            true => Ok(()),
            false => Err(format!(
                "a warning has a code of 1 to {MAX_CODE_BYTES} of a-z 0-9 _ and a detail of at most {MAX_DETAIL_BYTES} bytes"
            )),
        }
    }
}

/// A warning of a document that came with a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobWarning {
    /// The place of the document in the batch, from 0.
    pub position: u32,
    /// The document's id in its collection.
    pub id: String,
    /// What it is about.
    pub warning: Warning,
}

/// The warnings of the documents of a job, as they were when it wrote them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobWarnings {
    /// The first of them, at most [`MAX_JOB_WARNINGS`].
    pub items: Vec<JobWarning>,
    /// How many there were.
    pub total: u64,
}

impl JobWarnings {
    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds the warnings of the document at a place of the batch.
    pub fn add(&mut self, position: u32, id: &str, warnings: &[Warning]) {
        self.total = self.total.saturating_add(warnings.len() as u64);
        let room = MAX_JOB_WARNINGS.saturating_sub(self.items.len());
        let item = |warning: &Warning| JobWarning {
            position,
            id: id.to_owned(),
            warning: warning.clone(),
        };
        self.items.extend(warnings.iter().take(room).map(item));
    }
}

/// Whether a text has the form of a BCP 47 tag. Whether there is such a language
/// is not asked: registries grow.
fn is_tag(tag: &str) -> bool {
    (1..=MAX_LANGUAGE_BYTES).contains(&tag.len())
        && tag.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn warning(code: &str, detail: &str) -> Details {
        let warning = Warning { code: code.into(), page: Some(1), detail: detail.into() };
        Details { warnings: vec![warning], ..Details::default() }
    }

    #[test]
    fn a_language_has_the_form_of_a_tag() {
        let of = |tag: &str| Details { language: Some(tag.into()), ..Details::default() }.check();
        for tag in ["de", "zh-Hant", "sr-Latn-RS", "i-klingon"] {
            assert_eq!(of(tag), Ok(()), "{tag}");
        }
        for tag in ["", "de_AT", "-de", "de-", "ä", "abcdefghi", &"a-".repeat(18)] {
            assert!(of(tag).is_err(), "{tag}");
        }
    }

    #[test]
    fn a_template_has_sources_and_a_question() {
        let of = |template: &str| {
            Prompt { template: Some(template.to_owned()), ..Prompt::default() }.check()
        };
        assert_eq!(of("Read:\n{sources}\nAsked: {question}"), Ok(()));
        for template in ["", "{sources}", "{question}", "{question} {sources}"] {
            assert!(of(template).is_err(), "{template}");
        }
        assert!(of(&format!("{{sources}}{{question}}{}", "x".repeat(MAX_PROMPT_BYTES))).is_err());
    }

    #[test]
    fn a_warning_is_bounded_and_its_code_is_a_name() {
        assert_eq!(warning("page_without_text", "").check(), Ok(()));
        for code in ["", "Page", "a b", &"a".repeat(MAX_CODE_BYTES + 1)] {
            assert!(warning(code, "").check().is_err(), "{code}");
        }
        assert!(warning("a", &"x".repeat(MAX_DETAIL_BYTES + 1)).check().is_err());
    }

    #[test]
    fn a_job_counts_the_warnings_that_it_does_not_list() {
        let mut job = JobWarnings::default();
        assert!(job.is_empty());
        for position in 0..60 {
            let two = [warning("a", "").warnings, warning("b", "").warnings].concat();
            job.add(position, "id", &two);
        }
        assert_eq!((job.items.len(), job.total), (MAX_JOB_WARNINGS, 120));
    }

    #[test]
    fn nothing_known_is_no_text() {
        assert_eq!(Details::default().canonical(), None);
        assert_ne!(warning("a", "").canonical(), warning("a", "b").canonical());
    }
}
