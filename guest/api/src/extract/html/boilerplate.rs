//! What stands on every page of a site: navigation, headers, footers, cookie
//! bars. It is recognised by the elements and roles that mean it, and by the names
//! that sites give it, where its place and its links agree.

use std::collections::HashSet;

use super::tree::{Id, Tree};

/// Levels below the body within which a header or footer is the page's.
const PAGE_LEVELS: usize = 3;

/// Links that make a list before the first heading a menu.
const MENU_LINKS: usize = 3;

/// Names of navigation. They count where at least half of the text is links.
const NAVIGATION: &[&str] = &[
    "nav",
    "navbar",
    "navigation",
    "navi",
    "mainnav",
    "topnav",
    "sidenav",
    "subnav",
    "sitenav",
    "globalnav",
    "navmenu",
    "navlinks",
    "menu",
    "mainmenu",
    "topmenu",
    "sidemenu",
    "sitemenu",
    "menubar",
    "navigationmenu",
    "primarynav",
    "primarymenu",
    "secondarynav",
    "sidebar",
    "breadcrumb",
    "breadcrumbs",
    "pagination",
    "pager",
    "topbar",
    "toolbar",
    "toplinks",
    "quicklinks",
    "sitelinks",
    "languages",
    "languageswitcher",
    "langswitch",
    "share",
    "sharing",
    "social",
    "sociallinks",
    "socialmedia",
    "skiplink",
    "skiplinks",
    "skiptocontent",
    "skipnav",
];

/// Names of what stands above and below a page.
const MARGINS: &[&str] = &[
    "header",
    "siteheader",
    "pageheader",
    "globalheader",
    "mainheader",
    "masthead",
    "footer",
    "sitefooter",
    "pagefooter",
    "globalfooter",
    "mainfooter",
    "copyright",
    "bottombar",
    "colophon",
];

/// Words that make a name with `cookie` or `consent` that of a bar.
const BARS: &[&str] = &[
    "bar",
    "banner",
    "notice",
    "consent",
    "popup",
    "modal",
    "message",
    "overlay",
    "dialog",
    "law",
    "warning",
    "alert",
    "box",
    "container",
    "wrapper",
    "info",
    "prompt",
    "hint",
    "layer",
    "note",
];

/// Whole names of such bars.
const BAR_NAMES: &[&str] = &[
    "cookie",
    "cookies",
    "cookiebar",
    "cookiebanner",
    "cookienotice",
    "cookieconsent",
    "gdpr",
    "ccpa",
    "onetrust",
    "consent",
    "cookielaw",
    "cookiepolicy",
    "cookiemessage",
];

/// What is left out of a page.
#[derive(Debug, Default)]
pub(super) struct Found {
    nodes: HashSet<Id>,
    kinds: Vec<&'static str>,
    characters: usize,
}

impl Found {
    /// Whether there is nothing to leave out.
    pub(super) fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Whether this is left out.
    pub(super) fn contains(&self, id: Id) -> bool {
        self.nodes.contains(&id)
    }

    /// What it is, for people.
    pub(super) fn description(&self) -> String {
        format!("{}: {} characters", self.kinds.join(", "), self.characters)
    }
}

/// What is known of each node for the decision.
struct Page<'t> {
    tree: &'t Tree,
    /// Letters of text below, and of those in links.
    text: Vec<u32>,
    linked: Vec<u32>,
    links: Vec<u32>,
    /// Whether the main content or the main heading is below.
    holds_main: Vec<bool>,
    has_main: bool,
    /// The first main heading.
    heading: Option<Id>,
}

/// Finds what stands on every page.
pub(super) fn find(tree: &Tree) -> Found {
    let page = Page::of(tree);
    let mut found = Found::default();
    page.search(0, 0, false, &mut found);
    found
}

impl<'t> Page<'t> {
    fn of(tree: &'t Tree) -> Self {
        let mut page = Self {
            tree,
            text: vec![0; tree.len()],
            linked: vec![0; tree.len()],
            links: vec![0; tree.len()],
            holds_main: vec![false; tree.len()],
            has_main: false,
            heading: None,
        };
        // The heading of a page's header is the site's, where the page has another.
        let in_header = |id: Id| {
            let above = std::iter::successors(tree.parent(id), |id| tree.parent(*id));
            above
                .filter_map(|id| tree.name(id))
                .any(|name| matches!(name, "header" | "nav" | "footer"))
        };
        let ids = || 0..u32::try_from(tree.len()).unwrap_or(u32::MAX);
        let headings = || ids().filter(|id| tree.name(*id) == Some("h1"));
        page.heading = headings().find(|id| !in_header(*id)).or_else(|| headings().next());
        for id in ids().rev() {
            page.add_up(id);
        }
        page.has_main = page.tree.len() > 0 && page.holds_main.first().copied().unwrap_or(false);
        page
    }

