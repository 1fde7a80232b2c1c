//! Styles (ECMA-376 part 1, section 17.7): what a paragraph inherits.

use std::collections::HashMap;

use roxmltree::Node;

use super::super::xml::{at, attribute, child, is_on, named, val};

/// Styles above a style that are looked at: a chain may be a circle.
const MAX_ANCESTORS: usize = 16;

/// What a style says of its paragraphs or runs.
#[derive(Debug, Default)]
struct Style {
    name: String,
    based_on: Option<String>,
    outline_level: Option<u8>,
    numbering: Option<String>,
    level: Option<usize>,
    hidden: bool,
}

/// Styles by id. Ids depend on the language of the program that wrote them,
/// names do not.
#[derive(Debug, Default)]
pub(super) struct Styles {
    by_id: HashMap<String, Style>,
    default: Option<String>,
}

/// What a paragraph is by its style.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Title,
    Heading(u8),
    Item,
    Body,
}

impl Styles {
    /// From the root of `styles.xml`.
    pub(super) fn read(root: Node<'_, '_>) -> Self {
        let mut styles = Self::default();
        for node in root.children().filter(|node| named(*node, "style")) {
            let Some(id) = attribute(node, "styleId") else { continue };
            let string = |path: &[&str]| at(node, path).and_then(val).map(str::to_owned);
            let style = Style {
                name: string(&["name"]).unwrap_or_else(|| id.to_owned()).to_lowercase(),
                based_on: string(&["basedOn"]),
                outline_level: string(&["pPr", "outlineLvl"]).and_then(|level| level.parse().ok()),
                numbering: string(&["pPr", "numPr", "numId"]),
                level: string(&["pPr", "numPr", "ilvl"]).and_then(|level| level.parse().ok()),
                hidden: is_on(child(node, "rPr").and_then(|run| child(run, "vanish"))),
            };
            if attribute(node, "default") == Some("1")
                && attribute(node, "type") == Some("paragraph")
            {
                styles.default = Some(id.to_owned());
            }
            styles.by_id.insert(id.to_owned(), style);
        }
        styles
    }

    fn chain<'s>(&'s self, id: Option<&'s str>) -> impl Iterator<Item = &'s Style> {
        let first = id.or(self.default.as_deref()).and_then(|id| self.by_id.get(id));
        let next = |style: &&'s Style| self.by_id.get(style.based_on.as_deref()?);
        std::iter::successors(first, next).take(MAX_ANCESTORS)
    }

    /// What paragraphs of this style are.
    pub(super) fn role(&self, id: Option<&str>) -> Role {
        let unknown = id.filter(|id| !self.by_id.contains_key(*id)).map(str::to_lowercase);
        let names = self.chain(id).map(|style| style.name.as_str());
        let named = names.chain(unknown.as_deref()).find_map(role_of_name);
        let level = self.chain(id).find_map(|style| style.outline_level).filter(|level| *level < 9);
        named.or(level.map(|level| Role::Heading(level + 1))).unwrap_or(Role::Body)
    }

    /// The list that paragraphs of this style are in, and their level there.
    pub(super) fn numbering<'s>(&'s self, id: Option<&'s str>) -> (Option<&'s str>, Option<usize>) {
        let number = self.chain(id).find_map(|style| style.numbering.as_deref());
        (number, self.chain(id).find_map(|style| style.level))
    }

    /// This style and those that it comes from.
    pub(super) fn ids<'s>(&'s self, id: Option<&'s str>) -> impl Iterator<Item = &'s str> {
        let first = id.or(self.default.as_deref());
        let next = |id: &&'s str| self.by_id.get(*id)?.based_on.as_deref();
        std::iter::successors(first, next).take(MAX_ANCESTORS)
    }

    /// Whether text of this style is hidden.
    pub(super) fn is_hidden(&self, id: Option<&str>) -> bool {
        id.is_some() && self.chain(id).any(|style| style.hidden)
    }
}

fn role_of_name(name: &str) -> Option<Role> {
    let level = name.strip_prefix("heading").and_then(|level| level.trim().parse().ok());
    match name {
        "title" => Some(Role::Title),
        _ if name.starts_with("list bullet") || name.starts_with("list number") => Some(Role::Item),
        _ if ["listbullet", "listnumber"].iter().any(|list| name.starts_with(list)) => {
            Some(Role::Item)
        }
        _ => level.filter(|level| (1..=9).contains(level)).map(Role::Heading),
    }
}
