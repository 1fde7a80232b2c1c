#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use super::*;
use proptest::prelude::*;

fn stems(text: &str, language: &str) -> Vec<String> {
    analyse(text, Language::parse(language)).into_iter().filter_map(|one| one.stem).collect()
}

fn shares(a: &str, b: &str) -> bool {
    let a = stems(a, "");
    stems(b, "").iter().all(|stem| a.contains(stem))
}

#[test]
fn words_are_stemmed_in_their_language() {
    assert_eq!(stems("The wings were fluttering", "en"), ["the", "wing", "were", "flutter"]);
    assert_eq!(stems("Die Häuser", "de"), ["die", "haus"]);
    assert_eq!(stems("домами", "ru"), stems("дома", "ru"));
    assert_eq!(stems("Häuser wings", ""), ["hauser", "wing"]);
    assert_eq!(stems("工程 engines", "zh"), ["工程", "工", "程", "engin"]);
}

#[test]
fn a_part_of_a_sentence_is_found_in_scripts_without_spaces() {
    for (text, part) in [
        ("北京大学是中国的一所大学。", "中国的一所"),
        ("东京タワーは東京都港区にある電波塔です。", "港区にある"),
        ("กรุงเทพมหานครเป็นเมืองหลวงของประเทศไทย", "เมืองหลวง"),
        ("ນະຄອນຫຼວງວຽງຈັນເປັນເມືອງຫຼວງຂອງປະເທດລາວ", "ເມືອງຫຼວງ"),
        ("ភ្នំពេញជារាជធានីនៃប្រទេសកម្ពុជា", "រាជធានី"),
        ("ရန်ကုန်မြို့သည်မြန်မာနိုင်ငံ၏အကြီးဆုံးမြို့ဖြစ်သည်", "အကြီးဆုံး"),
        ("서울특별시는 대한민국의 수도이다", "대한민국"),
        ("서울특별시는 대한민국의 수도이다", "수도"),
    ] {
        let text = stems(text, "");
        let part: Vec<_> = analyse(part, None)
            .into_iter()
            .filter(|one| one.role == Role::Word)
            .filter_map(|one| one.stem)
            .collect();
        assert!(!part.is_empty() && part.iter().all(|one| text.contains(one)), "{part:?}");
    }
}

#[test]
fn a_single_character_is_found() {
    assert!(stems("北京大学", "zh").contains(&"京".to_owned()));
}

#[test]
fn identifiers_are_found_whole_and_in_parts() {
    for (text, part) in [
        ("NOR.0707-10", "0707"),
        ("NOR.0707-10", "nor070710"),
        ("jo.doe@example.org", "example"),
        ("https://example.org/a", "example"),
        ("parseHttpRequest", "http"),
        ("HTTPServer", "server"),
        ("foo_bar", "foobar"),
        ("e-mail", "email"),
        ("v1.2.3", "v123"),
        ("U.S.A.", "usa"),
        ("10,000", "10000"),
        ("zero\u{200b}width", "zerowidth"),
    ] {
        assert!(shares(text, part), "{text} {part} {:?}", stems(text, ""));
    }
}

#[test]
fn names_with_signs_are_things_of_their_own() {
    let of = |text| stems(text, "en");
    assert_eq!(of("C++ C# C"), ["c++", "c#", "c"]);
    assert_eq!(of("(.NET)"), [".net", "net"]);
    assert_eq!(of("C++11"), ["c++", "11"]);
    assert_eq!(of("end ...then"), ["end", "then"]);
    assert_eq!(of("issue #12"), ["issu", "12"]);
}

#[test]
fn vietnamese_is_found_with_and_without_its_marks() {
    let tokens = analyse("thủ đô", Language::parse("vi"));
    let exact: Vec<_> = tokens.iter().filter_map(|one| one.exact.as_deref()).collect();
    assert_eq!(exact, ["thủ", "thu", "đô", "do"]);
    assert_eq!(stems("thủ đô", "vi"), ["thủ", "đô"]);
}

#[test]
fn a_long_text_taken_into_pieces_is_told_by_three_places() {
    let text = "Das Haus steht am Ende der Straße. ".repeat(2_000);
    let segmented = Segmented::new(&text);
    assert_eq!(segmented.language(), Language::parse("de"));
    let (mut known, mut count) = (KnownStems::default(), 0);
    segmented.tokens(&mut known, |_| count += 1);
    assert_eq!((count, known.words()), (14_000, 7));
}

#[test]
fn places_count_words_and_forms_share_them() {
    let places: Vec<_> = analyse("a foo-bar b 一二三 c", None)
        .into_iter()
        .filter(|one| one.role == Role::Word)
        .map(|one| (one.stem.unwrap(), one.position))
        .collect();
    let expected = [("a", 0), ("foo", 1), ("bar", 2), ("b", 3), ("一二", 4), ("二三", 5), ("c", 7)];
    assert_eq!(places, expected.map(|(word, place)| (word.to_owned(), place)));
}

proptest! {
    #[test]
    fn every_token_is_of_its_text(text in "\\PC{0,60}", language in "(en|de|tr|vi|ar|th|)") {
        let tokens = analyse(&text, Language::parse(&language));
        for token in &tokens {
            prop_assert!(text.get(token.span.clone()).is_some());
            prop_assert!(token.stem.as_ref().is_none_or(|stem| !stem.is_empty()));
        }
        prop_assert_eq!(&tokens, &analyse(&text, Language::parse(&language)));
    }

    #[test]
    fn a_text_taken_into_pieces_once_has_the_same_tokens(texts in proptest::collection::vec("(\\PC{0,30}|the [a-z.-]{0,9} 中国|und กำ Ö{0,3})", 1..4)) {
        let mut known = KnownStems::default();
        for text in &texts {
            let segmented = Segmented::new(text);
            let mut tokens = Vec::new();
            segmented.tokens(&mut known, |found| tokens.push(found.token()));
            prop_assert_eq!(segmented.language(), detect(text, None));
            prop_assert_eq!(tokens, analyse(text, segmented.language()));
        }
    }

    #[test]
    fn composed_and_decomposed_text_is_the_same(text in "[a-zéüñçőαάй가각が日 ]{0,30}") {
        use unicode_normalization::UnicodeNormalization;
        let of = |text: String| stems(&text, "");
        prop_assert_eq!(of(text.nfc().collect()), of(text.nfd().collect()));
    }
}
