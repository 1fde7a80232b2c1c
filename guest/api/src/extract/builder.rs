//! Puts a text together block by block.

use serde_json::Map;

use super::warning::{Warning, Warnings};
use super::{Block, BlockKind, Extracted};

/// A text in the making.
#[derive(Debug, Default)]
pub(super) struct Builder {
    text: String,
    blocks: Vec<Block>,
    /// Where each page begins, where the source has pages.
    pages: Vec<usize>,
    warnings: Warnings,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    kind: BlockKind,
    start: usize,
    /// A space is due before the next word.
    gap: bool,
}

impl Builder {
    /// Starts a block, ending the one before.
    pub(super) fn start(&mut self, kind: BlockKind) {
        self.end();
        self.open = Some(Open { kind, start: self.text.len(), gap: false });
    }

    /// Starts a page, where the text is now.
    pub(super) fn page(&mut self) {
        self.pages.push(self.text.len());
    }

    /// Adds a warning, once.
    pub(super) fn warn(&mut self, warning: Warning) {
        self.warnings.add(warning);
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// The kind of the block that is open.
    pub(super) fn kind(&self) -> Option<BlockKind> {
        self.open.as_ref().map(|open| open.kind)
    }

    /// Adds running text: white space collapses to single spaces.
    pub(super) fn words(&mut self, text: &str) {
        for char in text.chars() {
            if char.is_whitespace() {
                self.gap();
            } else if let Some(char) = clean(char) {
                self.char(char);
            }
        }
    }

    /// Adds text as it is.
    pub(super) fn verbatim(&mut self, text: &str) {
        self.ensure_open();
        self.text.extend(text.chars().filter_map(clean));
    }

    /// Adds a mark of our own, for example a list bullet, which does not count
    /// as content.
    pub(super) fn mark(&mut self, mark: &str) {
        if let Some(open) = &mut self.open {
            self.text.push_str(mark);
            open.gap = false;
        }
    }

    /// Adds a line break, or nothing at the start of a block.
    pub(super) fn line_break(&mut self) {
        let Some(open) = &mut self.open else { return };
        open.gap = false;
        if self.text.len() > open.start && !self.text.ends_with('\n') {
            self.text.push('\n');
        }
    }

    /// Adds a table, a row a line. Rows without text are left out.
    pub(super) fn table(&mut self, rows: &[Vec<String>]) {
        self.start(BlockKind::Table);
        rows.iter().for_each(|row| self.row(row));
        self.end();
    }

    /// Adds a row to the open table.
    pub(super) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        let filled = |cell: &S| !cell.as_ref().trim().is_empty();
        let Some(last) = cells.iter().rposition(filled) else { return };
        self.line_break();
        for (index, cell) in cells.iter().enumerate().take(last + 1) {
            if index > 0 {
                self.mark(" | ");
            }
            self.words(cell.as_ref());
        }
    }

    /// Adds a block of running text.
    pub(super) fn block(&mut self, kind: BlockKind, text: &str) {
        self.start(kind);
        self.words(text);
        self.end();
    }

    /// Adds another text with its blocks, but for its pages.
    pub(super) fn append(&mut self, other: &Extracted) {
        self.end();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        let offset = self.text.len();
        self.text.push_str(&other.text);
        let moved = |block: &Block| Block {
            kind: block.kind,
            range: block.range.start + offset..block.range.end + offset,
        };
        self.blocks.extend(other.blocks.iter().map(moved));
        if !other.text.is_empty() {
            self.text.push_str("\n\n");
        }
        other.warnings.iter().for_each(|warning| self.warn(warning.clone()));
    }

    /// Asks for a space before the next word.
    pub(super) fn gap(&mut self) {
        if let Some(open) = &mut self.open {
            open.gap = true;
        }
    }

    /// Ends the open block and drops it when it has no content.
    pub(super) fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        let content = self.text.get(open.start..).unwrap_or_default();
        let trimmed = content.trim_end();
        let body = if open.kind == BlockKind::Code {
            trimmed.trim_start_matches('\n')
        } else {
            trimmed.trim_start()
        };
        if body.is_empty()
            || (open.kind == BlockKind::ListItem
                && body.trim_start_matches("- ").trim_matches('-').is_empty())
        {
            self.text.truncate(open.start);
            return;
        }
        let end = open.start + trimmed.len();
        let start = end - body.len();
        self.text.truncate(end);
        self.blocks.push(Block { kind: open.kind, range: start..end });
        self.text.push_str(if open.kind == BlockKind::ListItem { "\n" } else { "\n\n" });
    }

    /// Adds an empty line, after the last item of a list.
    pub(super) fn paragraph_break(&mut self) {
        self.end();
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// Whether the last block was an item of a list.
    pub(super) fn in_list(&self) -> bool {
        self.blocks.last().is_some_and(|block| block.kind == BlockKind::ListItem)
            && !self.text.ends_with("\n\n")
    }

    /// The text of the last block.
    pub(super) fn last(&self) -> Option<&str> {
        self.blocks.last().and_then(|block| self.text.get(block.range.clone()))
    }

    /// The text and its blocks. Pages that stay empty at the end begin where
    /// the text ends.
    pub(super) fn finish(mut self, title: Option<String>) -> Extracted {
        self.end();
        let end = self.text.trim_end().len();
        self.text.truncate(end);
        self.pages.iter_mut().for_each(|page| *page = end.min(*page));
        Extracted {
            title,
            text: self.text,
            blocks: self.blocks,
            pages: self.pages,
            warnings: self.warnings.finish(),
            metadata: Map::new(),
        }
    }

    fn char(&mut self, char: char) {
        self.ensure_open();
        let Some(open) = &mut self.open else { return };
        if open.gap && self.text.len() > open.start && !self.text.ends_with(['\n', ' ']) {
            self.text.push(' ');
        }
        open.gap = false;
        self.text.push(char);
    }

    fn ensure_open(&mut self) {
        if self.open.is_none() {
            self.start(BlockKind::Paragraph);
        }
    }
}

/// The character, unless it is a control character or a byte order mark, which
/// have no place in a text.
pub(super) fn clean(char: char) -> Option<char> {
    (!char.is_control() && char != '\u{feff}' || matches!(char, '\n' | '\t')).then_some(char)
}
