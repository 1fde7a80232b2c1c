//! `text/plain`

use super::builder::clean;
use super::{Block, BlockKind, Extracted};

/// Keeps the text as it is, but for line ends and control characters. Empty
/// lines part its paragraphs.
pub(super) fn extract(source: &str) -> Extracted {
    let text: String =
        source.replace("\r\n", "\n").replace('\r', "\n").chars().filter_map(clean).collect();
    let mut blocks: Vec<Block> = Vec::new();
    let mut start = 0;
    let mut joined = false;
    for line in text.split_inclusive('\n') {
        let end = start + line.trim_end().len();
        match blocks.last_mut() {
            _ if line.trim().is_empty() => joined = false,
            Some(block) if joined => block.range.end = end,
            _ => {
                blocks.push(Block { kind: BlockKind::Paragraph, range: start..end });
                joined = true;
            }
        }
        start += line.len();
    }
    Extracted { text, blocks, ..Extracted::default() }
}
