//! Writes down the text of every token of `cl100k_base`, so that the handler can
//! read tokens without the work of loading an encoder: `tokens.texts` has the
//! texts one after another, `tokens.lengths` a byte for the length of each.

use std::path::PathBuf;
use std::{env, fs};

/// Tokens of the encoding that are text; those after them are signs between texts.
const TOKENS: u32 = 100_256;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    let encoding = tiktoken_rs::cl100k_base()?;
    let (mut texts, mut lengths) = (Vec::new(), Vec::new());
    for token in 0..TOKENS {
        let text = encoding.decode_bytes(&[token])?;
        lengths.push(u8::try_from(text.len())?);
        texts.extend(text);
    }
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("tokens.texts"), texts)?;
    fs::write(out.join("tokens.lengths"), lengths)?;
    Ok(())
}
