//! Generators: from a question and its passages to an answer.

mod extractive;
pub mod openai;

pub use extractive::{Extract, Extractive, NAME as EXTRACTIVE};

use crate::config::{self, GeneratorName, Settings};
use openai::OpenAi;
pub use ragtime_openai::checked::Assessed;
use ragtime_openai::checked::Unsupported;

/// Those there are.
pub struct Generators {
    /// Needs no model of its own.
    pub extractive: Extractive,
    /// Language models, that of `[generator]` first.
    models: Vec<OpenAi>,
    /// Whether the first answers when another cannot.
    pub fallback: bool,
    /// What becomes of a statement of a language model that no source supports.
    pub unsupported: Unsupported,
    /// Who answers when a question names nobody.
    default: &'static str,
}

impl Generators {
    /// Those that the settings name.
    pub fn new(extractive: Extractive, settings: &Settings) -> reqwest::Result<Self> {
        let generator = &settings.generator;
        let mut models: Vec<_> = OpenAi::new(openai::NAME, generator)?.into_iter().collect();
        for (name, named) in &settings.models.generation {
            // Metrics and traces are labelled by it for as long as the process lives.
            let name: &'static str = Box::leak(name.clone().into_boxed_str());
            models.extend(OpenAi::new(name, &merged(generator, name, named))?);
        }
        let named = settings.models.default_generation.as_deref();
        let named = named.and_then(|name| models.iter().find(|model| model.name() == name));
        let default = match (named, generator.default, models.first()) {
            (Some(named), ..) => named.name(),
            (None, GeneratorName::Openai, Some(first)) => first.name(),
            (None, GeneratorName::Openai, None) | (None, GeneratorName::Extractive, _) => {
                EXTRACTIVE
            }
        };
        Ok(Self {
            extractive,
            models,
            fallback: generator.fallback,
            unsupported: generator.unsupported,
            default,
        })
    }

    /// Their names, the default first.
    pub fn names(&self) -> Vec<&'static str> {
        let all = [EXTRACTIVE].into_iter().chain(self.models.iter().map(OpenAi::name));
        let others = all.filter(|name| *name != self.default);
        [self.default].into_iter().chain(others).collect()
    }

    /// The language model of this name.
    pub fn model(&self, name: &str) -> Option<&OpenAi> {
        self.models.iter().find(|model| model.name() == name)
    }

    /// The language model that rewrites questions: the one that answers by default, or
    /// the first.
    pub fn rewriter(&self) -> Option<&OpenAi> {
        self.model(self.default).or(self.models.first())
    }
}

/// The settings of a language model that has some of its own.
fn merged(
    generator: &config::Generator,
    name: &str,
    named: &config::Generation,
) -> config::Generator {
    config::Generator {
        url: Some(named.url.clone()),
        model: named.model.clone().unwrap_or_else(|| name.to_owned()),
        api_key: named.api_key.clone(),
        max_tokens: named.max_tokens.unwrap_or(generator.max_tokens),
        ..generator.clone()
    }
}
