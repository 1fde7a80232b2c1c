//! What the readers of XML formats ask of a tree. Names are compared without
//! their namespace: the strict and the transitional edition of a format differ
//! in nothing else that matters to a text.

use roxmltree::Node;

/// Whether it is an element of this local name.
pub(super) fn named(node: Node<'_, '_>, name: &str) -> bool {
    node.is_element() && node.tag_name().name() == name
}

/// The local name of an element; empty for a text.
pub(super) fn name<'x>(node: Node<'_, 'x>) -> &'x str {
    // The name borrows from the source where it has no prefix that has to be resolved.
    node.tag_name().name()
}

/// The first child of this local name.
pub(super) fn child<'a, 'x>(node: Node<'a, 'x>, name: &str) -> Option<Node<'a, 'x>> {
    node.children().find(|child| named(*child, name))
}

/// The element at the end of a path of local names.
pub(super) fn at<'a, 'x>(node: Node<'a, 'x>, path: &[&str]) -> Option<Node<'a, 'x>> {
    path.iter().try_fold(node, |node, name| child(node, name))
}

/// The attribute of this local name, in whatever namespace.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attributes().find(|one| one.name() == name).map(|one| one.value())
}

/// The attribute `val`.
pub(super) fn val<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    attribute(node, "val")
}

/// Whether a switch such as `w:vanish` is on: its presence turns it on, unless
/// its value says otherwise (ECMA-376 part 1, section 22.9.2.7).
pub(super) fn is_on(switch: Option<Node<'_, '_>>) -> bool {
    switch.is_some_and(|node| !matches!(val(node), Some("0" | "false" | "off")))
}

/// All texts below, joined.
pub(super) fn text(node: Node<'_, '_>) -> String {
    node.descendants().filter(Node::is_text).filter_map(|node| node.text()).collect()
}
