//! What stands in charts and diagrams (DrawingML, ECMA-376 part 1, sections
//! 21.2 and 21.4).

use roxmltree::Node;

use super::BlockKind;
use super::builder::Builder;
use super::xml::{child, name, named, text};

/// Points of one series of a chart that are read.
const MAX_POINTS: usize = 10_000;

/// What a drawing says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) lines: Vec<String>,
    pub(super) table: Vec<Vec<String>>,
}

impl Labels {
    /// Adds them to a text.
    pub(super) fn write(&self, builder: &mut Builder) {
        for line in &self.lines {
            builder.block(BlockKind::Paragraph, line);
        }
        if !self.table.is_empty() {
            builder.table(&self.table);
        }
    }
}

/// The titles of a chart, and its figures as a table: a row for each category,
/// a column for each series.
pub(super) fn chart(root: Node<'_, '_>) -> Labels {
    let titles = root.descendants().filter(|node| named(*node, "title"));
    let lines = titles.map(paragraphs).filter(|line| !line.is_empty()).collect();
    let mut header = vec![String::new()];
    let mut categories: Vec<String> = Vec::new();
    let mut columns: Vec<Vec<String>> = Vec::new();
    for series in root.descendants().filter(|node| named(*node, "ser")) {
        let points = |part: &str| child(series, part).map(points).unwrap_or_default();
        let names = ["cat", "xVal"].map(points).into_iter().find(|found| !found.is_empty());
        let values = ["val", "yVal"].map(points).into_iter().find(|found| !found.is_empty());
        if categories.is_empty() {
            categories = names.unwrap_or_default();
        }
        header.push(child(series, "tx").map(points_of_name).unwrap_or_default());
        columns.push(values.unwrap_or_default());
    }
    let rows = columns.iter().map(Vec::len).chain([categories.len()]).max().unwrap_or(0);
    let mut table = vec![header];
    table.extend((0..rows).map(|row| {
        let cell = |column: &Vec<String>| column.get(row).cloned().unwrap_or_default();
        std::iter::once(cell(&categories)).chain(columns.iter().map(cell)).collect()
    }));
    if columns.is_empty() {
        table.clear();
    }
    Labels { lines, table }
}

fn points_of_name(node: Node<'_, '_>) -> String {
    let points = points(node);
    if points.is_empty() { text(node).trim().to_owned() } else { points.join(" ") }
}

/// The values that a chart keeps of the cells it shows, each at its place.
fn points(node: Node<'_, '_>) -> Vec<String> {
    let mut values = Vec::new();
    for (at, point) in node.descendants().filter(|node| named(*node, "pt")).enumerate() {
        let index = point.attribute("idx").and_then(|index| index.parse().ok()).unwrap_or(at);
        if index >= MAX_POINTS {
            break;
        }
        if values.len() <= index {
            values.resize(index + 1, String::new());
        }
        if let Some(place) = values.get_mut(index) {
            *place = child(point, "v").map(text).unwrap_or_default();
        }
    }
    values
}

/// The points of a diagram (SmartArt).
pub(super) fn diagram(root: Node<'_, '_>) -> Labels {
    let points = root.descendants().filter(|node| named(*node, "pt"));
    let shown = points.filter(|node| node.attribute("type") != Some("pres"));
    let lines = shown.filter_map(|node| child(node, "t")).map(paragraphs);
    Labels { lines: lines.filter(|line| !line.is_empty()).collect(), table: Vec::new() }
}

/// The text of all paragraphs below, a space between them.
pub(super) fn paragraphs(node: Node<'_, '_>) -> String {
    let paragraphs = node.descendants().filter(|node| named(*node, "p"));
    let lines = paragraphs.map(paragraph).filter(|line| !line.trim().is_empty());
    lines.collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// The text of a paragraph of a drawing.
pub(super) fn paragraph(node: Node<'_, '_>) -> String {
    let mut line = String::new();
    for node in node.descendants() {
        match name(node) {
            "t" => line.push_str(&text(node)),
            "br" => line.push('\n'),
            "tab" => line.push(' '),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_chart_is_its_titles_and_a_table() {
        let xml = "<c:c xmlns:c='c' xmlns:a='a'><c:title><a:p><a:r><a:t>Ducks</a:t></a:r></a:p></c:title>
            <c:ser><c:tx><c:strRef><c:strCache><c:pt idx='0'><c:v>Sea</c:v></c:pt></c:strCache></c:strRef></c:tx>
            <c:cat><c:pt idx='0'><c:v>2019</c:v></c:pt><c:pt idx='1'><c:v>2020</c:v></c:pt></c:cat>
            <c:val><c:pt idx='1'><c:v>95</c:v></c:pt><c:pt idx='99999999'><c:v>1</c:v></c:pt></c:val></c:ser></c:c>";
        let labels = chart(roxmltree::Document::parse(xml).unwrap().root_element());
        assert_eq!(labels.lines, ["Ducks"]);
        assert_eq!(labels.table, [["", "Sea"], ["2019", ""], ["2020", "95"]]);
    }
}
