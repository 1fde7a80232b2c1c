//! Words, lines, columns, tables and blocks.

use proptest::prelude::*;

use super::super::super::BlockKind;
use super::super::extract;
use super::super::sample::Sample;
use super::{blocks, lines, placed, read, text};

#[test]
fn words_are_parted_by_the_distance_of_their_glyphs() {
    for contents in [
        "BT /F1 12 Tf 72 700 Td [(The quar)10(terly)-300(fee)-280(is)-250(due)] TJ ET",
        "BT /F1 12 Tf 72 700 Td (The quarterly) Tj 73 0 Td (fee is due) Tj ET",
        "BT /F1 12 Tf 4 Tw 72 700 Td (The quarterly fee is due) Tj ET",
        "BT /F1 12 Tf 3 Tc 72 700 Td (The quarterly fee is due) Tj ET",
        "BT /F1 12 Tf 80 Tz 72 700 Td (The quarterly fee is due) Tj ET",
        "BT /F1 1 Tf 12 0 0 12 72 700 Tm (The quarterly fee is due) Tj ET",
        "q .1 0 0 .1 0 0 cm BT /F1 120 Tf 720 7000 Td (The quarterly fee is due) Tj ET Q",
    ] {
        assert_eq!(text(contents), "The quarterly fee is due", "{contents}");
    }
}

#[test]
fn letter_spacing_is_told_from_blanks() {
    for (contents, whole) in [
        // A number, a title and a leader in one string.
        ("[(1)-925(F)96(oo)-9000(2)] TJ", "1 Foo 2"),
        // Single letters with blanks that are moves of the pen, and a word.
        ("[(C)-350(C)-350(L)-350(L)-350(C)-350(L)-350(N)-20(L)] TJ", "C C L L C L NL"),
        // A spaced word.
        ("[(C)-350(H)-350(A)-350(P)-350(T)-350(E)-350(R)-1000(O)-350(N)-350(E)] TJ", "CHAPTER ONE"),
    ] {
        assert_eq!(text(&format!("BT /F1 12 Tf 72 700 Td {contents} ET")), whole);
    }
}

#[test]
fn a_footnote_mark_is_apart_and_an_index_is_not() {
    let mark = "(since 2005) Tj /F1 7 Tf 5 Ts (1) Tj /F1 12 Tf 0 Ts (, and) Tj";
    assert_eq!(text(&format!("BT /F1 12 Tf 72 700 Td {mark} ET")), "since 2005 1 , and");
    let index = "(the flow A) Tj /F1 8 Tf -4.5 Ts (SL) Tj /F1 12 Tf 0 Ts ( and A) Tj";
    assert_eq!(text(&format!("BT /F1 12 Tf 72 700 Td {index} ET")), "the flow ASL and A");
}

#[test]
fn glyphs_that_are_placed_one_by_one_are_words() {
    let mut x = 72.0;
    let mut contents = String::from("BT /F1 12 Tf ");
    for (char, width) in "over here".chars().zip([6.7, 6.0, 6.7, 4.0, 3.3, 6.7, 6.7, 4.0, 6.7]) {
        if char != ' ' {
            contents.push_str(&format!("1 0 0 1 {x} 700 Tm ({char}) Tj "));
        }
        x += width;
    }
    assert_eq!(text(&(contents + "ET")), "over here");
}

#[test]
fn lines_are_parted_by_their_place_however_the_pen_moves() {
    for contents in [
        "BT /F1 12 Tf 72 700 Td (The fee is due on) Tj 0 -14 TD (the fifth of April) Tj ET",
        "BT /F1 12 Tf 14 TL 72 700 Td (The fee is due on) Tj (the fifth of April) ' ET",
        "BT /F1 12 Tf 14 TL 72 700 Td (The fee is due on) Tj 0 0 (the fifth of April) \" ET",
        "BT /F1 12 Tf 1 0 0 1 72 700 Tm [(The fee is due on)] TJ 1 0 0 1 72 686 Tm [(the fifth of April)] TJ ET",
    ] {
        assert_eq!(text(contents), "The fee is due on the fifth of April", "{contents}");
    }
}

