//! A page as a tree. Start tags that end what is open before them do so as the
//! HTML standard says (section 13.2.6); what only matters to scripts and styles
//! is not kept.

mod crowded;
mod parser;

use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::Range;

use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{BufferQueue, Tokenizer, TokenizerOpts};
use html5ever::{LocalName, local_name};

use super::super::Unreadable;
use crate::limits;
use crowded::without_crowded_tags;
use parser::{Parser, Sink};

/// No node.
const NONE: u32 = u32::MAX;

/// The number of a node; its parent has a smaller one.
pub(super) type Id = u32;

#[derive(Debug)]
struct Node {
    name: LocalName,
    /// Of a text.
    text: Range<u32>,
    parent: Id,
    first: Id,
    last: Id,
    next: Id,
    hidden: bool,
    marked: bool,
}

/// A page.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    text: String,
    attributes: HashMap<Id, Vec<(LocalName, String)>>,
}

impl Tree {
    /// Reads a page.
    ///
    /// # Errors
    ///
    /// It has too many elements.
    pub(super) fn parse(source: &str, xml: bool) -> Result<Self, Unreadable> {
        let source = without_crowded_tags(source);
        let sink = Sink { parser: RefCell::new(Parser::new(xml)) };
        let tokenizer = Tokenizer::new(sink, TokenizerOpts::default());
        let input = BufferQueue::default();
        input.push_back(StrTendril::from_slice(&source));
        let _ = tokenizer.feed(&input);
        tokenizer.end();
        let parser = tokenizer.sink.parser.into_inner();
        match parser.full {
            true => Err(Unreadable::bound("elements", limits::MAX_XML_NODES)),
            false => Ok(parser.tree),
        }
    }

    /// Nodes from the root on.
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The name of an element; none of a text.
    pub(super) fn name(&self, id: Id) -> Option<&str> {
        let node = self.nodes.get(id as usize)?;
        (node.name != local_name!("")).then_some(&*node.name)
    }

    /// The text of a text node; empty for an element.
    pub(super) fn text(&self, id: Id) -> &str {
        let range = self.nodes.get(id as usize).map_or(0..0, |node| node.text.clone());
        self.text.get(range.start as usize..range.end as usize).unwrap_or_default()
    }

    /// The parent of a node; none of the root.
    pub(super) fn parent(&self, id: Id) -> Option<Id> {
        self.nodes.get(id as usize).map(|node| node.parent).filter(|parent| *parent != NONE)
    }

    /// Children in order.
    pub(super) fn children(&self, id: Id) -> impl Iterator<Item = Id> {
        let some = |id: Id| (id != NONE).then_some(id);
        let first = self.nodes.get(id as usize).and_then(|node| some(node.first));
        std::iter::successors(first, move |id| some(self.nodes.get(*id as usize)?.next))
    }

    /// Whether its attributes say that nobody sees it.
    pub(super) fn is_hidden(&self, id: Id) -> bool {
        self.nodes.get(id as usize).is_some_and(|node| node.hidden)
    }

    /// Whether a box is ticked.
    pub(super) fn is_checked(&self, id: Id) -> bool {
        self.nodes.get(id as usize).is_some_and(|node| node.marked)
    }

    /// The value of an attribute that is kept.
    pub(super) fn attribute(&self, id: Id, name: &str) -> Option<&str> {
        let all = self.attributes.get(&id)?;
        all.iter().find(|(known, _)| &**known == name).map(|(_, value)| value.as_str())
    }

    /// The title of the head.
    pub(super) fn title(&self) -> Option<String> {
        let all = 0..u32::try_from(self.len()).unwrap_or(NONE);
        let found = all.clone().find(|id| {
            let inside = self.parent(*id).and_then(|parent| self.name(parent));
            self.name(*id) == Some("title") && !matches!(inside, Some("svg" | "symbol" | "g"))
        })?;
        let text: String = self.children(found).map(|child| self.text(child)).collect();
        let title = text.split_whitespace().collect::<Vec<_>>().join(" ");
        (!title.is_empty()).then_some(title)
    }
}