    fn add_up(&mut self, id: Id) {
        let at = id as usize;
        let name = self.tree.name(id);
        let own = self.tree.text(id).chars().filter(|char| char.is_alphanumeric()).count() as u32;
        if let Some(text) = self.text.get_mut(at) {
            *text += own;
        }
        let text = self.text.get(at).copied().unwrap_or(0);
        if name == Some("a") {
            if let Some(linked) = self.linked.get_mut(at) {
                *linked = text;
            }
            if let Some(links) = self.links.get_mut(at) {
                *links = 1;
            }
        }
        let main = matches!(name, Some("main" | "article"))
            || self.tree.attribute(id, "role") == Some("main")
            || self.heading == Some(id);
        if let Some(holds) = self.holds_main.get_mut(at) {
            *holds |= main;
        }
        let Some(parent) = self.tree.parent(id).map(|parent| parent as usize) else { return };
        let hidden = matches!(name, Some("script" | "style" | "template" | "noscript"));
        if hidden {
            return;
        }
        let linked = self.linked.get(at).copied().unwrap_or(0);
        let links = self.links.get(at).copied().unwrap_or(0);
        let holds = self.holds_main.get(at).copied().unwrap_or(false);
        for (sums, value) in
            [(&mut self.text, text), (&mut self.linked, linked), (&mut self.links, links)]
        {
            if let Some(sum) = sums.get_mut(parent) {
                *sum += value;
            }
        }
        if let Some(parent) = self.holds_main.get_mut(parent) {
            *parent |= holds;
        }
    }

    fn search(&self, id: Id, level: usize, inside: bool, found: &mut Found) {
        for child in self.tree.children(id) {
            let Some(name) = self.tree.name(child) else { continue };
            if let Some(kind) = self.kind(child, name, level, inside) {
                found.nodes.insert(child);
                if !found.kinds.contains(&kind) {
                    found.kinds.push(kind);
                }
                found.characters += self.text.get(child as usize).map_or(0, |text| *text as usize);
                continue;
            }
            let content = matches!(name, "main" | "article" | "section")
                || self.tree.attribute(child, "role") == Some("main");
            let level = if matches!(name, "body" | "head") { 0 } else { level + 1 };
            self.search(child, level, inside || content, found);
        }
    }

    /// What an element is that stands on every page.
    fn kind(&self, id: Id, name: &str, level: usize, inside: bool) -> Option<&'static str> {
        let text = self.text.get(id as usize).copied().unwrap_or(0);
        if text == 0 || self.holds_main.get(id as usize).copied().unwrap_or(true) {
            return None;
        }
        match (name, self.tree.attribute(id, "role")) {
            ("nav", _) | (_, Some("navigation" | "menu" | "menubar" | "search")) => {
                return Some("navigation");
            }
            ("header", _) | (_, Some("banner")) if !inside => return Some("header"),
            ("footer", _) | (_, Some("contentinfo")) if !inside => return Some("footer"),
            ("aside", _) | (_, Some("complementary")) if !inside && self.has_main => {
                return Some("aside");
            }
            _ => {}
        }
        if !matches!(
            name,
            "div"
                | "section"
                | "ul"
                | "ol"
                | "aside"
                | "header"
                | "footer"
                | "form"
                | "table"
                | "tr"
                | "td"
                | "p"
                | "dialog"
                | "center"
        ) {
            return None;
        }
        let names = self.names(id);
        let is = |list: &[&str]| names.iter().any(|name| list.contains(&name.as_str()));
        if is(BAR_NAMES) || names.iter().any(|name| is_bar(name)) {
            return Some("cookie bar");
        }
        if is(MARGINS) && !inside && level < PAGE_LEVELS {
            return Some("header or footer");
        }
        let linked = self.linked.get(id as usize).copied().unwrap_or(0);
        if is(NAVIGATION) && linked * 2 >= text {
            return Some("navigation");
        }
        let links = self.links.get(id as usize).copied().unwrap_or(0) as usize;
        let before = self.heading.is_some_and(|heading| id < heading);
        let menu = matches!(name, "ul" | "ol" | "div" | "table" | "p") && links >= MENU_LINKS;
        (menu && before && !inside && level < PAGE_LEVELS && linked * 10 >= text * 9)
            .then_some("navigation")
    }

    /// The names in `class` and `id`, in lower case, without what joins words.
    fn names(&self, id: Id) -> Vec<String> {
        let values = ["class", "id"].iter().filter_map(|name| self.tree.attribute(id, name));
        let names = values.flat_map(str::split_whitespace);
        names.map(|name| name.to_ascii_lowercase().replace(['-', '_', ':'], "")).collect()
    }
}

/// Whether a name is that of a bar that asks for consent.
fn is_bar(name: &str) -> bool {
    let about = ["cookies", "cookie", "gdpr", "consent"]
        .iter()
        .find_map(|word| name.find(word).map(|at| (at, word.len())));
    let Some((at, length)) = about else { return false };
    let rest = [name.get(..at), name.get(at + length..)];
    rest.into_iter()
        .flatten()
        .any(|rest| BARS.iter().any(|bar| rest.starts_with(bar) || rest.ends_with(bar)))
}
