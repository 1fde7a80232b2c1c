//! Settings of the endpoints that the provider may ask and of what it keeps, by
//! the names and with the defaults that the host has for them.

use std::time::Duration;

use ragtime_openai::checked::Unsupported;
use ragtime_openai::client::{Chat, Rewriting};
use ragtime_policy::bounds::Bounds;
use ragtime_policy::breaker;
use ragtime_text::ModelLanguages;

/// Looks a setting up.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// An OpenAI-compatible API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its base, for example `http://127.0.0.1:11434/v1`.
    pub url: String,
    /// The model to ask for.
    pub model: String,
    /// The key for it.
    pub api_key: Option<String>,
    /// How long it may take to accept a connection.
    pub connect_timeout: Duration,
}

/// `RAGTIME_GENERATOR__…`: a language model that answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Generator {
    /// Where.
    pub endpoint: Endpoint,
    /// Whether it answers when a question names nobody.
    pub default: bool,
    /// Whether quotes answer when it cannot.
    pub fallback: bool,
    /// What becomes of a statement that no source supports.
    pub unsupported: Unsupported,
    /// How it is asked.
    pub chat: Chat,
    /// When it is left alone, and for how long.
    pub breaker: breaker::Limits,
}

/// `RAGTIME_EMBEDDINGS__…`: a model that makes vectors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embeddings {
    /// Where.
    pub endpoint: Endpoint,
    /// Tokens of a text that it sees.
    pub max_tokens: u32,
    /// How long one request may take: some dozens of texts on a small machine.
    pub timeout: Duration,
    /// The languages that the model knows; all unless they are named. It has no vote
    /// on texts in others.
    pub languages: ModelLanguages,
}

/// A setting that is not of its kind.
#[derive(Debug, thiserror::Error)]
#[error("RAGTIME_{0} is not a value it can have")]
pub struct Invalid(String);

/// The confidence below which quotes decline.
pub fn min_confidence(lookup: Lookup<'_>) -> Result<f32, Invalid> {
    let section = Section { name: "GENERATOR__", lookup };
    section.number("MIN_CONFIDENCE", ragtime_extractive::Settings::default().min_confidence)
}

impl Generator {
    /// None without a URL.
    pub fn from(lookup: Lookup<'_>) -> Result<Option<Self>, Invalid> {
        let section = Section { name: "GENERATOR__", lookup };
        let Some(endpoint) = section.endpoint()? else { return Ok(None) };
        let default = match section.text("DEFAULT").as_deref() {
            None | Some("extractive") => false,
            Some("openai") => true,
            Some(_) => return Err(section.invalid("DEFAULT")),
        };
        Ok(Some(Self {
            default,
            fallback: section.number("FALLBACK", true)?,
            unsupported: match section.text("UNSUPPORTED").as_deref() {
                None | Some("mark") => Unsupported::Mark,
                Some("drop") => Unsupported::Drop,
                Some(_) => return Err(section.invalid("UNSUPPORTED")),
            },
            chat: chat(&section, &endpoint.model)?,
            endpoint,
            breaker: breaker::Limits {
                failures: section.number("BREAKER_FAILURES", 5)?.max(1),
                cooldown: section.milliseconds("BREAKER_COOLDOWN_MS", 10_000)?,
            },
        }))
    }
}

fn chat(section: &Section<'_>, model: &str) -> Result<Chat, Invalid> {
    let max_tokens = section.number("MAX_TOKENS", 1_024)?;
    let rewrites = match section.text("REWRITE").as_deref() {
        None | Some("never") => false,
        Some("follow-ups") => true,
        Some(_) => return Err(section.invalid("REWRITE")),
    };
    let rewriting = Rewriting {
        max_tokens: section.number("REWRITE_MAX_TOKENS", 512)?,
        timeout: section.milliseconds("REWRITE_TIMEOUT_MS", 5_000)?,
    };
    Ok(Chat {
        model: model.to_owned(),
        max_tokens,
        first_token_timeout: section.milliseconds("FIRST_TOKEN_TIMEOUT_MS", 30_000)?,
        total_timeout: section.milliseconds("TOTAL_TIMEOUT_MS", 180_000)?,
        max_retries: section.number("MAX_RETRIES", 2)?,
        rewriting: rewrites.then_some(rewriting),
    })
}

