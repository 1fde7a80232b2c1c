//! Puts the OpenAPI document into the handler without the indentation that is in
//! it for those who read its history.

use std::path::Path;
use std::{env, fs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let package = env::var("CARGO_MANIFEST_DIR")?;
    let document = Path::new(&package).join("openapi.json");
    println!("cargo::rerun-if-changed={}", document.display());
    // Line breaks stand between its parts only: within strings they are escaped.
    let compact: String = fs::read_to_string(document)?.lines().map(str::trim_start).collect();
    fs::write(Path::new(&env::var("OUT_DIR")?).join("openapi.json"), compact)?;
    Ok(())
}
