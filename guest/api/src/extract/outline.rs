//! The structure of a text as a note that is kept beside it, so that the text
//! can be cut again without its source.

use super::{Block, BlockKind, Extracted, MediaType, extract};
use crate::limits;

/// Kinds as numbers; headings are their level.
const PARAGRAPH: i8 = 0;
const CODE: i8 = -1;
const LIST_ITEM: i8 = -2;
const TABLE: i8 = -3;

/// Blocks, and where pages begin.
type Note = (Vec<(i8, usize, usize)>, Vec<usize>);

impl Extracted {
    /// The structure as a note; empty where the text alone says as much, or
    /// where the note would be longer than the host keeps.
    pub fn outline(&self, media_type: MediaType) -> String {
        if media_type == MediaType::Plain {
            return String::new();
        }
        let block = |block: &Block| (number(block.kind), block.range.start, block.range.end);
        let note: Note = (self.blocks.iter().map(block).collect(), self.pages.clone());
        let note = serde_json::to_string(&note).unwrap_or_default();
        let most = self.text.len() + limits::MAX_OUTLINE_EXTRA_BYTES;
        if note.len() <= most { note } else { String::new() }
    }

    /// A text with the structure of its note. A note that does not fit the text
    /// is none; then its lines say what there is to say.
    pub fn restored(text: String, outline: &str) -> Self {
        let Some((blocks, pages)) = read(&text, outline) else {
            return extract(text.as_bytes(), MediaType::Plain)
                .ok()
                .filter(|plain| plain.text == text)
                .unwrap_or(Self { text, ..Self::default() });
        };
        Self { text, blocks, pages, ..Self::default() }
    }
}

fn number(kind: BlockKind) -> i8 {
    match kind {
        BlockKind::Heading(level) => i8::try_from(level).unwrap_or(i8::MAX),
        BlockKind::Paragraph => PARAGRAPH,
        BlockKind::Code => CODE,
        BlockKind::ListItem => LIST_ITEM,
        BlockKind::Table => TABLE,
    }
}

fn kind(number: i8) -> Option<BlockKind> {
    Some(match number {
        PARAGRAPH => BlockKind::Paragraph,
        CODE => BlockKind::Code,
        LIST_ITEM => BlockKind::ListItem,
        TABLE => BlockKind::Table,
        level => BlockKind::Heading(u8::try_from(level).ok()?),
    })
}

fn read(text: &str, outline: &str) -> Option<(Vec<Block>, Vec<usize>)> {
    let (noted, pages): Note = serde_json::from_str(outline).ok()?;
    let mut blocks = Vec::with_capacity(noted.len());
    let mut covered = 0;
    for (number, start, end) in noted {
        let between = text.get(covered..start)?;
        if !between.trim().is_empty() || text.get(start..end)?.trim().is_empty() {
            return None;
        }
        blocks.push(Block { kind: kind(number)?, range: start..end });
        covered = end;
    }
    let fits = text.get(covered..)?.trim().is_empty() && pages.is_sorted();
    fits.then_some((blocks, pages))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const SOURCE: &str =
        "# A\n\nText.\n\n- one\n- two\n\n```\ncode\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n";

    #[test]
    fn a_text_and_its_note_are_the_structure_again() {
        for media_type in [MediaType::Markdown, MediaType::Plain] {
            let extracted = extract(SOURCE.as_bytes(), media_type).unwrap();
            let outline = extracted.outline(media_type);
            let restored = Extracted::restored(extracted.text.clone(), &outline);
            assert_eq!(restored, Extracted { title: None, ..extracted });
        }
    }

    #[test]
    fn a_note_of_another_text_is_none() {
        let extracted = extract(SOURCE.as_bytes(), MediaType::Markdown).unwrap();
        let outline = extracted.outline(MediaType::Markdown);
        for text in ["", "é", "Another text that has no such places, and is long enough."] {
            let restored = Extracted::restored(text.to_owned(), &outline);
            assert_eq!(restored, Extracted::restored(text.to_owned(), ""));
            assert_eq!(restored.text, text);
        }
    }
}
