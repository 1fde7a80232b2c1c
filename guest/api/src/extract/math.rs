//! Equations as a line of text: `a/b`, `x^2`, `√(x)`, `∑_(n=1)^∞ …`, for OMML
//! (ECMA-376 part 1, section 22.1) and MathML. It is meant to be found and
//! read, not to be set again.

use roxmltree::Node;

use super::xml::{child, name, named, text, val};
use crate::limits;

/// An equation of a Word document.
pub(super) fn omml(node: Node<'_, '_>) -> String {
    let mut line = String::new();
    walk(node, &mut line, 0);
    line
}

fn walk(node: Node<'_, '_>, line: &mut String, depth: usize) {
    if depth > limits::MAX_XML_DEPTH {
        return;
    }
    let part = |name: &str| {
        let mut part = String::new();
        if let Some(node) = child(node, name) {
            walk(node, &mut part, depth + 1);
        }
        part
    };
    let property =
        |of: &str, name: &str| child(node, of).and_then(|of| child(of, name)).and_then(val);
    match name(node) {
        "t" => line.push_str(&text(node)),
        "f" => line.push_str(&format!("{}/{}", group(&part("num")), group(&part("den")))),
        "sSup" => line.push_str(&format!("{}^{}", group(&part("e")), group(&part("sup")))),
        "sSub" => line.push_str(&format!("{}_{}", group(&part("e")), group(&part("sub")))),
        "sSubSup" => line.push_str(&format!(
            "{}_{}^{}",
            group(&part("e")),
            group(&part("sub")),
            group(&part("sup"))
        )),
        "sPre" => {
            line.push_str(&format!("_{}^{}{}", group(&part("sub")), group(&part("sup")), part("e")))
        }
        "rad" => {
            let degree = part("deg");
            line.push_str(&degree);
            line.push_str(&format!("√{}", group(&part("e"))));
        }
        "nary" => {
            line.push_str(property("naryPr", "chr").unwrap_or("∫"));
            bounds(line, &part("sub"), &part("sup"));
            line.push(' ');
            line.push_str(&part("e"));
        }
        "func" => line.push_str(&format!("{}({})", part("fName"), part("e"))),
        "limLow" => line.push_str(&format!("{}_{}", part("e"), group(&part("lim")))),
        "limUpp" => line.push_str(&format!("{}^{}", part("e"), group(&part("lim")))),
        "d" => {
            let begin = property("dPr", "begChr").unwrap_or("(");
            let end = property("dPr", "endChr").unwrap_or(")");
            let between = property("dPr", "sepChr").unwrap_or("|");
            line.push_str(begin);
            each(node, "e", between, line, depth);
            line.push_str(end);
        }
        "m" => {
            line.push('(');
            each(node, "mr", "; ", line, depth);
            line.push(')');
        }
        "mr" => each(node, "e", ", ", line, depth),
        "eqArr" => each(node, "e", "; ", line, depth),
        "del" | "moveFrom" | "rPr" | "ctrlPr" => {}
        name if name.ends_with("Pr") => {}
        "oMath" if !line.is_empty() && !line.ends_with(' ') => {
            line.push(' ');
            node.children().for_each(|child| walk(child, line, depth + 1));
        }
        _ => node.children().for_each(|child| walk(child, line, depth + 1)),
    }
}

fn each(node: Node<'_, '_>, part: &str, between: &str, line: &mut String, depth: usize) {
    for (index, child) in node.children().filter(|child| named(*child, part)).enumerate() {
        if index > 0 {
            line.push_str(between);
        }
        walk(child, line, depth + 1);
    }
}

fn bounds(line: &mut String, low: &str, high: &str) {
    for (mark, bound) in [('_', low), ('^', high)] {
        if !bound.is_empty() {
            line.push(mark);
            line.push_str(&group(bound));
        }
    }
}

/// In brackets, where it is more than one number or name.
pub(super) fn group(part: &str) -> String {
    let part = part.trim();
    match part.chars().all(char::is_alphanumeric) || is_bracketed(part) {
        true => part.to_owned(),
        false => format!("({part})"),
    }
}

fn is_bracketed(part: &str) -> bool {
    let Some(inner) = part.strip_prefix('(').and_then(|part| part.strip_suffix(')')) else {
        return false;
    };
    !inner.contains(['(', ')'])
}

/// A MathML element of what its children already are as text.
pub(super) fn mathml(name: &str, parts: &[String]) -> String {
    let at = |index: usize| parts.get(index).map(String::as_str).unwrap_or_default();
    let g = |index: usize| group(at(index));
    match name {
        "mfrac" => format!("{}/{}", g(0), g(1)),
        "msup" | "mover" => format!("{}^{}", g(0), g(1)),
        "msub" | "munder" => format!("{}_{}", g(0), g(1)),
        "msubsup" | "munderover" => format!("{}_{}^{}", g(0), g(1), g(2)),
        "msqrt" => format!("√{}", group(&parts.concat())),
        "mroot" => format!("{}√{}", at(1), g(0)),
        "mfenced" => format!("({})", parts.join(", ")),
        "mtr" | "mlabeledtr" => parts.join(", "),
        "mtable" => parts.join("; "),
        // The same once more, in another notation.
        "semantics" => at(0).to_owned(),
        "annotation" | "annotation-xml" | "mphantom" => String::new(),
        _ => parts.concat(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn line(xml: &str) -> String {
        let xml = format!("<m:oMath xmlns:m='m'>{xml}</m:oMath>");
        omml(roxmltree::Document::parse(&xml).unwrap().root_element())
    }

    #[test]
    fn equations_are_a_line() {
        let run = |text: &str| format!("<m:r><m:t>{text}</m:t></m:r>");
        let fraction =
            format!("<m:f><m:num>{}</m:num><m:den>{}</m:den></m:f>", run("x-c"), run("v"));
        let power = format!("<m:sSup><m:e>{fraction}</m:e><m:sup>{}</m:sup></m:sSup>", run("2"));
        assert_eq!(line(&power), "((x-c)/v)^2");
        let sum = format!(
            "<m:nary><m:naryPr><m:chr m:val='∑'/></m:naryPr><m:sub>{}</m:sub><m:sup>{}</m:sup><m:e>{}</m:e></m:nary>",
            run("n=1"),
            run("∞"),
            run("n")
        );
        assert_eq!(line(&sum), "∑_(n=1)^(∞) n");
        let root = format!("<m:rad><m:deg/><m:e>{}</m:e></m:rad>", run("x+1"));
        assert_eq!(line(&root), "√(x+1)");
    }
}
