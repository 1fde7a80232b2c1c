//! Circles between files: a file that uses another which uses it, by whatever way. What
//! stands in a circle is read, tested and moved as one. A file and those in its folder are
//! one thing, and no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::{ROOT, sources};

/// The sources of each crate, with the files that are in circles. A list only gets shorter:
/// a file that is in none any more has to be taken out, and none comes in.
const LEFT: &[(&str, &[&str])] = &[
    ("guest/api/src", &[]),
    ("guest/providers/src", &[]),
    ("guest/src", &[]),
    ("guest/text/src", &[]),
    ("host/embed/src", &[]),
    ("host/extractive/src", &[]),
    ("host/filter/src", &[]),
    ("host/openai/src", &[]),
    ("host/plug/src", &[]),
    ("host/policy/src", &[]),
    // The generated bindings name the types behind handles, which name the bindings.
    (
        "host/src",
        &[
            "capability::auth",
            "capability::bindings",
            "capability::call",
            "capability::error",
            "capability::rate_limit",
            "capability::scopes",
        ],
    ),
    ("host/store/src", &[]),
];

/// A path from the root of a crate.
type Module = Vec<String>;

fn module(folder: &Path, file: &Path) -> Module {
    let file = file.strip_prefix(folder).unwrap().with_extension("");
    let mut module: Module = file.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
    let last = module.pop().unwrap();
    if last != "mod" && !(module.is_empty() && ["lib", "main"].contains(&&*last)) {
        module.push(last);
    }
    module
}

/// The paths of a tree as `use` has it: `a::{b, c::d}` has `a::b` and `a::c::d`. What is
/// read is taken off `text`.
fn paths(text: &mut &str) -> Vec<Module> {
    let mut path = Module::new();
    loop {
        if let Some(rest) = text.strip_prefix('{') {
            *text = rest;
            return branches(text).into_iter().map(|end| [&path[..], &end[..]].concat()).collect();
        }
        let is_over = |char: char| !char.is_alphanumeric() && char != '_';
        let (name, rest) = text.split_at(text.find(is_over).unwrap_or(text.len()));
        if !name.is_empty() {
            path.push(name.to_owned());
        }
        *text = rest;
        match text.strip_prefix("::") {
            Some(rest) if !name.is_empty() => *text = rest,
            _ => return vec![path],
        }
    }
}

fn branches(text: &mut &str) -> Vec<Module> {
    let mut all = Vec::new();
    loop {
        *text = text.trim_start_matches([' ', '\n', ',']);
        match text.strip_prefix('}') {
            Some(rest) => *text = rest,
            None if text.is_empty() => {}
            None => {
                all.extend(paths(text));
                // `as` another name is no part of the path.
                *text = &text[text.find([',', '}']).unwrap_or(text.len())..];
                continue;
            }
        }
        return all;
    }
}

/// What a file names of its crate, from the root; its tests may name what they like.
fn named(module: &[String], text: &str) -> Vec<Module> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code = text.lines().map(|line| line.split("//").next().unwrap());
    let code = code.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for root in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(root) {
            // The rest of a longer path, or of a longer name.
            if code[..at].ends_with(|char: char| char.is_alphanumeric() || ":_".contains(char)) {
                continue;
            }
            found.extend(paths(&mut &code[at..]).into_iter().map(|path| absolute(module, &path)));
        }
    }
    found
}

fn absolute(module: &[String], path: &[String]) -> Module {
    if path[0] == "crate" {
        return path[1..].to_vec();
    }
    let above = path.iter().take_while(|part| *part == "super").count();
    let rest = path.iter().skip(above).filter(|part| *part != "self").cloned();
    module[..module.len().saturating_sub(above)].iter().cloned().chain(rest).collect()
}

/// The files of a crate, and which others each uses.
fn uses(folder: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let root = Path::new(ROOT).join(folder);
    let files: BTreeMap<_, _> =
        sources(folder).into_iter().map(|(path, text)| (module(&root, &path), text)).collect();
    let file_of = |path: Module| {
        let mut starts = (0..=path.len()).rev().map(|length| path[..length].to_vec());
        starts.find(|start| files.contains_key(start))
    };
    let used = files.iter().map(|(module, text)| {
        let used = named(module, text).into_iter().filter_map(file_of);
        let others = used.filter(|used| !used.starts_with(module) && !module.starts_with(used));
        (module.clone(), others.collect())
    });
    used.collect()
}

/// The files that use themselves by way of others.
fn in_circles(folder: &str) -> BTreeSet<String> {
    let uses = uses(folder);
    let is_in_circle = |file: &&Module| {
        let (mut seen, mut left) = (BTreeSet::new(), vec![*file]);
        while let Some(next) = left.pop() {
            left.extend(uses[next].iter().filter(|used| seen.insert(*used)));
        }
        seen.contains(*file)
    };
    uses.keys().filter(is_in_circle).map(|file| file.join("::")).collect()
}

#[test]
fn paths_are_read_as_rust_has_them() {
    let module = ["a".to_owned(), "b".to_owned()];
    let text = "use crate::c::{self, d::{E, F}};\nuse super::g; // crate::h\nlet _ = self::i();\n\
                fn j() { my::crate::k }\n#[cfg(test)]\nmod tests { use crate::l; }";
    let named: Vec<_> = named(&module, text).iter().map(|path| path.join("::")).collect();
    assert_eq!(named, ["c::self", "c::d::E", "c::d::F", "a::g", "a::b::i"]);
}

#[test]
fn no_file_comes_into_a_circle() {
    for (folder, left) in LEFT {
        let left: BTreeSet<_> = left.iter().map(|file| (*file).to_owned()).collect();
        let found = in_circles(folder);
        let new: Vec<_> = found.difference(&left).collect();
        assert!(new.is_empty(), "{folder}: these files use each other: {new:?}");
        let gone: Vec<_> = left.difference(&found).collect();
        assert!(gone.is_empty(), "{folder}: these are in no circle any more: {gone:?}");
    }
}