#[test]
fn a_word_that_the_layout_cut_is_whole_and_a_compound_keeps_its_hyphen() {
    let page = lines(&[
        "Flutter is a dynamic insta-",
        "bility of wings, a long-",
        "term matter of state-of-the-",
        "art analysis by Marie-",
        "Curie in the years 2019-",
        "2020 as we know it.",
    ]);
    assert_eq!(
        text(&page),
        "Flutter is a dynamic instability of wings, a long-term matter of state-of-the-art \
         analysis by Marie-Curie in the years 2019-2020 as we know it."
    );
}

#[test]
fn a_word_that_the_end_of_a_page_cut_is_whole() {
    let page = |title: &str, body: &[&str], number: usize| {
        format!(
            "BT /F1 9 Tf 72 750 Td ({title}) Tj ET {} BT /F1 12 Tf 300 40 Td ({number}) Tj ET",
            lines(body)
        )
    };
    let mut sample = Sample::new();
    sample.page(page("On wings", &["Flutter is a dynamic", "kind of insta-"], 1));
    sample.page(page("On wings", &["bility of wings, a long-"], 2));
    sample.page(page("On wings", &["term matter of Marie-"], 3));
    sample.page(page("On wings", &["Curie."], 4));
    let text = read(&sample.bytes()).text;
    assert!(text.contains("kind of instability"), "{text}");
    assert!(text.contains("of wings, a long-term"), "{text}");
    assert!(text.contains("matter of Marie-") && text.contains("Curie."), "{text}");
    assert!(!text.contains("\nbility"), "{text}");
}

#[test]
fn a_sentence_of_one_column_stays_together_in_whatever_order_it_is_drawn() {
    let left = [
        "The lease begins in the",
        "month of April and ends",
        "with the fourth year of",
        "its term.",
    ];
    let right = [
        "Repairs of the roof are",
        "paid by the owner of the",
        "house unless the tenant",
        "broke it.",
    ];
    let whole = "The lease begins in the month of April and ends with the fourth year of its term.";
    let (mut by_row, mut by_column) = (Vec::new(), Vec::new());
    for (at, (one, two)) in left.iter().zip(right).enumerate() {
        let y = 700.0 - 14.0 * at as f64;
        by_row.extend([(72.0, y, *one), (320.0, y, two)]);
        by_column.push((72.0, y, *one));
    }
    by_column
        .extend(right.iter().enumerate().map(|(at, two)| (320.0, 700.0 - 14.0 * at as f64, *two)));
    for page in [by_row, by_column] {
        let text = text(&placed(&page));
        assert!(text.contains(whole), "{text}");
        assert!(text.contains("Repairs of the roof are paid by the owner of the house"), "{text}");
    }
}

#[test]
fn three_columns_drawn_row_by_row_are_read_one_after_the_other() {
    let columns = [
        ["The first column says", "that wings are made to", "bend in the wind as", "reeds do."],
        ["A second one tells us", "how the tail keeps the", "whole from turning on", "its back."],
        ["In the third we learn", "of engines that hang on", "pylons below the wing", "and push."],
    ];
    let mut page = Vec::new();
    for row in 0..4 {
        for (column, x) in columns.iter().zip([50.0, 230.0, 410.0]) {
            page.push((x, 700.0 - 14.0 * row as f64, column[row]));
        }
    }
    let text = text(&placed(&page));
    for column in columns {
        assert!(text.contains(&column.join(" ")), "{text}");
    }
}

#[test]
fn a_table_keeps_its_cells_apart_and_a_row_on_a_line() {
    let rows =
        [["Region", "Revenue", "Growth"], ["North", "1,200", "4 %"], ["South", "900", "7 %"]];
    let (mut page, mut stacked) = (Vec::new(), Vec::new());
    for (at, row) in rows.iter().enumerate() {
        for (cell, x) in row.iter().zip([72.0, 200.0, 330.0]) {
            page.push((x, 700.0 - 18.0 * at as f64, *cell));
        }
    }
    let table = "Region | Revenue | Growth\nNorth | 1,200 | 4 %\nSouth | 900 | 7 %";
    let extracted = read(&Sample::of(&placed(&page)));
    assert_eq!(blocks(&extracted), [(BlockKind::Table, table)]);
    // Cells of several lines, drawn cell by cell.
    for (at, y) in [(0, 700.0), (1, 660.0), (2, 620.0)] {
        stacked.extend([
            (72.0, y, rows[at][0]),
            (72.0, y - 14.0, "wing area"),
            (200.0, y, rows[at][1]),
            (330.0, y, rows[at][2]),
        ]);
    }
    let extracted = read(&Sample::of(&placed(&stacked)));
    assert_eq!(
        blocks(&extracted),
        [(
            BlockKind::Table,
            "Region wing area | Revenue | Growth\nNorth wing area | 1,200 | 4 %\nSouth wing area | 900 | 7 %"
        )]
    );
}

