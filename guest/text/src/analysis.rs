//! The tokens of a text.
//!
//! Words of scripts with spaces are compared by their stems, and as they are
//! written with a small weight of its own. Scripts without spaces are compared by
//! pairs of neighbours: of characters in Han and kana, of clusters (a base with
//! its marks) in Thai, Lao, Khmer and Burmese. Pairs of characters find what
//! dictionaries find, without a dictionary (J. Savoy, "Comparative study of
//! monolingual and multilingual search models", 2005); Hangul has both.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;

use frostem::Stemmer;
use unicode_normalization::char::is_combining_mark;
use unicode_script::Script;

use crate::language::Language;
use crate::normal::{fold, lower};
use crate::script::{self, Kind};
use crate::words::{Gap, Piece, pieces};

/// A longer word is an encoding or an accident. A SHA-256 in hexadecimal is not.
const MAX_WORD_CHARS: usize = 64;
/// Parts of a name that is also found as one word.
const MAX_PARTS: usize = 6;
/// Bytes of one.
const MAX_JOINED_BYTES: usize = 48;
/// Between parts of names, numbers, addresses, versions: `NOR.0707-10`,
/// `jo@example.org`, `foo_bar`, `12:30`.
const JOINERS: [char; 13] =
    ['-', '.', '_', '/', '@', ':', '+', '\'', '\u{2019}', '\u{2010}', '\u{2011}', '\u{200b}', '&'];

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A word in its place: in the index, in a query, and in a phrase.
    Word,
    /// The same once more in another form: in the index and in a query.
    Form,
    /// In the index only, so that less than a word finds it.
    Part,
}

/// A term of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is compared by; none for a form that counts as written only.
    pub stem: Option<String>,
    /// As it is written, in lower case, where that may differ.
    pub exact: Option<String>,
    /// Its place. Forms of one word share it.
    pub position: u32,
    /// The bytes of the text that it comes from.
    pub span: Range<usize>,
    pub(crate) role: Role,
}

/// The tokens of a text in a language, in order. Words of a text whose language is
/// not known are stemmed as English where their letters are Latin.
pub fn analyse(text: &str, language: Option<Language>) -> Vec<Token> {
    let mut analysis = Analysis::new(language);
    pieces(text, |piece| analysis.take(text, piece));
    analysis.finish()
}

struct Analysis {
    language: Option<Language>,
    stems: Stems,
    tokens: Vec<Token>,
    position: u32,
    /// Units of a run without spaces, and its kind.
    run: Vec<(String, Range<usize>)>,
    run_kind: Kind,
    /// Parts of what may be one name: the word, its gap, and its token.
    chain: Vec<Link>,
}

struct Link {
    word: String,
    token: usize,
}

impl Analysis {
    fn new(language: Option<Language>) -> Self {
        Self {
            language,
            stems: Stems::new(language),
            tokens: Vec::new(),
            position: 0,
            run: Vec::new(),
            run_kind: Kind::Spaced,
            chain: Vec::new(),
        }
    }

    fn take(&mut self, source: &str, piece: Piece<'_>) {
        let goes_on = matches!(piece.gap, Gap::None | Gap::One('\u{200b}'));
        if piece.kind != self.run_kind || !goes_on {
            self.end_run();
        }
        match piece.kind {
            Kind::Cjk | Kind::SouthEastAsian(_) => {
                self.end_chain();
                self.run_kind = piece.kind;
                let units = units(piece.text, piece.kind);
                self.run.extend(units.map(|unit| (unit, piece.span.clone())));
            }
            Kind::Hangul => {
                self.end_chain();
                self.hangul(&piece);
            }
            Kind::Spaced => self.word(source, piece),
        }
    }

    /// A run of one unit stands as it is; else each pair of neighbours is a term.
    fn end_run(&mut self) {
        let run = std::mem::take(&mut self.run);
        let kind = std::mem::replace(&mut self.run_kind, Kind::Spaced);
        let singles = kind == Kind::Cjk && run.len() > 1;
        for (at, (unit, span)) in run.iter().enumerate() {
            if run.len() == 1 {
                self.push(Some(unit.clone()), None, span.clone(), Role::Word);
            } else if let Some((next, end)) = run.get(at + 1) {
                let span = span.start..end.end;
                self.push(Some(format!("{unit}{next}")), None, span, Role::Word);
            }
            if singles && unit.chars().next().is_some_and(|one| script::is(one, Script::Han)) {
                self.push(Some(unit.clone()), None, span.clone(), Role::Part);
            }
            self.position += 1;
        }
    }

