//! The direction of dependencies: guest → guest/api, host → its pure crates,
//! and the two meet only in `wit/`.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, MetadataCommand};

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    let metadata = MetadataCommand::new().manifest_path(root).no_deps().exec().unwrap();
    let packages = metadata.packages.into_iter().map(|package| {
        let normal =
            package.dependencies.into_iter().filter(|one| one.kind == DependencyKind::Normal);
        (package.name.to_string(), normal.map(|one| one.name).collect())
    });
    packages.collect()
}

#[test]
fn host_and_guest_do_not_know_each_other() {
    let dependencies = dependencies();
    let own = |name: &str| -> Vec<_> {
        dependencies[name].iter().filter(|one| one.starts_with("ragtime")).cloned().collect()
    };
    assert_eq!(own("ragtime-guest"), ["ragtime-api"]);
    assert_eq!(own("ragtime-api"), ["ragtime-policy", "ragtime-text"]);
    assert_eq!(own("ragtime-extractive"), ["ragtime-text"]);
    assert!(!own("ragtime").iter().any(|one| one == "ragtime-api" || one == "ragtime-guest"));
    for pure in ["ragtime-policy", "ragtime-text"] {
        assert!(own(pure).is_empty(), "{pure}");
    }
}

#[test]
fn pure_crates_have_no_way_to_do_io() {
    let dependencies = dependencies();
    for pure in
        ["ragtime-policy", "ragtime-extractive", "ragtime-openai", "ragtime-api", "ragtime-text"]
    {
        for io in [
            "tokio",
            "hyper",
            "reqwest",
            "wasmtime",
            "rusqlite",
            "tantivy",
            "wasip3",
            "wit-bindgen",
        ] {
            assert!(!dependencies[pure].contains(io), "{pure} uses {io}");
        }
    }
}

#[test]
fn only_capabilities_name_the_generated_bindings() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
    for entry in walkdir::WalkDir::new(source).into_iter().map(Result::unwrap) {
        let inside = entry.path().components().any(|part| part.as_os_str() == "capability");
        if entry.file_type().is_file() && !inside {
            let text = std::fs::read_to_string(entry.path()).unwrap();
            assert!(!text.contains("capability::bindings"), "{}", entry.path().display());
        }
    }
}
