use ragtime_text::Words;

use super::*;

fn words(text: &str, language: &str) -> Words {
    let text = text.to_owned();
    Words { text, names: String::new(), language: Language::parse(language) }
}

#[test]
fn words_that_have_to_be_there_are_and_those_that_must_not_be_are_not() {
    let dir = tempfile::tempdir().unwrap();
    let lexical = Lexical::open(dir.path()).unwrap();
    let mut writer = lexical.writer().unwrap();
    let texts = ["the maple leaf rag", "a rag for the maple, leaf by leaf", "leaf of a maple"];
    for (chunk, text) in (1..).zip(texts) {
        writer.add(chunk, &words(text, "en")).unwrap();
    }
    writer.commit(Progress { chunk: 3, removal: 0 }).unwrap();
    lexical.reload().unwrap();
    let allowed = |required: &[&str], excluded: &[&str]| {
        let owned = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
        let found = lexical.constraint(&owned(required), &owned(excluded)).unwrap();
        let all = 1..=3_u64;
        all.filter(|chunk| found.as_ref().is_none_or(|c| c.allows(*chunk))).collect::<Vec<_>>()
    };
    assert_eq!(allowed(&["maple leaf"], &[]), [1, 2]);
    assert_eq!(allowed(&["Leaf of a maples"], &[]), [3]);
    assert_eq!(allowed(&["maples", "rags"], &[]), [1, 2]);
    assert_eq!(allowed(&["maple"], &["leaf rag", "nothing"]), [2, 3]);
    assert_eq!(allowed(&["?"], &["!"]), [1, 2, 3], "without words it asks for nothing");
    assert_eq!(allowed(&["a"], &[]), [2, 3], "common words are words");
    assert_eq!(allowed(&["nothing"], &[]), [0_u64; 0]);
}

#[test]
fn scores_are_those_of_the_top_whichever_segment_a_chunk_is_in() {
    let dir = tempfile::tempdir().unwrap();
    let lexical = Lexical::open(dir.path()).unwrap();
    let mut writer = lexical.writer().unwrap();
    for segment in 0..3_u64 {
        for chunk in (segment..30).step_by(3) {
            let text = if chunk % 4 == 3 { "fuselage" } else { "swept wing" };
            let rest = "flutter ".repeat(chunk as usize);
            writer.add(chunk, &words(&format!("{text} {rest}"), "en")).unwrap();
        }
        writer.commit(Progress { chunk: segment, removal: 0 }).unwrap();
    }
    lexical.reload().unwrap();
    let search = lexical.search("wing").unwrap().unwrap();
    assert!(search.searcher.segment_readers().len() > 1);
    let all: Vec<_> = (0..40).collect();
    let top: HashMap<_, _> = search.top(40, |_| true).unwrap().into_iter().collect();
    assert_eq!(top.len(), 23);
    assert_eq!(search.scores(&all).unwrap(), top);
}

#[test]
fn words_find_texts_of_other_languages_as_they_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let lexical = Lexical::open(dir.path()).unwrap();
    let mut writer = lexical.writer().unwrap();
    for chunk in 1..=40 {
        writer
            .add(chunk, &words(&format!("{} of wings", "flutter ".repeat(chunk as usize)), "en"))
            .unwrap();
    }
    // In French the stem of "wings" is another than in English.
    writer.add(41, &words("wings est un groupe", "fr")).unwrap();
    writer.commit(Progress { chunk: 41, removal: 0 }).unwrap();
    lexical.reload().unwrap();
    let search = lexical.search("wings").unwrap().unwrap();
    assert_eq!((search.finders.len(), search.refined), (2, true));
    let found = search.top(41, |_| true).unwrap();
    assert_eq!(found.len(), 41);
    // The filter is asked about what is found, and the best are those that it takes.
    let few = search.top(3, |chunk| chunk > 30).unwrap();
    let best: Vec<_> = found.into_iter().filter(|(chunk, _)| *chunk > 30).take(3).collect();
    assert_eq!(few, best);
}
