//! How long a text is when no model counts.

/// Characters of a word that make one token, as a rule of thumb for word
/// pieces of English: shorter words are one token, longer ones break up.
const CHARS_PER_TOKEN: usize = 6;

/// For each token of a text, the byte at which it starts: an estimate by words,
/// for when no model counts.
pub fn estimated_token_starts(text: &str) -> Vec<u32> {
    let mut starts = Vec::new();
    let mut run = 0;
    for (at, character) in text.char_indices() {
        if character.is_whitespace() {
            run = 0;
            continue;
        }
        if run % CHARS_PER_TOKEN == 0 || !character.is_alphanumeric() {
            starts.extend(u32::try_from(at));
        }
        run = if character.is_alphanumeric() { run + 1 } else { 0 };
    }
    starts
}

#[cfg(test)]
mod tests {
    use super::estimated_token_starts;

    #[test]
    fn an_estimate_starts_every_word_and_breaks_long_ones() {
        assert_eq!(estimated_token_starts("a bc, antidisestablish"), [0, 2, 4, 6, 12, 18]);
    }

    #[test]
    fn an_estimate_lies_on_character_boundaries() {
        let text = "žluťoučký kůň 馬馬馬馬馬馬馬馬";
        assert!(estimated_token_starts(text).iter().all(|at| text.is_char_boundary(*at as usize)));
    }
}
