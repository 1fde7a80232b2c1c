//! `application/vnd.openxmlformats-officedocument.presentationml.presentation`:
//! ECMA-376 part 1, section 19.

use std::collections::HashMap;

use roxmltree::Node;

use super::builder::Builder;
use super::drawing::{self, Labels};
use super::math;
use super::package::{Package, Relations, parse};
use super::xml::{at, attribute, child, name, named, text};
use super::{BlockKind, Extracted, Unreadable, Warning, WarningCode};
use crate::limits;

const FORMAT: &str = "PPTX";
const DAMAGED: Unreadable = Unreadable::Damaged(FORMAT);

/// Millimetres by which shapes of one row may differ in height: a tenth of an
/// inch, in English Metric Units.
const ROW: i64 = 91_440;

/// Slides as pages, in the order of the show: the title as a heading, the other
/// shapes from top to bottom, then the notes.
pub(super) fn extract(source: &[u8]) -> Result<Extracted, Unreadable> {
    let mut package = Package::open(source, FORMAT)?;
    let main = package.main("ppt/presentation.xml")?;
    let xml = package.xml(&main)?.ok_or(DAMAGED)?;
    let relations = package.relations(&main)?;
    let document = parse(&xml, FORMAT)?;
    let list = child(document.root_element(), "sldIdLst");
    let ids = list.into_iter().flat_map(|list| list.children());
    // Each has an id of its own beside the reference, which is in a namespace.
    let reference = |node: Node<'_, '_>| {
        let in_namespace =
            node.attributes().find(|one| one.name() == "id" && one.namespace().is_some());
        in_namespace.and_then(|one| relations.target(one.value())).map(str::to_owned)
    };
    let slides: Vec<String> =
        ids.filter(|node| named(*node, "sldId")).filter_map(reference).collect();
    if slides.len() > limits::MAX_PAGES {
        return Err(Unreadable::TooManyPages);
    }
    let mut show = Show::default();
    let mut comments = 0;
    for (number, part) in (1_u32..).zip(&slides) {
        show.builder.page();
        comments += show.slide(&mut package, part, number)?;
        if show.builder.len() > limits::MAX_TEXT_BYTES {
            return Err(Unreadable::TooLong);
        }
    }
    if comments > 0 {
        let detail = format!("comments of {comments} slides");
        show.builder.warn(Warning::new(WarningCode::CommentsLeftOut, detail));
    }
    let title = package.title().or(show.title);
    Ok(show.builder.finish(title))
}

#[derive(Default)]
struct Show {
    builder: Builder,
    /// The title of the first slide that has one.
    title: Option<String>,
    /// Footers that were said.
    footers: Vec<String>,
}

/// Places of shapes by the type and the index of their placeholder.
type Places = HashMap<(String, String), (i64, i64)>;

impl Show {
    /// Reads a slide; the answer is how many parts of comments it has.
    fn slide(
        &mut self,
        package: &mut Package<'_>,
        part: &str,
        number: u32,
    ) -> Result<usize, Unreadable> {
        let left_out = |code, detail: String, builder: &mut Builder| {
            builder.warn(Warning { code, page: Some(number), detail });
        };
        let Some(xml) = package.xml(part)? else {
            left_out(WarningCode::PartLeftOut, "a slide".into(), &mut self.builder);
            return Ok(0);
        };
        let Ok(document) = parse(&xml, FORMAT) else {
            left_out(WarningCode::PartLeftOut, "a slide".into(), &mut self.builder);
            return Ok(0);
        };
        let root = document.root_element();
        if matches!(root.attribute("show"), Some("0" | "false")) {
            left_out(WarningCode::HiddenLeftOut, "a slide".into(), &mut self.builder);
            return Ok(0);
        }
        let relations = package.relations(part)?;
        let drawings = drawings(package, &relations)?;
        let layout = places(package, &relations)?;
        if let Some(tree) = at(root, &["cSld", "spTree"]) {
            let mut shapes = Vec::new();
            flatten(tree, &layout, (0, 0), &mut shapes, 0);
            shapes.sort_by_key(|shape| (shape.rank, shape.place));
            for shape in shapes {
                self.shape(&shape, &drawings);
            }
        }
        for notes in relations.of_kind("notesSlide").map(str::to_owned).collect::<Vec<_>>() {
            let Some(xml) = package.xml(&notes)? else { continue };
            let Ok(document) = parse(&xml, FORMAT) else { continue };
            self.notes(document.root_element());
        }
        Ok(relations.of_kind("comments").count().min(1))
    }