    /// Pairs of syllables in their places, and the whole word once more.
    fn hangul(&mut self, piece: &Piece<'_>) {
        let syllables: Vec<char> = piece.text.chars().collect();
        if syllables.len() > MAX_WORD_CHARS {
            self.position += 1;
            return;
        }
        let span = || piece.span.clone();
        if syllables.len() < 3 {
            self.push(Some(piece.text.to_owned()), None, span(), Role::Word);
            self.position += 1;
            if let [first, _] = syllables.as_slice() {
                self.push(Some(first.to_string()), None, span(), Role::Part);
            }
            return;
        }
        self.push(Some(piece.text.to_owned()), None, span(), Role::Form);
        for pair in syllables.windows(2) {
            self.push(Some(pair.iter().collect()), None, span(), Role::Word);
            self.position += 1;
        }
    }

    fn word(&mut self, source: &str, piece: Piece<'_>) {
        if !joins(piece.gap, self.chain.last().map(|link| link.word.as_str()), piece.text) {
            self.end_chain();
        }
        let word = lower(piece.text, self.language);
        if word.chars().count() > MAX_WORD_CHARS {
            self.end_chain();
            self.position += 1;
            return;
        }
        let token = self.tokens.len();
        match sign(source, &piece, &word) {
            // The bare letter would be another thing.
            Some(Signed::Whole(name)) => {
                self.push(Some(name.clone()), Some(name), piece.span.clone(), Role::Word);
            }
            Some(Signed::Beside(name)) => {
                self.push(Some(name.clone()), Some(name), piece.span.clone(), Role::Word);
                self.plain(&word, &piece, Role::Form);
            }
            None => self.plain(&word, &piece, Role::Word),
        }
        for hump in humps(piece.text) {
            let hump = lower(hump, self.language);
            let stem = self.stems.of(&hump);
            self.push(Some(stem), None, piece.span.clone(), Role::Form);
        }
        self.position += 1;
        self.chain.push(Link { word: word.into_owned(), token });
    }

    /// A word by its stem, and as it is.
    fn plain(&mut self, word: &str, piece: &Piece<'_>, role: Role) {
        let stem = self.stems.of(word);
        let exact = Some(word.to_owned());
        self.push(Some(stem), exact, piece.span.clone(), role);
        // Where marks tell words apart, a word without them is found as written.
        if self.stems.keeps_marks
            && let Cow::Owned(folded) = fold(word)
            && folded != word
        {
            self.push(None, Some(folded), piece.span.clone(), Role::Part);
        }
    }

    /// Adds the parts of a name as one word, at the place of its first.
    fn end_chain(&mut self) {
        let chain = std::mem::take(&mut self.chain);
        let [first, .., last] = chain.as_slice() else { return };
        let joined: String = chain.iter().map(|link| link.word.as_str()).collect();
        let (Some(from), Some(to)) = (self.tokens.get(first.token), self.tokens.get(last.token))
        else {
            return;
        };
        if chain.len() > MAX_PARTS || joined.len() > MAX_JOINED_BYTES {
            return;
        }
        let token = Token {
            stem: Some(fold(&joined).into_owned()),
            exact: None,
            position: from.position,
            span: from.span.start..to.span.end,
            role: Role::Form,
        };
        self.tokens.push(token);
    }

    fn push(
        &mut self,
        stem: Option<String>,
        exact: Option<String>,
        span: Range<usize>,
        role: Role,
    ) {
        self.tokens.push(Token { stem, exact, position: self.position, span, role });
    }

    fn finish(mut self) -> Vec<Token> {
        self.end_run();
        self.end_chain();
        self.tokens
    }
}

/// Whether a piece goes on with the name that the one before it began.
fn joins(gap: Gap, before: Option<&str>, piece: &str) -> bool {
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match gap {
        Gap::One(',') => before.is_some_and(digits) && digits(piece),
        Gap::One(joiner) => before.is_some() && JOINERS.contains(&joiner),
        Gap::None | Gap::More => false,
    }
}

/// A name of which a sign is part.
enum Signed {
    /// `C++`, `C#`.
    Whole(String),
    /// `.NET`, which is also a word without it.
    Beside(String),
}

fn sign(source: &str, piece: &Piece<'_>, word: &str) -> Option<Signed> {
    if !word.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return None;
    }
    let after = source.get(piece.span.end..)?;
    if word.len() <= 2
        && let Some(sign) = ["++", "#"].into_iter().find(|sign| after.starts_with(sign))
    {
        let next = after.get(sign.len()..).and_then(|rest| rest.chars().next());
        let ends = next.is_none_or(|next| !next.is_alphabetic() && next != '+' && next != '#');
        return ends.then(|| Signed::Whole(format!("{word}{sign}")));
    }
    let before = source.get(..piece.span.start)?.strip_suffix('.')?;
    let begins = before.chars().next_back().is_none_or(|before| {
        before.is_whitespace() || matches!(before, '(' | '[' | '"' | '\'' | '`' | '/' | '\u{201c}')
    });
    (begins && word.len() > 1).then(|| Signed::Beside(format!(".{word}")))
}

