#![allow(clippy::unwrap_used, clippy::indexing_slicing)]
use super::*;

fn read(source: &str) -> Extracted {
    extract(source, false).unwrap()
}

#[test]
fn implied_end_tags_end_what_is_hidden() {
    for (source, text) in [
        ("<p hidden>no<p>yes", "yes"),
        ("<ul><li hidden>no<li>yes</ul>after", "- yes\n\nafter"),
        ("<table><tr><td hidden>no<td>yes<td>too<tr><td>a<td>b</table>x", "yes | too\na | b\n\nx"),
        ("<dl><dt hidden>no<dd>yes</dl>", "yes"),
        ("<div style='color:red; display : none !important'>no</div>yes", "yes"),
        ("<div aria-hidden=true><div>no</div>no</div>yes", "yes"),
        ("<span hidden>no <span>no</span> no</span>yes", "yes"),
        ("<b>a<p>b</b>c", "a\n\nbc"),
        ("<div hidden>never closed", ""),
    ] {
        assert_eq!(read(source).text, text, "{source}");
    }
}

#[test]
fn cells_are_apart_and_layout_is_no_table() {
    let outer = "<table><tr><td><table><tr><th>Port<th>Fee<tr><td>A<td>40</table><td>side</table>";
    assert_eq!(read(outer).text, "Port | Fee\nA | 40\n\nside");
    let spans =
        "<table><tr><th>Port<th>Year<th>Fee<tr><td rowspan=2>A<td>1<td>x<tr><td>2<td>y</table>";
    assert_eq!(read(spans).text, "Port | Year | Fee\nA | 1 | x\nA | 2 | y");
    assert_eq!(read("one<br>two<div>a</div><div>b</div>").text, "one\ntwo\n\na\n\nb");
    assert_eq!(read("<ol start=3><li>a<li>b</ol>").text, "3. a\n4. b");
}

#[test]
fn formulas_are_a_line() {
    let formula = "<p>so <span style='display:none'><math><mi>E</mi><mo>=</mo><msup><mi>c</mi><mn>2</mn></msup></math></span> holds";
    assert_eq!(read(formula).text, "so E=c^2 holds");
    assert_eq!(
        read("<math><mfrac><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow><mn>2</mn></mfrac></math>")
            .text,
        "(a+b)/2"
    );
}

#[test]
fn what_stands_on_every_page_is_left_out_with_a_warning() {
    let main = "<h1>Crane rules</h1><p>Every crane is inspected.</p>";
    let links =
        "<ul><li><a href=a>Turbines</a><li><a href=b>Cranes</a><li><a href=c>Ferries</a></ul>";
    for around in [
        format!("<div id=nav>{links}</div>{main}<div id=footer>Copyright Norhaven</div>"),
        format!("<nav>{links}</nav><main>{main}</main><footer>Copyright</footer>"),
        format!("<header><h1>Norhaven</h1>{links}</header><article>{main}</article>"),
        format!("{links}{main}"),
        format!("<div class='cookie-banner'>We use cookies. Accept?</div>{main}"),
        format!(
            "<div role=navigation>{links}</div><div class=wrap>{main}</div><div role=contentinfo>c</div>"
        ),
        format!("<div class='breadcrumb'><a href=a>Home</a> / <a href=b>Rules</a></div>{main}"),
    ] {
        let page = read(&around);
        assert_eq!(page.text, "Crane rules\n\nEvery crane is inspected.", "{around}");
        assert_eq!(page.warnings[0].code, WarningCode::BoilerplateLeftOut);
        assert!(extract(&around, true).unwrap().text.len() > page.text.len());
    }
    // What is content stays, whatever it is called.
    for content in [
        "<article><header><h1>A</h1></header><p>b</p><footer>c</footer></article>",
        "<div id=menu><h2>Starters</h2><p>Herring</p></div>",
        "<nav>all there is</nav>",
        "<div class=header><h1>A</h1></div><p>b</p>",
    ] {
        assert!(read(content).warnings.is_empty(), "{content}");
    }
}

#[test]
fn a_page_costs_no_more_than_its_length() {
    let begun = std::time::Instant::now();
    let attributes: String = (0..400_000).map(|number| format!(" a{number}")).collect();
    assert_eq!(read(&format!("<p{attributes}>text")).text, "text");
    for tag in [
        "<div>",
        "<div hidden>",
        "<p>",
        "<b>",
        "<table><tr><td>",
        "<ul><li>",
        "<a>",
        "<svg>",
        "<math>",
    ] {
        let _ = extract(&tag.repeat(20_000), false);
        let _ = extract(&format!("{}{}", tag.repeat(20_000), "</div>".repeat(20_000)), false);
    }
    let spans = "<tr>".to_owned() + &"<td colspan=1000 rowspan=1000>wide".repeat(5_000);
    let _ = extract(&format!("<table>{spans}"), false);
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}

#[test]
fn markdown_is_read_with_its_html() {
    let markdown = |source: &str| super::super::markdown::extract(source).unwrap();
    let source = "# T\n\nA<br>B\n\n<details><summary>Click</summary>\n\nInside **bold**.\n\n</details>\n\n<!-- no -->\n\n\
        <table><tr><td>x</td><td>y</td></tr></table>\n\nTerm\n: Definition\n\n~~struck~~ note[^1]\n\n[^1]: Foot.\n\n1. one\n2. two\n\n- [x] done";
    let read = markdown(source);
    assert_eq!(
        read.text,
        "T\n\nA\nB\n\nClick\n\nInside bold.\n\nx | y\n\nTerm\n\nDefinition\n\nstruck note\n\nFoot.\n\n1. one\n2. two\n\n- [x] done"
    );
    assert_eq!(
        markdown("A <title> is a tag.\n\n<script>\n\nAnd more.").text.matches("more").count(),
        1
    );
    let read = markdown("---\ntitle: Mooring\nyear: 1958\n---\n\nA bowline.");
    assert_eq!((read.title.as_deref(), read.text.as_str()), (Some("Mooring"), "A bowline."));
    assert_eq!(read.metadata["year"], 1958);
    assert_eq!(
        markdown("<|ref|>text<|/ref|><|det|>[[1, 2]]<|/det|>\nWords <|ref|>").text,
        "Words <|ref|>"
    );
}
