//! What strings of the contract may be. Each rule says what is wrong in words
//! that follow the name of the field.

use ragtime_policy::details::{QUESTION, SOURCES, has_places};
use ragtime_policy::names;

use crate::json::Rule;
use crate::limits;
use crate::routes::Scope;

/// A collection's name.
pub const COLLECTION: Rule = Rule {
    check: collection,
    min_chars: 1,
    max_chars: limits::MAX_COLLECTION_CHARS,
    pattern: "^[a-z0-9][a-z0-9_-]*$",
    format: None,
    named: None,
};

/// A document's id.
pub const DOCUMENT_ID: Rule = Rule {
    check: document_id,
    min_chars: 1,
    max_chars: limits::MAX_ID_CHARS,
    pattern: r"^(?!\.\.?$)[^\s\u0000-\u001f\u007f-\u009f]([^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f])?$",
    format: None,
    named: None,
};

/// A document's title.
pub const TITLE: Rule = Rule {
    check: title,
    min_chars: 0,
    max_chars: limits::MAX_TITLE_BYTES,
    pattern: r"^[^\u0000-\u001f\u007f-\u009f]*$",
    format: None,
    named: None,
};

/// The code of no language in particular (ISO 639-2).
pub const UNDETERMINED: &str = "und";

/// A language, of which the primary subtag counts.
pub const LANGUAGE: Rule = Rule {
    check: language,
    min_chars: 2,
    max_chars: MAX_LANGUAGE_CHARS,
    pattern: "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{1,8})*$",
    format: None,
    named: None,
};

/// What the prompt of a language model says first.
pub const PROMPT_SYSTEM: Rule = Rule {
    check: prompt_system,
    min_chars: 1,
    max_chars: limits::MAX_PROMPT_BYTES,
    pattern: r"\S",
    format: None,
    named: None,
};

/// The message that a language model is asked with.
pub const PROMPT_TEMPLATE: Rule = Rule {
    check: prompt_template,
    min_chars: SOURCES.len() + QUESTION.len(),
    max_chars: limits::MAX_PROMPT_BYTES,
    pattern: r"\{sources\}[\s\S]*\{question\}",
    format: None,
    named: None,
};

/// Characters of a language tag: what BCP 47 asks to have room for.
const MAX_LANGUAGE_CHARS: usize = 35;

/// A document as sent.
pub const TEXT: Rule = Rule {
    check: text,
    min_chars: 1,
    max_chars: limits::MAX_TEXT_BYTES,
    pattern: r"\S",
    format: None,
    named: None,
};

/// A question or search.
pub const QUERY: Rule = Rule {
    check: query,
    min_chars: 1,
    max_chars: limits::MAX_QUERY_BYTES,
    pattern: r"^[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*$",
    format: None,
    named: None,
};

/// A generator's name.
pub const GENERATOR: Rule = Rule {
    check: generator,
    min_chars: 1,
    max_chars: limits::MAX_GENERATOR_BYTES,
    pattern: "",
    format: None,
    named: Some("Generator"),
};

/// A key's name.
pub const KEY_NAME: Rule = Rule {
    check: key_name,
    min_chars: 1,
    max_chars: limits::MAX_KEY_NAME_CHARS,
    pattern: r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f][^\u0000-\u001f\u007f-\u009f]*$",
    format: None,
    named: None,
};

/// A model's name.
pub const MODEL: Rule = Rule {
    check: model,
    min_chars: 1,
    max_chars: limits::MAX_MODEL_CHARS,
    pattern: r"^[^\s\u0000-\u001f\u007f-\u009f]+$",
    format: None,
    named: None,
};

/// A text to embed.
pub const INPUT: Rule = Rule {
    check: input,
    min_chars: 1,
    max_chars: limits::MAX_EMBEDDING_BYTES,
    pattern: "",
    format: None,
    named: None,
};

/// A scope's name.
pub const SCOPE: Rule = Rule {
    check: scope,
    min_chars: 1,
    max_chars: 5,
    pattern: "^(read|write|admin)$",
    format: None,
    named: None,
};

/// An RFC 3339 time.
pub const TIME: Rule = Rule {
    check: time,
    min_chars: 20,
    max_chars: 40,
    pattern: r"^\d{4}-\d\d-\d\d[Tt]",
    format: Some("date-time"),
    named: None,
};

/// Result of a rule.
pub type Verdict = Result<(), String>;

/// `^[a-z0-9][a-z0-9_-]{0,63}$`
pub fn collection(name: &str) -> Verdict {
    require(names::check_collection(name).is_ok(), || {
        format!(
            "must be 1 to {} of a-z, 0-9, _ and -, starting with a letter or digit",
            limits::MAX_COLLECTION_CHARS
        )
    })
}

/// Any visible text that cannot be taken for a step in a path.
pub fn document_id(id: &str) -> Verdict {
    let valid = (1..=limits::MAX_ID_CHARS).contains(&id.chars().count())
        && !id.chars().any(char::is_control)
        && !matches!(id, "." | "..")
        && id.trim() == id;
    require(valid, || {
        format!(
            "must be 1 to {} characters, without control characters or outer spaces, and not \".\" or \"..\"",
            limits::MAX_ID_CHARS
        )
    })
}

/// A title; may be empty.
pub fn title(title: &str) -> Verdict {
    let valid = title.len() <= limits::MAX_TITLE_BYTES && !title.chars().any(char::is_control);
    require(valid, || {
        format!("must be at most {} bytes, without control characters", limits::MAX_TITLE_BYTES)
    })
}

