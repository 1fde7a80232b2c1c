//! Tables of a document.

use roxmltree::Node;

use super::elements::{checkbox, is_transparent};
use super::{Body, PAGE};
use crate::extract::docx::numbering::Label;
use crate::extract::xml::{at, child, name, val};
use crate::extract::{BlockKind, math};
use crate::limits;

impl<'a, 'x> Body<'a, 'x> {
    pub(super) fn table(&mut self, node: Node<'a, 'x>) {
        let mut rows = Vec::new();
        self.rows(node, &mut rows);
        // A table of one cell is a frame around its content.
        if let [row] = rows.as_slice()
            && let [cell] = row.as_slice()
        {
            return self.blocks(*cell);
        }
        if self.builder.in_list() {
            self.builder.paragraph_break();
        }
        self.builder.start(BlockKind::Table);
        let mut above: Vec<String> = Vec::new();
        for row in rows {
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                break;
            }
            let mut cells: Vec<String> = Vec::new();
            for cell in row {
                let properties = child(cell, "tcPr");
                let merged = properties.and_then(|own| child(own, "vMerge"));
                let goes_on = merged.is_some_and(|merged| val(merged) != Some("restart"));
                let span = properties.and_then(|own| child(own, "gridSpan")).and_then(val);
                let span: usize = span.and_then(|span| span.parse().ok()).unwrap_or(1);
                // A cell that goes on says in each row what it says in the first.
                let content = match goes_on {
                    true => above.get(cells.len()).cloned().unwrap_or_default(),
                    false => self.cell(cell),
                };
                cells.push(content);
                let more = span.saturating_sub(1).min(limits::MAX_COLUMNS);
                cells.extend(std::iter::repeat_n(String::new(), more));
            }
            if cells.iter().any(|cell| !cell.trim().is_empty()) {
                self.builder.line_break();
            }
            let filled = cells.iter().rposition(|cell| !cell.trim().is_empty());
            for (index, cell) in cells.iter().enumerate().take(filled.map_or(0, |last| last + 1)) {
                if index > 0 {
                    self.builder.mark(" | ");
                }
                for (index, part) in cell.split(PAGE).enumerate() {
                    if index > 0 {
                        self.builder.page();
                    }
                    self.builder.words(part);
                }
            }
            let repeated = |cell: String| match cell.len() <= limits::MAX_REPEATED_BYTES {
                true => cell.replace(PAGE, " "),
                false => String::new(),
            };
            above = cells.into_iter().map(repeated).collect();
        }
        self.builder.end();
        self.follow();
    }

    /// The cells of each row that was not deleted.
    fn rows(&mut self, node: Node<'a, 'x>, rows: &mut Vec<Vec<Node<'a, 'x>>>) {
        for node in node.children() {
            match name(node) {
                "tr" if at(node, &["trPr", "del"]).is_some() => {}
                "tr" => {
                    let mut cells = Vec::new();
                    self.cells(node, &mut cells);
                    rows.push(cells);
                }
                name if is_transparent(name) => self.deeper(|body| body.rows(node, rows)),
                _ => {}
            }
        }
    }

    fn cells(&mut self, node: Node<'a, 'x>, cells: &mut Vec<Node<'a, 'x>>) {
        for node in node.children() {
            match name(node) {
                "tc" => cells.push(node),
                name if is_transparent(name) => self.deeper(|body| body.cells(node, cells)),
                _ => {}
            }
        }
    }

    /// The text of a cell on one line.
    fn cell(&mut self, node: Node<'a, 'x>) -> String {
        let mut line = String::new();
        self.deeper(|body| body.cell_blocks(node, &mut line));
        line
    }

    fn cell_blocks(&mut self, node: Node<'a, 'x>, line: &mut String) {
        for node in node.children() {
            match name(node) {
                "p" => {
                    let properties = child(node, "pPr");
                    let style = properties.and_then(|own| child(own, "pStyle")).and_then(val);
                    let mut own = std::mem::take(&mut self.carried);
                    self.deeper(|body| body.inline(node, &mut own));
                    if properties.and_then(|own| at(own, &["rPr", "del"])).is_some() {
                        self.carried = own;
                        continue;
                    }
                    let label = self.label(properties, style);
                    line.push(' ');
                    match label {
                        Label::Number(number) if !own.trim().is_empty() => {
                            line.push_str(&number);
                            line.push(' ');
                        }
                        Label::Bullet if !own.trim().is_empty() => line.push_str("- "),
                        _ => {}
                    }
                    line.push_str(&own);
                }
                "tbl" => {
                    let mut rows = Vec::new();
                    self.rows(node, &mut rows);
                    for cell in rows.into_iter().flatten() {
                        line.push(' ');
                        self.deeper(|body| body.cell_blocks(cell, line));
                    }
                }
                "AlternateContent" => self.deeper(|body| {
                    body.alternative(node, |body, node| body.cell_blocks(node, line));
                }),
                "sdt" if checkbox(node).is_some() => {
                    line.push_str(checkbox(node).unwrap_or_default())
                }
                "oMath" | "oMathPara" => line.push_str(&math::omml(node)),
                name if is_transparent(name) => self.deeper(|body| body.cell_blocks(node, line)),
                _ => {}
            }
        }
        line.push_str(&std::mem::take(&mut self.carried));
    }
}