impl Embeddings {
    /// None without a URL.
    pub fn from(lookup: Lookup<'_>) -> Result<Option<Self>, Invalid> {
        let section = Section { name: "EMBEDDINGS__", lookup };
        let Some(endpoint) = section.endpoint()? else { return Ok(None) };
        Ok(Some(Self {
            endpoint,
            max_tokens: section.number("MAX_TOKENS", 512)?,
            timeout: section.milliseconds("TIMEOUT_MS", 30_000)?,
            languages: ModelLanguages::parse(&section.text("LANGUAGES").unwrap_or_default())
                .map_err(|_| section.invalid("LANGUAGES"))?,
        }))
    }
}

/// `RAGTIME_DATA__…`: how many collections and jobs are kept.
pub fn bounds(lookup: Lookup<'_>) -> Result<Bounds, Invalid> {
    let section = Section { name: "DATA__", lookup };
    let default = Bounds::default();
    let seconds = section.number("JOB_RETENTION_SECONDS", default.job_retention.as_secs())?;
    Ok(Bounds {
        max_collections: section.number("MAX_COLLECTIONS", default.max_collections)?,
        job_retention: Duration::from_secs(seconds),
        max_jobs: section.number("MAX_JOBS", default.max_jobs)?,
    })
}

struct Section<'a> {
    name: &'static str,
    lookup: Lookup<'a>,
}

impl Section<'_> {
    fn endpoint(&self) -> Result<Option<Endpoint>, Invalid> {
        let Some(url) = self.text("URL") else { return Ok(None) };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            return Err(self.invalid("URL"));
        }
        Ok(Some(Endpoint {
            url: url.trim_end_matches('/').to_owned(),
            model: self.text("MODEL").unwrap_or_default(),
            api_key: self.text("API_KEY"),
            connect_timeout: self.milliseconds("CONNECT_TIMEOUT_MS", 5_000)?,
        }))
    }

    fn text(&self, name: &str) -> Option<String> {
        (self.lookup)(&format!("RAGTIME_{}{name}", self.name)).filter(|text| !text.is_empty())
    }

    fn number<T: std::str::FromStr>(&self, name: &str, default: T) -> Result<T, Invalid> {
        match self.text(name) {
            Some(text) => text.parse().map_err(|_| self.invalid(name)),
            None => Ok(default),
        }
    }

    fn milliseconds(&self, name: &str, default: u64) -> Result<Duration, Invalid> {
        self.number(name, default).map(Duration::from_millis)
    }

    fn invalid(&self, name: &str) -> Invalid {
        Invalid(format!("{}{name}", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_url_there_is_nobody_to_ask() {
        assert_eq!(Generator::from(&|_| None).unwrap(), None);
        assert_eq!(Embeddings::from(&|_| None).unwrap(), None);
    }

    #[test]
    fn settings_are_read_and_wrong_ones_named() {
        let set = |name: &str| match name {
            "RAGTIME_GENERATOR__URL" => Some("http://127.0.0.1:1/v1/".to_owned()),
            "RAGTIME_GENERATOR__DEFAULT" => Some("openai".to_owned()),
            "RAGTIME_GENERATOR__MAX_RETRIES" => Some("0".to_owned()),
            _ => None,
        };
        let generator = Generator::from(&set).unwrap().unwrap();
        assert_eq!(generator.endpoint.url, "http://127.0.0.1:1/v1");
        assert!(generator.default && generator.fallback && generator.chat.max_retries == 0);
        let wrong = |name: &str| {
            set(name)
                .filter(|_| name.ends_with("URL"))
                .or((name.ends_with("TOKENS")).then(|| "x".into()))
        };
        let error = Generator::from(&wrong).unwrap_err().to_string();
        assert_eq!(error, "RAGTIME_GENERATOR__MAX_TOKENS is not a value it can have");
        assert!(Embeddings::from(&|_| Some("ftp://x".into())).is_err());
    }
}
