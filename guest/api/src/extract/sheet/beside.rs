//! What a sheet shows beside its cells: text boxes, charts, diagrams, notes.

use std::collections::HashMap;

use roxmltree::Node;

use super::super::builder::Builder;
use super::super::package::{Package, Relations, parse};
use super::super::xml::{attribute, named, text};
use super::super::{BlockKind, Unreadable, drawing};

const FORMAT: &str = "XLSX";

/// What a sheet that no longer knows its threads says in place of one.
const THREAD: &str = "[Threaded comment]";

/// The names of those who write in threads, by their ids.
pub(super) fn people(
    package: &mut Package<'_>,
    workbook: &str,
) -> Result<HashMap<String, String>, Unreadable> {
    let mut people = HashMap::new();
    let relations = package.relations(workbook)?;
    for part in of_kind(&relations, "person") {
        let Some(xml) = package.xml(&part)? else { continue };
        let Ok(tree) = parse(&xml, FORMAT) else { continue };
        let named = tree.descendants().filter(|node| named(*node, "person"));
        people.extend(named.filter_map(|node| {
            Some((attribute(node, "id")?.to_owned(), attribute(node, "displayName")?.to_owned()))
        }));
    }
    Ok(people)
}

/// Adds all of it.
pub(super) fn write(
    package: &mut Package<'_>,
    sheet: &str,
    people: &HashMap<String, String>,
    builder: &mut Builder,
) -> Result<(), Unreadable> {
    let relations = package.relations(sheet)?;
    for part in of_kind(&relations, "drawing") {
        drawn(package, &part, builder)?;
    }
    for kind in ["comments", "threadedComment"] {
        for part in of_kind(&relations, kind) {
            let Some(xml) = package.xml(&part)? else { continue };
            let Ok(tree) = parse(&xml, FORMAT) else { continue };
            notes(tree.root_element(), people, builder);
        }
    }
    Ok(())
}

fn of_kind(relations: &Relations, kind: &str) -> Vec<String> {
    relations.of_kind(kind).map(str::to_owned).collect()
}

/// The shapes, charts and diagrams of a drawing.
fn drawn(package: &mut Package<'_>, part: &str, builder: &mut Builder) -> Result<(), Unreadable> {
    if let Some(xml) = package.xml(part)?
        && let Ok(tree) = parse(&xml, FORMAT)
    {
        for shape in tree.descendants().filter(|node| named(*node, "txBody")) {
            builder.block(BlockKind::Paragraph, &drawing::paragraphs(shape));
        }
    }
    let relations = package.relations(part)?;
    for kind in ["chart", "diagramData"] {
        for part in of_kind(&relations, kind) {
            let Some(xml) = package.xml(&part)? else { continue };
            let Ok(tree) = parse(&xml, FORMAT) else { continue };
            let labels = match kind {
                "chart" => drawing::chart(tree.root_element()),
                _ => drawing::diagram(tree.root_element()),
            };
            labels.write(builder);
        }
    }
    Ok(())
}

/// Notes and threads, each with its cell, who wrote it and on which day.
fn notes(root: Node<'_, '_>, people: &HashMap<String, String>, builder: &mut Builder) {
    let authors: Vec<_> =
        root.descendants().filter(|node| named(*node, "author")).map(text).collect();
    for note in root.descendants() {
        if !(named(note, "comment") || named(note, "threadedComment")) {
            continue;
        }
        let words = text(note);
        let words = words.trim();
        if words.is_empty() || words.starts_with(THREAD) {
            continue;
        }
        let listed = || authors.get(attribute(note, "authorId")?.parse::<usize>().ok()?);
        let person = attribute(note, "personId").and_then(|id| people.get(id)).or_else(listed);
        // Programs put the name of the author at the head of a note.
        let person = person.map(|name| name.trim()).filter(|name| !words.starts_with(*name));
        let day = attribute(note, "dT").and_then(|time| time.split('T').next());
        let head: Vec<_> = [attribute(note, "ref"), person.filter(|name| !name.is_empty()), day]
            .into_iter()
            .flatten()
            .collect();
        builder.block(BlockKind::Paragraph, &format!("{}: {words}", head.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_note_says_who_wrote_it_and_when_once() {
        let xml = "<comments><authors><author>Ann</author><author>tc={1}</author></authors>\
            <commentList><comment ref='A1' authorId='0'><text><t>Why?</t></text></comment>\
            <comment ref='A2' authorId='0'><text><t>Ann: Because.</t></text></comment>\
            <comment ref='A3' authorId='1'><text><t>[Threaded comment] Get a newer version.</t></text></comment>\
            <comment ref='A4' authorId='9'><text><t>Nobody.</t></text></comment></commentList>\
            <threadedComment ref='A3' dT='2026-06-18T17:12:37.41' personId='{7}'><text>Lower?</text></threadedComment>\
            </comments>";
        let people = [("{7}".to_owned(), "Ben (BB)".to_owned())].into_iter().collect();
        let mut builder = Builder::default();
        notes(parse(xml, FORMAT).unwrap().root_element(), &people, &mut builder);
        assert_eq!(
            builder.finish(None).text,
            "A1, Ann: Why?\n\nA2: Ann: Because.\n\nA4: Nobody.\n\nA3, Ben (BB), 2026-06-18: Lower?"
        );
    }
}
