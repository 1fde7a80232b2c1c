//! What Sentence Transformers writes beside a network: the modules behind it,
//! how rows are pooled, what stands before a text, and where it is cut
//! (Reimers and Gurevych 2019).

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::LoadError;
use crate::encoder::Rows;
use crate::folder::{Folder, inside};

const MODULES: &str = "modules.json";
const PROMPTS: &str = "config_sentence_transformers.json";
const LENGTH: &str = "sentence_bert_config.json";
const TOKENIZER: &str = "tokenizer_config.json";
/// The files that a model may have or not.
pub(crate) const FILES: [&str; 4] = [MODULES, PROMPTS, LENGTH, TOKENIZER];

/// How the rows of a text become its vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// The mean of all rows.
    Mean,
    /// The first row, of the classification token.
    Cls,
}

impl Pooling {
    /// The rows that it looks at.
    pub(crate) fn rows(self) -> Rows {
        match self {
            Self::Mean => Rows::All,
            Self::Cls => Rows::First,
        }
    }

    /// The name that listings show.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Cls => "cls",
        }
    }
}

/// What a text is to a search: models trained with prompts have one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// What is searched for.
    Query,
    /// What is searched through.
    Passage,
}

/// What stands before texts, empty for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Prompts {
    pub(crate) query: String,
    pub(crate) passage: String,
}

impl Prompts {
    pub(crate) fn of(&self, role: Role) -> &str {
        match role {
            Role::Query => &self.query,
            Role::Passage => &self.passage,
        }
    }
}

#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type")]
    kind: String,
    path: String,
}

#[derive(Deserialize)]
struct RawPrompts {
    #[serde(default)]
    prompts: BTreeMap<String, Option<String>>,
    default_prompt_name: Option<String>,
}

#[derive(Deserialize)]
struct RawLength {
    max_seq_length: Option<u64>,
    #[serde(default)]
    do_lower_case: bool,
    transformer_task: Option<String>,
}

/// The folder of the pooling module's configuration, or nothing if the model
/// does not say what stands behind its network.
pub(crate) fn pooling_folder(folder: &Folder) -> Result<Option<String>, LoadError> {
    let Some(modules) = folder.json::<Vec<Module>>(MODULES)? else {
        return Ok(None);
    };
    let mut pooling = None;
    for (place, module) in modules.iter().enumerate() {
        let name = module.kind.rsplit('.').next().unwrap_or_default();
        match (place, name) {
            (0, "Transformer") if module.path.is_empty() => (),
            (0, "Transformer") => {
                return Err(LoadError::unsupported("a network in the folder", &module.path));
            }
            (1, "Pooling") => {
                inside(MODULES, &module.path)?;
                pooling = Some(module.path.clone());
            }
            // Vectors are brought to unit length in any case.
            (2, "Normalize") => (),
            (_, name) => return Err(LoadError::unsupported("the module", name)),
        }
    }
    if pooling.is_none() {
        return Err(LoadError::unsupported("the pooling", "that is not named"));
    }
    Ok(pooling)
}

/// How a model pools: what its files say, else what the caller says.
pub(crate) fn pooling(
    folder: &Folder,
    given: Option<Pooling>,
    hidden: usize,
) -> Result<(Pooling, bool), LoadError> {
    let Some(path) = pooling_folder(folder)? else {
        let given = given.map(|pooling| (pooling, true));
        return given.ok_or(LoadError::unsupported("the pooling", "that is not named"));
    };
    let file = format!("{path}/config.json");
    let config: BTreeMap<String, Value> = folder.json(&file)?.ok_or_else(|| {
        LoadError::Malformed { file: file.clone(), reason: "it is not there".into() }
    })?;
    let width = ["word_embedding_dimension", "embedding_dimension"];
    let width = width.iter().find_map(|name| config.get(*name)).and_then(Value::as_u64);
    if width.is_some_and(|width| width != hidden as u64) {
        return Err(LoadError::Malformed { file, reason: format!("it pools rows of {width:?}") });
    }
    let with_prompt = config.get("include_prompt").and_then(Value::as_bool).unwrap_or(true);
    Ok((mode(&config)?, with_prompt))
}

/// The one mode of pooling that is on.
fn mode(config: &BTreeMap<String, Value>) -> Result<Pooling, LoadError> {
    const FEATURE: &str = "the pooling";
    let flags = config.iter().filter(|(_, value)| **value == Value::Bool(true));
    let flags = flags.filter_map(|(name, _)| name.strip_prefix("pooling_mode_"));
    let named = config.get("pooling_mode").and_then(Value::as_str);
    let modes: Vec<&str> = flags.chain(named).collect();
    match *modes {
        ["mean_tokens" | "mean"] => Ok(Pooling::Mean),
        ["cls_token" | "cls"] => Ok(Pooling::Cls),
        [] => Err(LoadError::unsupported(FEATURE, "that is not named")),
        _ => Err(LoadError::unsupported(FEATURE, modes.join(" with "))),
    }
}

