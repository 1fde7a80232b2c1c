//! Generators: from a question and its passages to an answer.

mod extractive;
pub mod openai;

pub use extractive::{Extract, Extractive, NAME as EXTRACTIVE};

use crate::config::{self, GeneratorName};
use openai::OpenAi;
pub use ragtime_openai::checked::Assessed;
use ragtime_openai::checked::Unsupported;

/// Those there are.
pub struct Generators {
    /// Needs no model of its own.
    pub extractive: Extractive,
    /// A language model, when one is set.
    pub openai: Option<OpenAi>,
    /// Whether the first answers when the second cannot.
    pub fallback: bool,
    /// What becomes of a statement of the second that no source supports.
    pub unsupported: Unsupported,
    default: GeneratorName,
}

impl Generators {
    /// Those that the settings name.
    pub fn new(extractive: Extractive, settings: &config::Generator) -> reqwest::Result<Self> {
        let openai = OpenAi::new(settings)?;
        Ok(Self {
            extractive,
            openai,
            fallback: settings.fallback,
            unsupported: settings.unsupported,
            default: settings.default,
        })
    }

    /// Their names, the default first.
    pub fn names(&self) -> Vec<&'static str> {
        match (&self.openai, self.default) {
            (None, _) => vec![EXTRACTIVE],
            (Some(_), GeneratorName::Extractive) => vec![EXTRACTIVE, openai::NAME],
            (Some(_), GeneratorName::Openai) => vec![openai::NAME, EXTRACTIVE],
        }
    }
}
