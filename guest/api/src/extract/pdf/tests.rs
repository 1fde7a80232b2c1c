//! Whole files, each of a kind that people have.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod content;
mod fonts;
mod hostile;
mod layout;

use super::super::{Block, BlockKind, Extracted, WarningCode};
use super::extract;
use super::sample::Sample;

fn read(bytes: &[u8]) -> Extracted {
    extract(bytes).unwrap()
}

fn text(contents: &str) -> String {
    read(&Sample::of(contents)).text
}

fn blocks(extracted: &Extracted) -> Vec<(BlockKind, &str)> {
    let block = |block: &Block| (block.kind, block.range.clone());
    extracted.blocks.iter().map(block).map(|(kind, range)| (kind, &extracted.text[range])).collect()
}

/// Lines of 12 points, 14 apart.
fn lines(lines: &[&str]) -> String {
    let shown: Vec<String> = lines.iter().map(|line| format!("({line}) Tj T*")).collect();
    format!("BT /F1 12 Tf 14 TL 72 700 Td {} ET", shown.join(" "))
}

/// Text at places, each shown by itself.
fn placed(texts: &[(f64, f64, &str)]) -> String {
    let show = |(x, y, text): &(f64, f64, &str)| format!("1 0 0 1 {x} {y} Tm ({text}) Tj ");
    format!("BT /F1 12 Tf {} ET", texts.iter().map(show).collect::<String>())
}

fn codes(extracted: &Extracted) -> Vec<(WarningCode, Option<u32>)> {
    extracted.warnings.iter().map(|warning| (warning.code, warning.page)).collect()
}
