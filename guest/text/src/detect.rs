//! The language of a text: by its script, and where several share one, by the
//! words that hold its sentences together and by letters of its own.

use std::collections::HashMap;
use std::sync::LazyLock;

use unicode_script::Script;

use crate::class::Class;
use crate::language::Language;
use crate::normal::{compatible, lower};
use crate::words::pieces;
use crate::{character, script};

/// Words of up to five letters of 36 languages, a line for each language that
/// begins with its code. From <https://github.com/stopwords-iso/stopwords-iso>
/// (MIT), without what is no word of the language.
const FUNCTION_WORDS: &str = include_str!("function_words.txt");

/// What a letter counts that few languages have, shared among those.
const LETTER_VOTE: f32 = 0.7;
/// What it counts for a language that most texts around it are in.
const MAIN_VOTE: f32 = 0.5;
/// A language is decided by this many times as many votes as the next language has.
const LEAD: f32 = 1.25;
/// And by this many votes at least.
const MIN_VOTES: f32 = 0.5;
/// Of a text of so few words a single function word shows nothing: it may be a word
/// of another language, as `pie` is of English and of Latvian.
const FEW_WORDS: u32 = 3;
/// Bytes of a text that are looked at, in three places; more adds no certainty.
const WINDOW_BYTES: usize = 16 * 1024;

type Mask = u64;

/// Languages that are detected by words and letters, by the bit that stands for each.
#[derive(Default)]
struct Known {
    languages: Vec<Language>,
    words: HashMap<&'static str, Mask>,
    /// Bytes of the longest word; most words of a text are longer.
    longest: usize,
    /// Languages by the letters that few have.
    letters: Vec<Mask>,
    /// For each character from the first that is not of ASCII: one more than the place
    /// of its letter among those, or nothing.
    places: Vec<u8>,
}

/// The first character that is not of ASCII.
const FIRST_LETTER: char = '\u{80}';

/// Beyond it no letter is that few languages have.
const LAST_LETTER: char = '\u{1fff}';

static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let mut known = Known::default();
    for line in FUNCTION_WORDS.lines() {
        let mut words = line.split(' ');
        let Some(language) = words.next().and_then(Language::parse) else { continue };
        let bit = 1 << known.languages.len();
        known.languages.push(language);
        for word in words {
            *known.words.entry(word).or_default() |= bit;
        }
    }
    // Detected by their letters alone.
    known.languages.extend(["sr", "mk", "ne"].into_iter().filter_map(Language::parse));
    known.longest = known.words.keys().map(|word| word.len()).max().unwrap_or(0);
    for letter in FIRST_LETTER..=LAST_LETTER {
        let mask = letter_codes(letter).map(|codes| known.mask(codes));
        let place = mask.and_then(|mask| {
            known.letters.push(mask);
            u8::try_from(known.letters.len()).ok()
        });
        known.places.push(place.unwrap_or_default());
    }
    known
});

impl Known {
    fn mask(&self, codes: &str) -> Mask {
        let named = |language: &Language| codes.split(' ').any(|code| code == language.code());
        let bits = self.languages.iter().enumerate().filter(|(_, language)| named(language));
        bits.map(|(bit, _)| 1 << bit).sum()
    }

    /// The languages that a word holds sentences of together.
    fn word(&self, word: &str) -> Option<Mask> {
        if word.len() > self.longest { None } else { self.words.get(word).copied() }
    }

    /// The languages of a letter that few have.
    fn letter(&self, letter: char) -> Option<Mask> {
        let code = (letter as usize).checked_sub(FIRST_LETTER as usize)?;
        let place = usize::from(*self.places.get(code)?).checked_sub(1)?;
        self.letters.get(place).copied()
    }
}

/// Whether a word in lower case is one of those that hold sentences of a language
/// together and say little themselves.
pub fn is_function_word(word: &str, language: Language) -> bool {
    let Some(mask) = KNOWN.word(word) else { return false };
    let bit = KNOWN.languages.iter().position(|known| *known == language);
    bit.is_some_and(|bit| mask & (1 << bit) != 0)
}

