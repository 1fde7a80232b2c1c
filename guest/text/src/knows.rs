//! Which languages a model knows.

use crate::language::Language;

/// The languages of a model. What it makes of any other says nothing, so it has no
/// vote there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModelLanguages(Vec<Language>);

impl ModelLanguages {
    /// Of a list of their codes with commas between; without any, the model is taken
    /// to know all.
    ///
    /// # Errors
    ///
    /// The first that is no code of a language.
    pub fn parse(codes: &str) -> Result<Self, String> {
        let codes = codes.split(',').map(str::trim).filter(|code| !code.is_empty());
        let parse = |code: &str| Language::parse(code).ok_or_else(|| code.to_owned());
        codes.map(parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether texts in a language mean something to the model. A text whose
    /// language is not known may be a name or a number, and gets the benefit of the doubt.
    pub fn knows(&self, language: Option<Language>) -> bool {
        self.0.is_empty() || language.is_none_or(|language| self.0.contains(&language))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_knows_its_languages_and_one_without_a_list_all() {
        let english = ModelLanguages::parse("en-US");
        let knows = |code| english.as_ref().is_ok_and(|one| one.knows(Language::parse(code)));
        assert!(knows("en") && knows("") && !knows("de"));
        assert_eq!(ModelLanguages::parse(" "), Ok(ModelLanguages::default()));
        assert!(ModelLanguages::default().knows(Language::parse("de")));
        assert_eq!(ModelLanguages::parse("en, german"), Err("german".to_owned()));
    }
}
