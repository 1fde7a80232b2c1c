#![allow(clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn split<'a>(text: &'a str, language: &str) -> Vec<&'a str> {
    let found = sentences(text, Language::parse(language), Lines::Wrapped);
    found.into_iter().map(|range| &text[range]).collect()
}

/// Sentences are written with `|` between them.
fn check(language: &str, marked: &[&str]) {
    for marked in marked {
        let text = marked.replace('|', "");
        let expected: Vec<_> = marked.split('|').map(str::trim).collect();
        assert_eq!(split(&text, language), expected);
    }
}

#[test]
fn english() {
    check(
        "en",
        &[
            "One two.| Three?|  Four!",
            "He lives in the U.S. with Mrs. Jones.| It is far.",
            "St. Louis is a city.| Dr. Smith left.",
            "The U.S. Army came.| It won.",
            "They moved to the U.S.| The house was small.",
            "See Fig. 3 by J. Smith et al.| There, e.g. Mach 3.5 holds.| Next.",
            "Of 3 cm. width along x.| Next.",
            "Did he say no.| Yes.",
            "\u{201c}Why?\u{201d} he asked.| Nobody knew.",
            "It ended in 1999.| [He left.]",
        ],
    );
}

#[test]
fn german() {
    check(
        "de",
        &[
            "Er kam am 25. Mai nach Berlin.| Das war gut.",
            "Im Laufe des 19. Jahrhunderts wuchs die Stadt.| Sie wurde reich.",
            "Das gilt z.B. für Äpfel.| Siehe Nr. 5 der Liste.",
            "Ludwig XIV. Frankreichs König war er.| Das endete 1715.| Danach kam Ruhe.",
            "Dr. Müller kommt.| »Was?« fragte er.| Niemand sprach.",
            "Siehe S. 12.| Dort steht es.",
        ],
    );
}

#[test]
fn other_languages() {
    check("es", &["El Sr. López vive en EE.UU. desde 1990.| ¿Quién lo sabe?| Nadie."]);
    check("ru", &["Он родился в 1799 г. в Москве, т.е. давно.| Потом жил в г. Твери.| Всё."]);
    check("zh", &["你好。|再见！|“谁？”他问。|没人。"]);
    check("ja", &["今日は晴れ。|「はい。」と言った。|終わり。"]);
    check("hi", &["यह एक घर है।| डॉ. शर्मा आए।"]);
    check("ar", &["من هذا؟| هذا بيت."]);
    check("fr", &["M. Dupont arrive.| Il dit bonjour."]);
    check("pl", &["To było 3. Maja, np. rano.| Potem nic."]);
}

#[test]
fn text_without_capitals_ends_sentences_at_its_marks() {
    check(
        "en",
        &[
            "the slipstream of a wing .| it was seen by j. smith et al. in fig. 3. at mach 3.5 e.g. here.| why ?| so",
            "lower case .| ends like this .",
        ],
    );
}

#[test]
fn thai_is_split_at_spaces_for_length() {
    let clause = "กรุงเทพมหานครเป็นเมืองหลวงและนครที่มีประชากรมากที่สุดของประเทศไทย";
    let text = [clause; 6].join(" ");
    let found = split(&text, "th");
    assert_eq!(found, [[clause; 3].join(" "), [clause; 3].join(" ")]);
    assert_eq!(split(clause, "th"), [clause]);
}

#[test]
fn a_line_end_is_what_its_text_is() {
    let text = "# Heading\nText goes\non here.\n- item";
    let lines = |lines| -> Vec<&str> {
        sentences(text, None, lines).into_iter().map(|range| &text[range]).collect()
    };
    assert_eq!(lines(Lines::End), ["# Heading", "Text goes\non here.", "- item"]);
    assert_eq!(lines(Lines::Wrapped), [text]);
    assert_eq!(sentences(" . \n !", None, Lines::End), []);
}

proptest! {
    #[test]
    fn bounds_are_those_of_the_rules(
        text in "([a-cA-C1-3 .!?:,;()'\"\\n\\r\u{301}\u{ad}\u{200d}\u{85}\u{2028}äÖßة؟。！？，中あกำ।「」“”…‥😀\u{1da88}\u{11141}]|\\PC| ){0,24}"
    ) {
        let splitter = Splitter { language: None, capitals: true, danda: false };
        let expected = text.split_sentence_bound_indices().map(|(at, one)| at + one.len());
        prop_assert_eq!(splitter.bounds(&text), expected.collect::<Vec<_>>());
    }

    #[test]
    fn no_letter_is_lost_and_none_comes_twice(text in "\\PC{0,120}", end: bool, language in "(en|de|zh|th|)") {
        let lines = if end { Lines::End } else { Lines::Wrapped };
        let found = sentences(&text, Language::parse(&language), lines);
        let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
        let all: String = found.iter().map(|range| &text[range.clone()]).collect();
        prop_assert_eq!(letters(&all), letters(&text));
        prop_assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start));
    }
}