/// A BCP 47 tag.
pub fn language(tag: &str) -> Verdict {
    let subtag = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let valid = tag.len() <= MAX_LANGUAGE_CHARS
        && ragtime_text::Language::parse(tag).is_some()
        && tag.split(['-', '_']).all(subtag);
    require(valid, || "must be a BCP 47 tag, for example de or pt-BR".to_owned())
}

fn prompt_bytes(text: &str) -> Verdict {
    require(text.len() <= limits::MAX_PROMPT_BYTES, || {
        format!("must be at most {} bytes", limits::MAX_PROMPT_BYTES)
    })
}

/// What the prompt of a language model says first.
pub fn prompt_system(text: &str) -> Verdict {
    prompt_bytes(text)?;
    require(!text.trim().is_empty(), || "must not be empty".to_owned())
}

/// The message that a language model is asked with.
pub fn prompt_template(text: &str) -> Verdict {
    prompt_bytes(text)?;
    require(has_places(text), || format!("must hold {SOURCES}, and {QUESTION} behind them"))
}

/// A document as sent.
pub fn text(text: &str) -> Verdict {
    require(text.len() <= limits::MAX_TEXT_BYTES, || {
        format!("must be at most {} bytes", limits::MAX_TEXT_BYTES)
    })?;
    require(!text.trim().is_empty(), || "must not be empty".to_owned())
}

/// A question or search.
pub fn query(text: &str) -> Verdict {
    require(text.len() <= limits::MAX_QUERY_BYTES, || {
        format!("must be at most {} bytes", limits::MAX_QUERY_BYTES)
    })?;
    require(!text.trim().is_empty(), || "must not be empty".to_owned())?;
    require(!text.chars().any(unprintable), || "must not hold control characters".to_owned())
}

/// Control characters but tab and line breaks.
fn unprintable(char: char) -> bool {
    char.is_control() && !matches!(char, '\t' | '\n' | '\r')
}

/// A model's name.
pub fn model(name: &str) -> Verdict {
    let valid = (1..=limits::MAX_MODEL_CHARS).contains(&name.chars().count())
        && !name.chars().any(|char| char.is_whitespace() || char.is_control());
    require(valid, || format!("must be 1 to {} characters without spaces", limits::MAX_MODEL_CHARS))
}

/// A text to embed.
pub fn input(text: &str) -> Verdict {
    require((1..=limits::MAX_EMBEDDING_BYTES).contains(&text.len()), || {
        format!("must be 1 to {} bytes", limits::MAX_EMBEDDING_BYTES)
    })
}

/// A generator's name.
pub fn generator(name: &str) -> Verdict {
    require((1..=limits::MAX_GENERATOR_BYTES).contains(&name.len()), || {
        format!("must be 1 to {} bytes", limits::MAX_GENERATOR_BYTES)
    })
}

/// A key's name.
pub fn key_name(name: &str) -> Verdict {
    let valid = (1..=limits::MAX_KEY_NAME_CHARS).contains(&name.chars().count())
        && !name.trim().is_empty()
        && !name.chars().any(char::is_control);
    require(valid, || {
        format!(
            "must be 1 to {} characters, without control characters",
            limits::MAX_KEY_NAME_CHARS
        )
    })
}

/// A scope's name.
pub fn scope(name: &str) -> Verdict {
    require(name.parse::<Scope>().is_ok(), || {
        "must be one of \"read\", \"write\", \"admin\"".to_owned()
    })
}

/// An RFC 3339 time.
pub fn time(text: &str) -> Verdict {
    require(crate::time::parse(text).is_some(), || {
        "must be an RFC 3339 time, for example 2030-01-31T08:30:00Z".to_owned()
    })
}

fn require(valid: bool, detail: impl FnOnce() -> String) -> Verdict {
    if valid { Ok(()) } else { Err(detail()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collection_names_are_safe_in_paths_and_models() {
        for name in ["a", "0", "default", "a-b_c", &"x".repeat(64)] {
            assert_eq!(collection(name), Ok(()), "{name}");
        }
        for name in ["", "A", "_a", "-a", "a.b", "a/b", "ä", &"x".repeat(65)] {
            assert!(collection(name).is_err(), "{name}");
        }
    }

    #[test]
    fn document_ids_may_be_any_visible_text() {
        for id in ["a", "docs/intro.md", "https://x.example/?q=1#f", "日本語", "a b", "..."] {
            assert_eq!(document_id(id), Ok(()), "{id}");
        }
        for id in ["", ".", "..", "a\nb", "a\0", " a", &"é".repeat(257)] {
            assert!(document_id(id).is_err(), "{id:?}");
        }
        assert_eq!(document_id(&"é".repeat(256)), Ok(()));
    }

    #[test]
    fn a_language_is_a_tag() {
        for tag in ["de", "pt-BR", "zh_Hant", "fil"] {
            assert_eq!(language(tag), Ok(()), "{tag}");
        }
        for tag in ["", "d", "german", "de-", "d1", "de-toolongapart"] {
            assert!(language(tag).is_err(), "{tag}");
        }
    }

    #[test]
    fn a_query_has_words_and_no_control_characters() {
        assert_eq!(query("what\tis\nthis?"), Ok(()));
        for text in ["", "  \n", "a\0b", "\u{1b}[0m", &"x".repeat(8_193)] {
            assert!(query(text).is_err());
        }
    }
}