/// The prompts that the model's files name.
pub(crate) fn prompts(folder: &Folder) -> Result<Prompts, LoadError> {
    let Some(raw) = folder.json::<RawPrompts>(PROMPTS)? else {
        return Ok(Prompts::default());
    };
    // The names that Sentence Transformers looks for, in its order. It writes an
    // empty one for "document" into the files of models that have "passage", so
    // empty ones are passed over.
    let first = |names: &[&str]| {
        let mut named = names.iter().copied().chain(raw.default_prompt_name.as_deref());
        let prompt = |name| raw.prompts.get(name)?.clone().filter(|prompt| !prompt.is_empty());
        named.find_map(prompt).unwrap_or_default()
    };
    Ok(Prompts { query: first(&["query"]), passage: first(&["document", "passage", "corpus"]) })
}

/// The tokens at which the model's files say that a text is cut.
pub(crate) fn max_length(folder: &Folder) -> Result<Option<u64>, LoadError> {
    if let Some(length) = folder.json::<RawLength>(LENGTH)? {
        if length.do_lower_case {
            return Err(LoadError::unsupported("the option of the network", "do_lower_case"));
        }
        match length.transformer_task.as_deref() {
            None | Some("feature-extraction") => (),
            Some(task) => return Err(LoadError::unsupported("for embeddings, the task", task)),
        }
        if length.max_seq_length.is_some() {
            return Ok(length.max_seq_length);
        }
    }
    tokenizer_length(folder)
}

/// The tokens at which the tokenizer's own configuration says that a text is
/// cut; "no limit" is written as a number of thirty digits there.
pub(crate) fn tokenizer_length(folder: &Folder) -> Result<Option<u64>, LoadError> {
    let config: Option<Value> = folder.json(TOKENIZER)?;
    Ok(config.and_then(|config| config.get("model_max_length")?.as_u64()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::*;

    fn with(files: &[(&str, Value)]) -> (tempfile::TempDir, Folder) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("1_Pooling")).unwrap();
        for (name, value) in files {
            fs::write(dir.path().join(name), value.to_string()).unwrap();
        }
        let folder = Folder::open(dir.path()).unwrap();
        (dir, folder)
    }

    fn modules(last: &str) -> Value {
        let module = |kind: &str, path: &str| json!({"type": format!("sentence_transformers.models.{kind}"), "path": path});
        json!([module("Transformer", ""), module("Pooling", "1_Pooling"), module(last, "2_Last")])
    }

    #[test]
    fn other_poolings_and_modules_are_refused_with_their_name() {
        let mean = json!({"word_embedding_dimension": 8, "pooling_mode_mean_tokens": true});
        let max = json!({"pooling_mode_max_tokens": true, "pooling_mode_cls_token": false});
        let both = json!({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true});
        let cases = [
            (modules("Normalize"), mean.clone(), None),
            (modules("Dense"), mean.clone(), Some("Dense")),
            (modules("Normalize"), max, Some("max_tokens")),
            (modules("Normalize"), both, Some("cls_token with mean_tokens")),
            (modules("Normalize"), json!({"pooling_mode": "lasttoken"}), Some("lasttoken")),
            (modules("Normalize"), json!({"word_embedding_dimension": 9}), Some("9")),
            (json!([]), mean, Some("not named")),
        ];
        for (modules, config, refused) in cases {
            let (_dir, folder) =
                with(&[("modules.json", modules), ("1_Pooling/config.json", config)]);
            match (pooling(&folder, None, 8), refused) {
                (Ok(found), None) => assert_eq!(found, (Pooling::Mean, true)),
                (Err(error), Some(name)) => assert!(error.to_string().contains(name), "{error}"),
                (found, _) => panic!("{found:?}"),
            }
        }
    }

    #[test]
    fn a_model_without_modules_pools_as_the_caller_says_or_not_at_all() {
        let (_dir, folder) = with(&[]);
        assert!(pooling(&folder, None, 8).is_err());
        assert_eq!(pooling(&folder, Some(Pooling::Cls), 8).unwrap(), (Pooling::Cls, true));
    }

    #[test]
    fn prompts_and_lengths_are_those_of_the_files() {
        let prompts_file =
            json!({"prompts": {"query": "query: ", "document": "", "passage": "passage: "}});
        let (_dir, folder) = with(&[
            (PROMPTS, prompts_file),
            (LENGTH, json!({"max_seq_length": 128})),
            (TOKENIZER, json!({"model_max_length": 512})),
        ]);
        let found = prompts(&folder).unwrap();
        assert_eq!((found.of(Role::Query), found.of(Role::Passage)), ("query: ", "passage: "));
        assert_eq!(max_length(&folder).unwrap(), Some(128));
        assert_eq!(tokenizer_length(&folder).unwrap(), Some(512));
        let one_for_all = json!({"prompts": {"a": "all: ", "b": null}, "default_prompt_name": "a"});
        let (_dir, folder) = with(&[(PROMPTS, one_for_all)]);
        let found = prompts(&folder).unwrap();
        assert_eq!((found.query.as_str(), found.passage.as_str()), ("all: ", "all: "));
        let (_dir, folder) = with(&[(LENGTH, json!({"transformer_task": "fill-mask"}))]);
        assert!(max_length(&folder).unwrap_err().to_string().contains("fill-mask"));
        let (_dir, folder) = with(&[(TOKENIZER, json!({"model_max_length": 1e30}))]);
        assert_eq!(max_length(&folder).unwrap(), None);
    }
}
