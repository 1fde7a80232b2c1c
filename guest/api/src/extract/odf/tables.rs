//! Tables of texts and sheets, a row a line.

use std::collections::HashMap;

use roxmltree::Node;

use super::super::xml::{attribute, name, named};
use super::super::{BlockKind, Warning, WarningCode};
use super::Reader;
use crate::limits;

/// Times that a row or a cell which says something is repeated at most: a
/// program that repeats more fills a sheet to its edge.
const MAX_REPEATED: usize = 1_000;

/// Cells that span rows, by column: in how many more rows, and what they say.
/// Each of the rows says it, as a row that stands alone in a passage is not
/// understood otherwise.
#[derive(Default)]
struct Spans(HashMap<usize, (usize, String)>);

impl Spans {
    /// A cell is read. One that says more than [`limits::MAX_REPEATED_BYTES`] is a
    /// text rather than a label, and is said once.
    fn begin(&mut self, column: usize, rows: usize, text: &str) {
        if rows > 1 && text.len() <= limits::MAX_REPEATED_BYTES {
            self.0.insert(column, (rows, text.to_owned()));
        } else {
            self.0.remove(&column);
        }
    }

    /// What the cell over this one says.
    fn said(&self, column: usize) -> &str {
        self.0.get(&column).map_or("", |(_, text)| text)
    }

    fn end_rows(&mut self, rows: usize) {
        self.0.retain(|_, (left, _)| {
            *left = left.saturating_sub(rows);
            *left > 0
        });
    }
}

impl<'a, 'x> Reader<'a, 'x> {
    pub(super) fn table(&mut self, node: Node<'a, 'x>) {
        let sheet = node.parent_element().is_some_and(|parent| named(parent, "spreadsheet"));
        let label = attribute(node, "name").unwrap_or_default();
        if self.is_hidden(node) {
            let detail = format!("the sheet {label}");
            return self.builder.warn(Warning::new(WarningCode::HiddenLeftOut, detail));
        }
        if sheet {
            self.builder.page();
            self.builder.block(BlockKind::Heading(1), label);
        }
        self.builder.start(BlockKind::Table);
        self.rows(node, &mut Spans::default());
        self.builder.end();
        for node in std::mem::take(&mut self.following) {
            self.deeper(|reader| reader.blocks(node));
        }
    }

    fn rows(&mut self, node: Node<'a, 'x>, spans: &mut Spans) {
        for row in node.children().filter(Node::is_element) {
            match name(row) {
                "table-row"
                    if matches!(attribute(row, "visibility"), Some("collapse" | "filter")) =>
                {
                    self.builder.warn(Warning::new(WarningCode::HiddenLeftOut, "rows of a table"));
                    spans.end_rows(repeated(row, "number-rows-repeated"));
                }
                "table-row" => self.row(row, spans),
                "table-rows" | "table-header-rows" | "table-row-group" => {
                    self.deeper(|reader| reader.rows(row, spans));
                }
                _ => {}
            }
        }
    }

    fn row(&mut self, node: Node<'a, 'x>, spans: &mut Spans) {
        let Some((cells, blank)) = self.cells_of(node, spans) else { return };
        let times = repeated(node, "number-rows-repeated");
        if blank && spans.0.is_empty() && self.builder.kind() == Some(BlockKind::Table) {
            // An empty row parts tables.
            self.builder.start(BlockKind::Table);
        }
        spans.end_rows(times);
        for _ in 0..if blank { 0 } else { times.min(MAX_REPEATED) } {
            self.builder.row(&cells);
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                return;
            }
        }
    }

    /// The cells of a row, and whether none of its own says anything. None where
    /// the table has too many cells.
    fn cells_of(&mut self, node: Node<'a, 'x>, spans: &mut Spans) -> Option<(Vec<String>, bool)> {
        let (mut cells, mut blank) = (Vec::new(), true);
        for cell in node.children().filter(Node::is_element) {
            let times = repeated(cell, "number-columns-repeated");
            let column: usize = cells.len();
            match name(cell) {
                "table-cell" => {
                    let text = self.cell(cell);
                    let says = !text.trim().is_empty();
                    blank &= !says;
                    spans.begin(column, repeated(cell, "number-rows-spanned"), &text);
                    let most = if says { MAX_REPEATED } else { limits::MAX_COLUMNS };
                    cells.extend(std::iter::repeat_n(text, times.min(most)));
                }
                "covered-table-cell" => {
                    let covered = column..column + times.min(limits::MAX_COLUMNS);
                    cells.extend(covered.map(|column| spans.said(column).to_owned()));
                }
                _ => continue,
            }
            self.cells += cells.len() - column;
            if self.cells > limits::MAX_CELLS {
                self.over_cells = true;
                return None;
            }
        }
        Some((cells, blank))
    }
}

fn repeated(node: Node<'_, '_>, name: &str) -> usize {
    attribute(node, name).and_then(|times| times.parse().ok()).unwrap_or(1)
}