#[test]
fn an_empty_cell_leaves_the_others_in_their_columns() {
    let page = [
        (72.0, 700.0, "Region"),
        (200.0, 700.0, "Revenue"),
        (330.0, 700.0, "Growth"),
        (72.0, 682.0, "North"),
        (330.0, 682.0, "4 %"),
        (72.0, 664.0, "South"),
        (200.0, 664.0, "900"),
        (330.0, 664.0, "7 %"),
    ];
    assert_eq!(
        text(&placed(&page)),
        "Region | Revenue | Growth\nNorth |  | 4 %\nSouth | 900 | 7 %"
    );
}

#[test]
fn headings_paragraphs_and_lists_are_told_by_size_weight_and_place() {
    let mut sample = Sample::new();
    sample.font("F2", "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold >>");
    let body = "Flutter is a dynamic instability of an elastic structure in a flow of fluid";
    sample.page(format!(
        "BT /F2 20 Tf 72 740 Td (On wings) Tj /F1 10 Tf 12 TL 0 -30 Td ({body}) Tj T* ({body}) Tj \
         T* (and ends.) Tj 0 -24 Td (A new paragraph.) Tj /F2 10 Tf 0 -24 Td (Cause and effect) Tj \
         /F1 10 Tf 0 -16 Td ({body}) Tj 0 -20 Td (\\225 lift) Tj T* (\\225 drag) Tj ET"
    ));
    let extracted = read(&sample.bytes());
    let twice = format!("{body} {body} and ends.");
    assert_eq!(
        blocks(&extracted),
        [
            (BlockKind::Heading(1), "On wings"),
            (BlockKind::Paragraph, twice.as_str()),
            (BlockKind::Paragraph, "A new paragraph."),
            (BlockKind::Heading(2), "Cause and effect"),
            (BlockKind::Paragraph, body),
            (BlockKind::ListItem, "• lift"),
            (BlockKind::ListItem, "• drag"),
        ]
    );
}

#[test]
fn turned_pages_are_read_as_they_are_held() {
    let mut sample = Sample::new();
    sample.page("BT /F1 12 Tf 0 1 -1 0 300 100 Tm (Held sideways it says) Tj 0 -14 Td (what it says.) Tj ET");
    sample.page_with("BT /F1 12 Tf -1 0 0 -1 500 100 Tm (Upside down it says) Tj 0 -14 Td (the same thing.) Tj ET", "/Rotate 180");
    let extracted = read(&sample.bytes());
    assert_eq!(
        extracted.text,
        "Held sideways it says what it says.\n\nUpside down it says the same thing."
    );
    assert_eq!(extracted.pages.len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands where, and however it is turned and scaled, no word is
    /// lost and no word is glued to another.
    #[test]
    fn words_far_apart_stay_words(
        places in prop::collection::vec((0_u8..5, 0_u8..40), 1..30),
        size in 4.0..40.0_f64,
        turn in 0.0..6.3_f64,
    ) {
        let mut seen = std::collections::HashSet::new();
        let mut shown = Vec::new();
        let (sin, cos) = turn.sin_cos();
        let mut contents = format!("{} {} {} {} 300 400 cm BT /F1 {size} Tf ", cos, sin, -sin, cos);
        for (column, row) in places {
            if seen.insert((column, row)) {
                let word = format!("w{column}q{row}");
                let (x, y) = (f64::from(column) * 8.0 * size, f64::from(row) * 2.0 * size);
                contents.push_str(&format!("1 0 0 1 {x} {y} Tm ({word}) Tj "));
                shown.push(word);
            }
        }
        let text = text(&(contents + "ET"));
        let mut found: Vec<&str> = text.split_whitespace().filter(|word| *word != "|").collect();
        let mut shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        found.sort_unstable();
        shown.sort_unstable();
        prop_assert_eq!(found, shown);
    }

    #[test]
    fn any_contents_are_read_without_harm(contents in "([a-zA-Z'\"*]{1,3}|[0-9.-]{1,4}|\\([a-z]{0,3}\\)|\\[|\\]|<<|>>|/F1| |\n){0,60}") {
        let _ = extract(&Sample::of(&contents));
    }
}
