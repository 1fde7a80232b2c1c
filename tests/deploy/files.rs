//! The files under `deploy/`, read.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use saphyr_parser::{Event, Parser};
use serde_json::{Map, Value};

use super::ROOT;

pub(super) fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// The files below a folder, with their text.
pub(super) fn files(folder: &str) -> Vec<(PathBuf, String)> {
    let entries = walkdir::WalkDir::new(Path::new(ROOT).join(folder)).into_iter();
    let paths = entries.map(|entry| entry.unwrap().into_path()).filter(|path| path.is_file());
    // What an operator keeps there is not ours to read.
    let paths = paths.filter(|path| !path.components().any(|part| part.as_os_str() == "secrets"));
    paths.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// The documents of a YAML file. Every scalar is text.
pub(super) fn yaml(source: &str) -> Vec<Value> {
    /// A list or a mapping that is not closed, and the key that waits for its value.
    enum Open {
        List(Vec<Value>),
        Mapping(Map<String, Value>, Option<String>),
    }
    let (mut documents, mut open) = (Vec::new(), Vec::<Open>::new());
    for event in Parser::new_from_str(source) {
        let value = match event.unwrap().0 {
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Mapping(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().unwrap() {
                Open::List(list) => Value::Array(list),
                Open::Mapping(mapping, _) => Value::Object(mapping),
            },
            _ => continue,
        };
        match open.last_mut() {
            None => documents.push(value),
            Some(Open::List(list)) => list.push(value),
            Some(Open::Mapping(mapping, key)) => match key.take() {
                None => *key = Some(value.as_str().unwrap().to_owned()),
                Some(key) => assert!(mapping.insert(key, value).is_none(), "a key is there twice"),
            },
        }
    }
    documents
}

/// The one document of a YAML file.
pub(super) fn manifest(path: &str) -> Value {
    let mut documents = yaml(&text(path));
    assert_eq!(documents.len(), 1, "{path}");
    documents.remove(0)
}

pub(super) fn kubernetes(name: &str) -> Value {
    manifest(&format!("deploy/kubernetes/{name}.yaml"))
}

pub(super) fn compose() -> Value {
    manifest("deploy/compose.yaml")["services"]["ragtime"].take()
}

/// What the StatefulSet makes a pod of.
pub(super) fn pod() -> Value {
    kubernetes("statefulset")["spec"]["template"].take()
}

pub(super) fn toml(source: &str) -> Value {
    let source = config::File::from_str(source, config::FileFormat::Toml);
    config::Config::builder().add_source(source).build().unwrap().try_deserialize().unwrap()
}

/// `section.key` of all settings, those too that have no default.
pub(super) fn settings() -> BTreeSet<String> {
    let sections = files("host/src/config").into_iter().map(|(_, text)| text);
    let source: String = sections.chain([text("host/src/config.rs")]).collect();
    let sections = toml(&text("ragtime.example.toml")).as_object().unwrap().clone();
    let mut settings = BTreeSet::new();
    for section in sections.keys() {
        let (first, rest) = section.split_at(1);
        let head = format!("pub struct {}{rest} {{", first.to_uppercase());
        let body = source.split(&head).nth(1).unwrap().split("\n}").next().unwrap();
        let fields = body.lines().filter_map(|line| line.strip_prefix("    pub "));
        let names = fields.filter_map(|field| field.split_once(':'));
        settings.extend(names.map(|(name, _)| format!("{section}.{name}")));
    }
    settings
}

/// The names in a text that begin with `RAGTIME_`.
pub(super) fn variables(text: &str) -> impl Iterator<Item = String> {
    text.split("RAGTIME_").skip(1).map(|rest| {
        let end = rest.find(|char: char| !(char.is_ascii_uppercase() || char == '_'));
        format!("RAGTIME_{}", &rest[..end.unwrap_or(rest.len())])
    })
}

/// A setting of the example file, as text.
pub(super) fn default_of(section: &str, key: &str) -> String {
    match &toml(&text("ragtime.example.toml"))[section][key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(super) fn port_of(section: &str) -> String {
    default_of(section, "listen").rsplit(':').next().unwrap().to_owned()
}

pub(super) fn drain_seconds() -> u64 {
    default_of("server", "drain_timeout_ms").parse::<u64>().unwrap() / 1000
}

/// The version in `[workspace.package]`.
pub(super) fn version() -> String {
    toml(&text("Cargo.toml"))["workspace"]["package"]["version"].as_str().unwrap().to_owned()
}

/// The instructions of the Dockerfile, each on one line, without comments.
pub(super) fn instructions() -> Vec<String> {
    let dockerfile = text("deploy/Dockerfile");
    let lines = dockerfile.lines().filter(|line| !line.starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    let lines = joined.lines().filter(|line| !line.is_empty());
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// Those of the last stage.
pub(super) fn last_stage() -> Vec<String> {
    let instructions = instructions();
    let last = instructions.iter().rposition(|line| line.starts_with("FROM ")).unwrap();
    instructions[last..].to_vec()
}

/// The settings in force with these variables.
pub(super) fn in_force(variables: &[(String, String)]) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ragtime"));
    command.args(["config", "--json"]).env_clear().envs(variables.iter().cloned());
    let output = command.current_dir(std::env::temp_dir()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The variables that the image sets.
pub(super) fn of_the_image() -> Vec<(String, String)> {
    let stage = last_stage();
    let variables = stage.iter().filter_map(|line| line.strip_prefix("ENV "));
    let variables = variables.flat_map(|line| line.split(' '));
    let variables = variables.map(|variable| variable.split_once('=').unwrap());
    variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// `Name=value` of the unit file, in its order.
pub(super) fn unit() -> Vec<(String, String)> {
    let unit = text("deploy/systemd/ragtime.service");
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| line.split_once('='));
    lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