/// Letters that few languages of a script have.
fn letter_codes(letter: char) -> Option<&'static str> {
    Some(match letter {
        'ß' => "de",
        'ä' => "de sv fi et sk",
        'ö' => "de sv fi et hu tr",
        'ü' => "de tr hu et es",
        'å' => "sv da no",
        'æ' | 'ø' => "da no",
        'ñ' => "es",
        'é' => "fr es pt cs sk hu it ca vi ga",
        'á' | 'í' | 'ó' | 'ú' => "es pt cs sk hu ca vi ga",
        'ã' => "pt vi",
        'õ' => "pt et vi",
        'ç' => "fr pt ca tr",
        'è' | 'ù' | 'ì' | 'ò' => "it fr ca vi",
        'à' => "fr it ca pt vi",
        'ê' | 'ô' => "fr pt vi",
        'â' => "fr ro vi pt",
        'î' => "fr ro",
        'ă' => "ro vi",
        'ș' | 'ț' => "ro",
        'ş' => "tr ro",
        'ţ' => "ro",
        'ğ' | 'ı' => "tr",
        'ł' | 'ą' | 'ę' | 'ś' | 'ź' | 'ż' | 'ń' | 'ć' => match letter {
            'ł' | 'ś' | 'ź' | 'ż' | 'ń' => "pl",
            'ą' | 'ę' => "pl lt",
            _ => "pl hr",
        },
        'ř' | 'ě' | 'ů' => "cs",
        'ľ' | 'ĺ' | 'ŕ' => "sk",
        'ď' | 'ť' | 'ň' | 'ý' => "cs sk",
        'č' | 'š' | 'ž' => "cs sk sl hr lt lv",
        'đ' => "hr vi",
        'ő' | 'ű' => "hu",
        'ā' | 'ē' | 'ī' | 'ķ' | 'ļ' | 'ņ' | 'ģ' => "lv",
        'ė' | 'į' | 'ų' => "lt",
        'ū' => "lt lv",
        'ơ' | 'ư' | 'ạ' | 'ế' | 'ệ' | 'ộ' | 'ủ' | 'ấ' | 'ậ' | 'ờ' | 'ợ' | 'ị' | 'ọ' | 'ả' => {
            "vi"
        }
        'ы' | 'э' | 'ё' => "ru",
        'ъ' => "bg ru",
        'і' | 'ї' | 'є' | 'ґ' => "uk",
        'ј' | 'љ' | 'њ' | 'џ' => "sr mk",
        'ђ' | 'ћ' => "sr",
        'ѓ' | 'ќ' | 'ѕ' => "mk",
        'پ' | 'چ' | 'ژ' | 'گ' | 'ک' | 'ی' => "fa ur",
        'ٹ' | 'ڈ' | 'ڑ' | 'ے' | 'ں' | 'ہ' => "ur",
        'ة' | 'ي' | 'ك' | 'ى' | 'أ' | 'إ' => "ar",
        'ळ' => "mr",
        _ => return None,
    })
}

/// The language of a text; none where it cannot be detected. `main` is the language
/// that most texts around it are in, if there is one: a short text needs it.
pub fn detect(text: &str, main: Option<Language>) -> Option<Language> {
    let mut votes = Votes::new();
    for window in windows(text) {
        pieces(window, |piece| votes.count(piece.text));
    }
    votes.decide(main)
}

/// Whether all of a text is looked at.
pub(crate) fn is_read_whole(text: &str) -> bool {
    text.len() <= 3 * WINDOW_BYTES
}

/// A short text, or the beginning, middle and end of a long one.
fn windows(text: &str) -> Vec<&str> {
    if is_read_whole(text) {
        return vec![text];
    }
    let middle = (text.len() - WINDOW_BYTES) / 2;
    let starts = [0, middle, text.len() - WINDOW_BYTES];
    let at = |byte: usize| (byte..text.len()).find(|at| text.is_char_boundary(*at));
    let cut = |start: usize| text.get(at(start)?..at(start + WINDOW_BYTES).unwrap_or(text.len()));
    starts.into_iter().filter_map(cut).collect()
}

/// What the pieces of a text say of its language.
pub(crate) struct Votes {
    scripts: Vec<Letters>,
    kana: u32,
    /// Words, and those of them that are a language's function words.
    words: u32,
    function_words: u32,
    /// Whether a letter was met that few languages have.
    letters: bool,
    /// For each known language.
    votes: Vec<f32>,
}