    fn shape(&mut self, shape: &Shape<'_, '_>, drawings: &HashMap<String, Labels>) {
        let node = shape.node;
        if name(node) == "graphicFrame" {
            return self.frame(node, drawings);
        }
        let Some(body) = child(node, "txBody") else { return };
        match shape.kind.as_str() {
            "title" | "ctrTitle" => {
                let title = drawing::paragraphs(body);
                self.builder.block(BlockKind::Heading(1), &title);
                if self.title.is_none() && !title.is_empty() {
                    self.title = Some(title.split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }
            "sldNum" | "dt" => {}
            "ftr" => {
                let footer = drawing::paragraphs(body);
                if !self.footers.contains(&footer) {
                    self.builder.block(BlockKind::Paragraph, &footer);
                    self.footers.push(footer);
                }
            }
            kind => paragraphs(body, matches!(kind, "body" | "obj"), &mut self.builder),
        }
    }

    /// A table, a chart or a diagram.
    fn frame(&mut self, node: Node<'_, '_>, drawings: &HashMap<String, Labels>) {
        for inner in node.descendants().filter(Node::is_element) {
            match name(inner) {
                "tbl" => return self.table(inner),
                "chart" | "relIds" => {
                    let id = attribute(inner, if name(inner) == "chart" { "id" } else { "dm" });
                    if let Some(labels) = id.and_then(|id| drawings.get(id)) {
                        labels.write(&mut self.builder);
                    }
                    return;
                }
                _ => {}
            }
        }
    }

    fn table(&mut self, node: Node<'_, '_>) {
        let is_on =
            |cell: Node<'_, '_>, name: &str| matches!(cell.attribute(name), Some("1" | "true"));
        self.builder.start(BlockKind::Table);
        let mut above: Vec<String> = Vec::new();
        for row in node.children().filter(|node| named(*node, "tr")) {
            let mut cells: Vec<String> = Vec::new();
            for cell in row.children().filter(|node| named(*node, "tc")) {
                let text = match child(cell, "txBody") {
                    _ if is_on(cell, "hMerge") => String::new(),
                    // A cell that goes on says in each row what it says in the first.
                    _ if is_on(cell, "vMerge") => {
                        above.get(cells.len()).cloned().unwrap_or_default()
                    }
                    Some(body) => drawing::paragraphs(body),
                    None => String::new(),
                };
                cells.push(text);
            }
            self.builder.row(&cells);
            if self.builder.len() > limits::MAX_TEXT_BYTES {
                break;
            }
            cells
                .iter_mut()
                .filter(|cell| cell.len() > limits::MAX_REPEATED_BYTES)
                .for_each(String::clear);
            above = cells;
        }
        self.builder.end();
    }

    fn notes(&mut self, root: Node<'_, '_>) {
        let bodies = root.descendants().filter(|node| named(*node, "sp"));
        for shape in
            bodies.filter(|node| placeholder(*node).is_some_and(|(kind, _)| kind == "body"))
        {
            if let Some(body) = child(shape, "txBody") {
                paragraphs(body, false, &mut self.builder);
            }
        }
    }
}

/// The charts and diagrams that a slide shows, by reference.
fn drawings(
    package: &mut Package<'_>,
    relations: &Relations,
) -> Result<HashMap<String, Labels>, Unreadable> {
    let mut drawings = HashMap::new();
    for (id, kind, target) in relations.iter() {
        let read: fn(Node<'_, '_>) -> Labels = match kind {
            "chart" => drawing::chart,
            "diagramData" => drawing::diagram,
            _ => continue,
        };
        let Some(xml) = package.xml(target)? else { continue };
        if let Ok(document) = parse(&xml, FORMAT) {
            drawings.insert(id.to_owned(), read(document.root_element()));
        }
    }
    Ok(drawings)
}

/// Where the layout of a slide puts what the slide does not place itself.
fn places(package: &mut Package<'_>, relations: &Relations) -> Result<Places, Unreadable> {
    let mut places = Places::new();
    let Some(layout) = relations.of_kind("slideLayout").next().map(str::to_owned) else {
        return Ok(places);
    };
    let Some(xml) = package.xml(&layout)? else { return Ok(places) };
    let Ok(document) = parse(&xml, FORMAT) else { return Ok(places) };
    for shape in document.descendants().filter(|node| named(*node, "sp")) {
        if let (Some(key), Some(place)) = (placeholder(shape), place(shape)) {
            places.insert(key, place);
        }
    }
    Ok(places)
}

/// The type and the index of the placeholder that a shape fills.
fn placeholder(shape: Node<'_, '_>) -> Option<(String, String)> {
    let properties = shape.children().find(|node| name(*node).starts_with("nv"))?;
    let node = at(properties, &["nvPr", "ph"])?;
    let kind = node.attribute("type").unwrap_or("obj").to_owned();
    Some((kind, node.attribute("idx").unwrap_or("0").to_owned()))
}

/// The place of a shape: from the top, from the left.
fn place(shape: Node<'_, '_>) -> Option<(i64, i64)> {
    let frame = child(shape, "xfrm")
        .or_else(|| at(shape, &["spPr", "xfrm"]))
        .or_else(|| at(shape, &["grpSpPr", "xfrm"]))?;
    let offset = child(frame, "off")?;
    let number = |name: &str| offset.attribute(name).and_then(|text| text.parse().ok());
    Some((number("y")?, number("x")?))
}

/// A shape with its place among the others.
struct Shape<'a, 'x> {
    node: Node<'a, 'x>,
    /// The type of its placeholder.
    kind: String,
    /// The title first, the footer last.
    rank: u8,
    place: (i64, i64),
}

/// The shapes below, those of groups at the place of their group. A shape of no
/// known place follows the one before it.
fn flatten<'a, 'x>(
    tree: Node<'a, 'x>,
    layout: &Places,
    start: (i64, i64),
    shapes: &mut Vec<Shape<'a, 'x>>,
    depth: usize,
) {
    if depth > limits::MAX_XML_DEPTH {
        return;
    }
    let mut before = start;
    for node in tree.children() {
        match name(node) {
            "sp" | "graphicFrame" | "cxnSp" => {
                let key = placeholder(node);
                let own = place(node).filter(|_| depth == 0);
                let known = own.or_else(|| key.as_ref().and_then(|key| layout.get(key).copied()));
                if let Some((top, left)) = known.filter(|_| depth == 0) {
                    before = (top / ROW, left);
                }
                let kind = key.map(|(kind, _)| kind).unwrap_or_default();
                let rank = match kind.as_str() {
                    "title" | "ctrTitle" => 0,
                    "ftr" | "dt" | "sldNum" => 2,
                    _ => 1,
                };
                shapes.push(Shape { node, kind, rank, place: before });
            }
            "grpSp" => {
                if let Some((top, left)) = place(node).filter(|_| depth == 0) {
                    before = (top / ROW, left);
                }
                flatten(node, layout, before, shapes, depth + 1);
            }
            "AlternateContent" => {
                if let Some(chosen) = child(node, "Choice").or_else(|| child(node, "Fallback")) {
                    flatten(chosen, layout, before, shapes, depth + 1);
                }
            }
            _ => {}
        }
    }
}

/// The paragraphs of a shape. Those of a placeholder for the body of a slide are
/// the items of a list where there are more than one.
fn paragraphs(body: Node<'_, '_>, listed: bool, builder: &mut Builder) {
    let all: Vec<_> = body.children().filter(|node| named(*node, "p")).collect();
    let lines = all.iter().filter(|node| !drawing::paragraph(**node).trim().is_empty()).count();
    let mut counts: Vec<u32> = Vec::new();
    for node in all {
        let properties = child(node, "pPr");
        let has = |name: &str| properties.and_then(|own| child(own, name));
        let level =
            properties.and_then(|own| own.attribute("lvl")).and_then(|level| level.parse().ok());
        let level: usize = level.unwrap_or(0).min(8);
        let line = line(node);
        if line.trim().is_empty() {
            continue;
        }
        counts.truncate(level + 1);
        counts.resize(level + 1, 0);
        let mark = match (has("buAutoNum"), has("buChar").or_else(|| has("buBlip"))) {
            (Some(numbered), _) => {
                let start = numbered.attribute("startAt").and_then(|start| start.parse().ok());
                let count = counts.get_mut(level).map(|count| {
                    *count = if *count == 0 { start.unwrap_or(1) } else { count.saturating_add(1) };
                    *count
                });
                Some(format!("{}. ", count.unwrap_or(1)))
            }
            (None, Some(_)) => Some("- ".to_owned()),
            (None, None) if listed && lines > 1 && has("buNone").is_none() => Some("- ".to_owned()),
            (None, None) => None,
        };
        if has("buAutoNum").is_none()
            && let Some(count) = counts.get_mut(level)
        {
            *count = 0;
        }
        let kind = if mark.is_some() { BlockKind::ListItem } else { BlockKind::Paragraph };
        if kind == BlockKind::Paragraph && builder.in_list() {
            builder.paragraph_break();
        }
        builder.start(kind);
        builder.mark(&mark.unwrap_or_default());
        for (index, part) in line.split('\n').enumerate() {
            if index > 0 {
                builder.line_break();
            }
            builder.words(part);
        }
        builder.end();
    }
    if builder.in_list() {
        builder.paragraph_break();
    }
}

/// A paragraph with its equations.
fn line(node: Node<'_, '_>) -> String {
    let mut line = String::new();
    for part in node.children() {
        match name(part) {
            "br" => line.push('\n'),
            "r" | "fld" => {
                for inner in part.children() {
                    match name(inner) {
                        "t" => line.push_str(&text(inner)),
                        "tab" => line.push(' '),
                        _ => {}
                    }
                }
            }
            "m" | "oMath" | "oMathPara" | "AlternateContent" => {
                let chosen = child(part, "Choice").unwrap_or(part);
                line.push_str(&math::omml(chosen));
            }
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::package::tests::pack;
    use super::*;

    fn shape(kind: &str, top: u32, paragraphs: &[&str]) -> String {
        let place = format!("<p:spPr><a:xfrm><a:off x='0' y='{top}'/></a:xfrm></p:spPr>");
        let holder = if kind.is_empty() { String::new() } else { format!("<p:ph type='{kind}'/>") };
        let texts: String = paragraphs.iter().map(|text| format!("<a:p>{text}</a:p>")).collect();
        format!(
            "<p:sp><p:nvSpPr><p:nvPr>{holder}</p:nvPr></p:nvSpPr>{place}<p:txBody>{texts}</p:txBody></p:sp>"
        )
    }

    fn run(text: &str) -> String {
        format!("<a:r><a:t>{text}</a:t></a:r>")
    }

    fn show(slides: &[&str]) -> Extracted {
        let spaces = "xmlns:p='p' xmlns:a='a' xmlns:r='r' xmlns:c='c'";
        let relation = |id: &str, kind: &str, target: &str| {
            format!("<Relationship Id='{id}' Type='http://x/{kind}' Target='{target}'/>")
        };
        let (mut list, mut relations, mut parts) = (String::new(), String::new(), Vec::new());
        for (index, slide) in slides.iter().enumerate() {
            list += &format!("<p:sldId id='{}' r:id='r{index}'/>", 256 + index);
            relations +=
                &relation(&format!("r{index}"), "slide", &format!("slides/slide{index}.xml"));
            let xml =
                format!("<p:sld {spaces}><p:cSld><p:spTree>{slide}</p:spTree></p:cSld></p:sld>");
            parts.push((format!("ppt/slides/slide{index}.xml"), xml));
        }
        let wrap = |inner: &str| format!("<Relationships xmlns='n'>{inner}</Relationships>");
        parts.push(("ppt/_rels/presentation.xml.rels".into(), wrap(&relations)));
        let own = relation("c", "chart", "../charts/chart1.xml")
            + &relation("n", "notesSlide", "../notes/n.xml");
        parts.push(("ppt/slides/_rels/slide0.xml.rels".into(), wrap(&own)));
        let chart = "<c:c xmlns:c='c'><c:ser><c:tx><c:v>Sea</c:v></c:tx><c:cat><c:pt idx='0'><c:v>2019</c:v></c:pt></c:cat>\
            <c:val><c:pt idx='0'><c:v>80</c:v></c:pt></c:val></c:ser></c:c>";
        parts.push(("ppt/charts/chart1.xml".into(), chart.into()));
        let note = shape("body", 0, &[&run("Say this aloud.")]);
        parts.push(("ppt/notes/n.xml".into(), format!("<p:notes {spaces}>{note}</p:notes>")));
        parts.push((
            "ppt/presentation.xml".into(),
            format!("<p:presentation {spaces}><p:sldIdLst>{list}</p:sldIdLst></p:presentation>"),
        ));
        let parts: Vec<_> = parts.iter().map(|(name, xml)| (name.as_str(), xml.as_str())).collect();
        extract(&pack(&parts)).unwrap()
    }

    #[test]
    fn slides_are_pages_from_title_to_notes() {
        let table = "<p:graphicFrame><p:xfrm><a:off x='0' y='9000000'/></p:xfrm><a:tbl>\
            <a:tr><a:tc rowSpan='2'><a:txBody><a:p><a:r><a:t>R</a:t></a:r></a:p></a:txBody></a:tc><a:tc><a:txBody><a:p><a:r><a:t>1</a:t></a:r></a:p></a:txBody></a:tc></a:tr>\
            <a:tr><a:tc vMerge='1'/><a:tc><a:txBody><a:p><a:r><a:t>2</a:t></a:r></a:p></a:txBody></a:tc></a:tr></a:tbl></p:graphicFrame>";
        let chart = "<p:graphicFrame><p:xfrm><a:off x='0' y='9900000'/></p:xfrm><c:chart r:id='c'/></p:graphicFrame>";
        let first = [
            shape("", 5_000_000, &[&run("Below")]),
            table.to_owned(),
            chart.to_owned(),
            shape("body", 2_000_000, &[&run("one"), &run("two")]),
            shape("title", 0, &[&run("Fleet")]),
            shape("sldNum", 0, &[&run("1")]),
        ];
        let numbered = format!("<a:pPr><a:buAutoNum type='arabicPeriod'/></a:pPr>{}", run("step"));
        let second = shape("", 0, &[&numbered, &numbered]);
        let show = show(&[&first.concat(), &second]);
        assert_eq!(
            show.text,
            "Fleet\n\n- one\n- two\n\nBelow\n\nR | 1\nR | 2\n\n | Sea\n2019 | 80\n\nSay this aloud.\n\n1. step\n2. step"
        );
        assert_eq!(show.title.as_deref(), Some("Fleet"));
        assert_eq!(show.page_at(show.text.find("step").unwrap()), Some(2));
    }

    #[test]
    fn what_is_no_show_is_refused() {
        assert_eq!(extract(&pack(&[("a", "b")])), Err(DAMAGED));
        assert_eq!(extract(b"PK"), Err(DAMAGED));
    }
}
