//! The direction of dependencies: guest → guest/api, host → its pure crates,
//! and the two meet only in `wit/`. And the pages: what they lead to is there.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod circles;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

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

/// The Rust files below a folder, each with its text.
fn sources(folder: &str) -> Vec<(PathBuf, String)> {
    let files = walkdir::WalkDir::new(Path::new(ROOT).join(folder)).into_iter();
    let files = files.map(|entry| entry.unwrap().into_path());
    let rust = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

/// Asserts that `words` stand in no Rust file below `folder` but in those of `allowed`.
fn only_in(words: &str, folder: &str, allowed: &[&str]) {
    for (path, text) in sources(folder) {
        let may = allowed.iter().any(|allowed| path.ends_with(allowed));
        assert!(may || !text.contains(words), "{}: {words}", path.display());
    }
}

#[test]
fn an_import_returns_what_question_marks_make_of_a_cause() {
    // The one that is allowed matches what an endpoint said, and returns nothing.
    only_in("Ok(Err(", "host/src/capability", &["capability/rewriting.rs"]);
}

#[test]
fn each_operation_has_one_place_and_one_function() {
    let (matched, table) = (text("guest/src/routes/mod.rs"), text("guest/api/src/routes/mod.rs"));
    assert!(!matched.contains("_ =>"), "a wildcard would hide an operation without a function");
    for (path, described) in sources("guest/api/src/routes") {
        let name = path.file_stem().unwrap().to_str().unwrap();
        if described.contains("const OPERATIONS: &[Described]") {
            assert!(table.contains(&format!("{name}::OPERATIONS")), "{name} is in no table");
            assert!(!described.contains("_ =>"), "{name}");
        }
    }
}

#[test]
fn what_blocks_at_the_start_has_threads_of_its_own() {
    only_in("block_in_place", "host/src/serve", &[]);
    assert!(!text("host/src/serve.rs").contains("block_in_place"));
}

#[test]
fn what_blocks_beside_requests_ends_in_one_error() {
    // What nobody waits for has no error to end in.
    only_in("spawn_blocking(", "host/src", &["src/blocking.rs", "serve/handler.rs"]);
}

#[test]
fn a_rule_reads_no_clock() {
    for read in ["unix_now", "since_epoch", "SystemTime"] {
        only_in(read, "host/policy/src", &["policy/src/clock.rs"]);
    }
}

#[test]
fn the_codes_of_problems_are_those_of_the_catalogue() {
    use ragtime_policy::problem::Code;
    let codes: Vec<_> = Code::API.iter().chain(Code::ADMIN).map(|code| code.entry().code).collect();
    let files =
        ["host/src/server/ingress/problem.rs", "host/src/admin/problem.rs", "guest/src/failure.rs"];
    for file in files {
        let text = text(file);
        let written = codes.iter().find(|code| text.contains(&format!("\"{code}\"")));
        assert_eq!(written, None, "{file}");
    }
}

#[test]
fn a_rule_of_the_domain_is_written_once() {
    // Digests, cursors, the ends of sentences, when an endpoint is asked again, the clock,
    // and what counts against an endpoint.
    for folder in ["host", "guest"] {
        only_in("{byte:02x}", folder, &[]);
        only_in("URL_SAFE_NO_PAD", folder, &["policy/src/cursor.rs", "mcp/resources.rs"]);
        let bounds = ["text/src/sentences.rs", "text/src/sentences/tests.rs", "text/src/class.rs"];
        only_in("split_sentence_bound", folder, &bounds);
        only_in("BACKOFF", folder, &["openai/src/client.rs"]);
        only_in("SystemTime::now().duration_since(UNIX_EPOCH)", folder, &["policy/src/clock.rs"]);
        only_in("CircuitBreaker::new", folder, &["policy/src/breaker.rs"]);
    }
}

/// The most lines of a source file.
const MAX_LINES: usize = 500;

#[test]
fn no_source_file_is_long() {
    for (path, text) in ["host", "guest", "tests", "wit"].into_iter().flat_map(sources) {
        let is_built = path.components().any(|part| part.as_os_str() == "target");
        let lines = text.lines().count();
        assert!(is_built || lines <= MAX_LINES, "{}: {lines} lines", path.display());
    }
}

/// The colours that a style sheet names.
fn palette(sheet: &str) -> BTreeMap<String, String> {
    let sheet = text(sheet);
    let named = sheet.lines().filter_map(|line| line.trim().strip_prefix("--")?.split_once(": "));
    named.map(|(name, colour)| (name.to_owned(), colour.to_owned())).collect()
}

#[test]
fn console_and_playground_have_one_palette() {
    // Host and handler share no file, so that each is built without the other.
    let console = palette("host/src/admin/console/console.css");
    let playground = palette("guest/src/pages/style.css");
    assert!(playground.len() > 5, "{playground:?}");
    for (name, colour) in playground {
        assert_eq!(console.get(&name), Some(&colour), "{name}");
    }
}

/// The root of the workspace.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Pages outside of `docs/`.
const PAGES: [&str; 6] = [
    "README.md",
    "ARCHITECTURE.md",
    "SECURITY.md",
    "CONTRIBUTING.md",
    "deploy/README.md",
    "tests/README.md",
];

/// What the name of a file begins with, where a page names one.
const FOLDERS: [&str; 7] = [".github/", "deploy/", "docs/", "guest/", "host/", "tests/", "wit/"];

/// The pages of `docs/`, from the root.
fn docs() -> Vec<String> {
    let names = std::fs::read_dir(Path::new(ROOT).join("docs")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect()
}

/// Every page, from the root.
fn pages() -> Vec<String> {
    PAGES.into_iter().map(str::to_owned).chain(docs()).collect()
}

fn text(path: &str) -> String {
    std::fs::read_to_string(Path::new(ROOT).join(path)).unwrap()
}

/// A page without its blocks of code.
fn prose(page: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}

/// Where the links of a page lead that stay in the repository.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.contains("://")).map(str::to_owned).collect()
}

/// What a link to a heading says, as GitHub has it.
fn anchor(heading: &str) -> String {
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = heading.chars().filter(|char| char.is_alphanumeric() || " -_".contains(*char));
    kept.map(|char| if char == ' ' { '-' } else { char }).collect()
}

#[test]
fn the_readme_is_short() {
    let lines = text("README.md").lines().count();
    assert!(lines <= 150, "{lines} lines");
}

#[test]
fn every_link_leads_somewhere() {
    for page in pages() {
        let folder = Path::new(ROOT).join(&page).parent().map(PathBuf::from).unwrap();
        for link in links(&text(&page)) {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => Path::new(ROOT).join(&page),
                path => folder.join(path),
            };
            assert!(target.exists(), "{page}: {link}");
            if !heading.is_empty() {
                let prose = prose(&std::fs::read_to_string(&target).unwrap());
                let mut headings = prose.lines().filter(|line| line.starts_with('#'));
                assert!(headings.any(|line| anchor(line) == heading), "{page}: {link}");
            }
        }
    }
}

#[test]
fn every_file_that_a_page_names_is_there() {
    for page in pages() {
        let prose = prose(&text(&page));
        // What stands between two backticks; a command is named by its first word.
        let code = prose.split('`').skip(1).step_by(2);
        let words = code.filter_map(|code| code.split_whitespace().next());
        for word in words.filter(|word| FOLDERS.iter().any(|folder| word.starts_with(folder))) {
            assert!(Path::new(ROOT).join(word).exists(), "{page}: {word}");
        }
    }
}

#[test]
fn the_readme_leads_to_every_page() {
    let links = links(&text("README.md"));
    for page in pages().into_iter().filter(|page| page != "README.md") {
        assert!(links.contains(&page), "{page}");
    }
}

#[test]
fn the_recipes_run_the_commands_of_the_gate() {
    let (gate, recipes) = (text(".ci/run"), text("justfile"));
    for command in gate.lines().filter(|line| line.starts_with("cargo ")) {
        assert!(recipes.lines().any(|line| line.trim().starts_with(command)), "{command}");
    }
}