/// Letters of a script.
struct Letters {
    /// Its number.
    script: u8,
    /// One of them.
    one: char,
    count: u32,
}

impl Votes {
    pub(crate) fn new() -> Self {
        let votes = vec![0.0; KNOWN.languages.len()];
        Self { scripts: Vec::new(), kana: 0, words: 0, function_words: 0, letters: false, votes }
    }

    /// Counts a piece of text in compatible form.
    pub(crate) fn count(&mut self, piece: &str) {
        let compatible = compatible(piece);
        let word = lower(&compatible, None);
        for letter in word.chars() {
            self.letter(letter);
        }
        self.words += 1;
        if let Some(mask) = KNOWN.word(&word) {
            self.function_words += 1;
            self.vote(mask, 1.0);
        }
    }

    fn letter(&mut self, letter: char) {
        const SHARED: [u8; 2] = [Script::Common as u8, Script::Inherited as u8];
        const KANA: [u8; 2] = [Script::Hiragana as u8, Script::Katakana as u8];
        let script = Class::of(letter).script();
        if SHARED.contains(&script) {
            return;
        }
        self.kana += u32::from(KANA.contains(&script));
        match self.scripts.iter_mut().find(|known| known.script == script) {
            Some(known) => known.count += 1,
            None => self.scripts.push(Letters { script, one: letter, count: 1 }),
        }
        if let Some(mask) = KNOWN.letter(letter) {
            self.letters = true;
            self.vote(mask, LETTER_VOTE);
        }
    }

    fn vote(&mut self, mask: Mask, worth: f32) {
        let share = worth / mask.count_ones().max(1) as f32;
        let mut left = mask;
        while left != 0 {
            if let Some(votes) = self.votes.get_mut(left.trailing_zeros() as usize) {
                *votes += share;
            }
            left &= left - 1;
        }
    }

    /// The script that most of the text is in. A character of Han says as much as
    /// several letters.
    fn script(&self) -> Option<Script> {
        let worth = |script: Script, count: u32| match script {
            Script::Han | Script::Hangul => count * 3,
            _ => count,
        };
        let mut best: Option<(Script, u32)> = None;
        for Letters { one, count, .. } in &self.scripts {
            let script = character::script(*one);
            let worth = worth(script, *count);
            if best.is_none_or(|(_, most)| worth > most) {
                best = Some((script, worth));
            }
        }
        best.map(|(script, _)| script)
    }

    pub(crate) fn decide(&self, main: Option<Language>) -> Option<Language> {
        let script = self.script()?;
        let only = match script {
            Script::Hiragana | Script::Katakana => "ja",
            // Titles in Japanese have little kana, Chinese has none.
            Script::Han if self.kana * 10 > self.han() => "ja",
            Script::Han => return Some(self.han_language(main)),
            Script::Hangul => "ko",
            Script::Thai => "th",
            Script::Lao => "lo",
            Script::Khmer => "km",
            Script::Myanmar => "my",
            Script::Greek => "el",
            Script::Hebrew => "he",
            Script::Armenian => "hy",
            Script::Georgian => "ka",
            Script::Tamil => "ta",
            Script::Bengali => "bn",
            Script::Gujarati => "gu",
            Script::Gurmukhi => "pa",
            Script::Telugu => "te",
            Script::Kannada => "kn",
            Script::Malayalam => "ml",
            Script::Sinhala => "si",
            Script::Ethiopic => "am",
            script => return self.leader(script, main),
        };
        Language::parse(only)
    }

    fn han(&self) -> u32 {
        self.scripts
            .iter()
            .find(|letters| letters.script == Script::Han as u8)
            .map_or(0, |letters| letters.count)
    }

    fn han_language(&self, main: Option<Language>) -> Language {
        let chinese = Language::parse("zh").unwrap_or(Language::ENGLISH);
        main.filter(|main| script::of_language(main.code()) == Script::Han).unwrap_or(chinese)
    }