/// The parts of `camelCase` and `HTTPServer` of more than one letter; none where
/// there is one part.
fn humps(word: &str) -> Vec<&str> {
    let bytes = word.as_bytes();
    let upper = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_uppercase);
    let small = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_lowercase);
    if !word.is_ascii() || !(1..bytes.len()).any(|at| upper(at) && (small(at - 1) || small(at + 1)))
    {
        return Vec::new();
    }
    let mut parts = Vec::new();
    let mut start = 0;
    for at in 1..bytes.len() {
        if upper(at) && (small(at - 1) || small(at + 1)) {
            parts.extend(word.get(start..at));
            start = at;
        }
    }
    parts.extend(word.get(start..));
    if parts.len() < 2 {
        return Vec::new();
    }
    parts.retain(|part| part.len() > 1);
    parts
}

/// The units that pairs are made of: characters of Han and kana, clusters of a
/// base and its marks elsewhere.
fn units(text: &str, kind: Kind) -> impl Iterator<Item = String> {
    let mut units: Vec<String> = Vec::new();
    for character in text.chars() {
        let stacked = units.last().and_then(|unit| unit.chars().next_back()).is_some_and(stacks);
        let mark = kind != Kind::Cjk && (is_combining_mark(character) || stacked);
        match units.last_mut() {
            Some(unit) if mark => unit.push(character),
            _ => units.push(character.to_string()),
        }
    }
    units.into_iter()
}

/// Whether the consonant after it is written below the one before: the coeng of
/// Khmer, the virama of Myanmar.
fn stacks(character: char) -> bool {
    matches!(character, '\u{17d2}' | '\u{1039}')
}

/// Stems of one text's words.
struct Stems {
    own: Option<Stemmer>,
    script: Script,
    /// For Latin words in a text of another script, or of no known language: a word
    /// or two tell none, and are English more often than any other.
    english: Option<Stemmer>,
    keeps_marks: bool,
    known: HashMap<String, String>,
}

impl Stems {
    fn new(language: Option<Language>) -> Self {
        let script = language.map_or(Script::Common, |one| script::of_language(one.code()));
        let foreign = script != Script::Latin;
        Self {
            own: language.and_then(|language| language.stemmer()),
            script,
            english: Language::ENGLISH.stemmer().filter(|_| foreign),
            keeps_marks: language.is_some_and(|language| language.code() == "vi"),
            known: HashMap::new(),
        }
    }

    fn of(&mut self, word: &str) -> String {
        if let Some(known) = self.known.get(word) {
            return known.clone();
        }
        let stem = self.make(word);
        self.known.insert(word.to_owned(), stem.clone());
        stem
    }

    fn make(&self, word: &str) -> String {
        let script = word.chars().next().map_or(Script::Common, script::of);
        let stemmer = match script {
            script if script == self.script => self.own,
            Script::Latin => self.english,
            _ => None,
        };
        let letters = word.chars().all(|one| !one.is_numeric());
        let stem = match stemmer.filter(|_| letters) {
            Some(stemmer) => stemmer.stem(word),
            None => Cow::Borrowed(word),
        };
        // A stemmer that leaves nothing has not met a word.
        let stem = if stem.is_empty() { Cow::Borrowed(word) } else { stem };
        if self.keeps_marks { stem.into_owned() } else { fold(&stem).into_owned() }
    }
}

#[cfg(test)]
mod tests {
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
    fn places_count_words_and_forms_share_them() {
        let places: Vec<_> = analyse("a foo-bar b 一二三 c", None)
            .into_iter()
            .filter(|one| one.role == Role::Word)
            .map(|one| (one.stem.unwrap(), one.position))
            .collect();
        let expected =
            [("a", 0), ("foo", 1), ("bar", 2), ("b", 3), ("一二", 4), ("二三", 5), ("c", 7)];
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
        fn composed_and_decomposed_text_is_the_same(text in "[a-zéüñçőαάй가각が日 ]{0,30}") {
            use unicode_normalization::UnicodeNormalization;
            let of = |text: String| stems(&text, "");
            prop_assert_eq!(of(text.nfc().collect()), of(text.nfd().collect()));
        }
    }
}