    /// Of languages that share a script, the one with the most votes, if it leads.
    fn leader(&self, script: Script, main: Option<Language>) -> Option<Language> {
        let main = main.filter(|main| script::of_language(main.code()) == script);
        if self.words <= FEW_WORDS && self.function_words < 2 && !self.letters {
            return main;
        }
        let mut ranked: Vec<(Language, f32)> = KNOWN
            .languages
            .iter()
            .zip(&self.votes)
            .filter(|(language, _)| script::of_language(language.code()) == script)
            .map(|(language, votes)| {
                (*language, votes + if main == Some(*language) { MAIN_VOTE } else { 0.0 })
            })
            .collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let (first, votes) = *ranked.first()?;
        let second = ranked.get(1).map_or(0.0, |(_, votes)| *votes);
        if votes >= MIN_VOTES && votes >= LEAD * second { Some(first) } else { main }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn language_of(text: &str) -> Option<String> {
        detect(text, None).map(|language| language.code().to_owned())
    }

    #[test]
    fn a_sentence_tells_its_language() {
        for (text, code) in [
            ("The house stands at the end of the road, and nobody lives in it.", "en"),
            ("Das Haus steht am Ende der Straße, und niemand wohnt darin.", "de"),
            ("La casa está al final de la calle y nadie vive en ella.", "es"),
            ("La maison se trouve au bout de la rue et personne n'y habite.", "fr"),
            ("La casa si trova alla fine della strada e nessuno ci abita.", "it"),
            ("A casa que fica no fim da rua não é minha, e também ninguém mora nela.", "pt"),
            ("Het huis staat aan het einde van de weg en niemand woont er.", "nl"),
            ("Huset ligger i slutet av vägen och ingen bor där.", "sv"),
            (
                "Huset ved enden af vejen blev solgt efter krigen, og nu bor der ikke nogen i det.",
                "da",
            ),
            ("Dom stoi na końcu drogi i nikt w nim nie mieszka.", "pl"),
            ("Dům stojí na konci cesty a nikdo v něm nebydlí.", "cs"),
            ("Talo on tien päässä, eikä siinä asu ketään.", "fi"),
            ("A ház az út végén áll, és senki sem lakik benne.", "hu"),
            ("Casa se află la capătul drumului și nimeni nu locuiește în ea.", "ro"),
            ("Ev yolun sonunda duruyor ve içinde kimse yaşamıyor.", "tr"),
            ("Ngôi nhà nằm ở cuối con đường và không ai sống trong đó.", "vi"),
            ("Rumah itu berada di ujung jalan dan tidak ada yang tinggal di sana.", "id"),
            ("Дом стоит в конце дороги, и в нём никто не живёт.", "ru"),
            ("Будинок стоїть у кінці дороги, і в ньому ніхто не живе.", "uk"),
            ("Къщата е в края на пътя и в нея не живее никой.", "bg"),
            ("Το σπίτι βρίσκεται στο τέλος του δρόμου.", "el"),
            ("يقع البيت في نهاية الطريق ولا يسكنه أحد.", "ar"),
            ("خانه در انتهای جاده است و کسی در آن زندگی نمی‌کند.", "fa"),
            ("घर सड़क के अंत में है और उसमें कोई नहीं रहता।", "hi"),
            ("房子在路的尽头，没有人住在里面。", "zh"),
            ("家は道の終わりにあり、誰も住んでいません。", "ja"),
            ("집은 길 끝에 있고 아무도 살지 않는다.", "ko"),
            ("บ้านอยู่สุดถนนและไม่มีใครอยู่", "th"),
        ] {
            assert_eq!(language_of(text).as_deref(), Some(code), "{text}");
        }
    }

    #[test]
    fn what_tells_nothing_is_not_told() {
        for text in ["", "1234 5678", "NOR.0707-10", "xyzzy plugh", "apple pie"] {
            assert_eq!(language_of(text), None, "{text}");
        }
        assert_eq!(detect("flutter", Some(Language::ENGLISH)), Some(Language::ENGLISH));
        assert_eq!(detect("1234", Some(Language::ENGLISH)), None);
    }

    #[test]
    fn a_long_text_is_looked_at_in_three_places() {
        let text = "Das Haus steht am Ende der Straße. ".repeat(20_000);
        assert_eq!(language_of(&text).as_deref(), Some("de"));
    }

    #[test]
    fn function_words_are_of_their_language() {
        let of = |code| Language::parse(code).unwrap_or(Language::ENGLISH);
        assert!(is_function_word("und", of("de")) && !is_function_word("und", of("en")));
    }
}
