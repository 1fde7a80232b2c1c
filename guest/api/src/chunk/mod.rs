//! Cuts a text into the pieces that are embedded and found.
//!
//! Chunks are cut by the tokens of the embedding model, which sees no more
//! than its first 256, and along the structure of the text: never inside a
//! character, at the end of a block where one is near, else of a sentence,
//! else of a word. Code and tables stay whole where they fit.

mod measure;
mod units;

use std::ops::Range;

use crate::extract::{BlockKind, Extracted};
use measure::Measure;
use units::{Boundary, Unit};

/// How long chunks are, in tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// What a chunk aims at; title and headings are put before it.
    pub tokens: usize,
    /// The most that a chunk repeats of the one before.
    pub overlap: usize,
}

impl Lengths {
    /// 200: the embedding model truncates at 256, two of which are its own. 30
    /// are one or two sentences, so that what refers to them can be understood.
    pub const DEFAULT: Self = Self { tokens: 200, overlap: 30 };

    /// The most tokens, which leaves room for a short title.
    pub const fn most(self) -> usize {
        self.tokens + self.tokens / 5
    }

    /// From this many tokens on, a chunk ends where a section ends; below it a
    /// short section goes on into the next, as a heading with a line says
    /// little.
    const fn section(self) -> usize {
        self.tokens * 3 / 10
    }

    /// From this many tokens on, a chunk ends before a block that does not fit.
    const fn block(self) -> usize {
        self.tokens * 3 / 4
    }
}

/// The most sentences that a chunk repeats of the one before.
const OVERLAP_UNITS: usize = 2;

/// A piece of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Its bytes; both ends on character boundaries.
    pub span: Range<usize>,
    /// Headings above it, outermost first.
    pub headings: Vec<String>,
    /// The names of the columns, where it begins among the rows of a table.
    pub context: Option<String>,
}

/// Cuts a text. `token_starts` holds the byte at which each token starts, in
/// order. A text of up to [`Lengths::tokens`] is one chunk. Chunks come in order,
/// cover all that is not white space, and may overlap. Deterministic.
pub fn chunk(extracted: &Extracted, token_starts: &[u32], lengths: Lengths) -> Vec<Chunk> {
    let text = extracted.text.as_str();
    let measure = Measure::new(token_starts, lengths);
    if text.trim().is_empty() {
        return Vec::new();
    }
    if measure.tokens(0..text.len()) <= measure.lengths.tokens {
        return vec![Chunk { span: 0..text.len(), headings: Vec::new(), context: None }];
    }
    let units = units::split(extracted, &measure);
    let chunks = pack(&units, &measure).into_iter();
    chunks
        .map(|run| finish(&units, run, text, &measure))
        .map(|chunk| Chunk { context: columns(extracted, chunk.span.start), ..chunk })
        .collect()
}

/// Groups units into chunks, as ranges of units.
fn pack(units: &[Unit], measure: &Measure<'_>) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut first = 0;
    for (index, unit) in units.iter().enumerate() {
        let Some(start) = units.get(first).map(|unit| unit.span.start).filter(|_| index > first)
        else {
            continue;
        };
        let filled = units.get(index - 1).map_or(0, |last| measure.tokens(start..last.span.end));
        if closes(filled, start, unit, measure) {
            runs.push(first..index);
            first = index - overlap(units, first, index, measure);
        }
    }
    runs.push(first..units.len());
    join_tail(&mut runs, units, measure);
    runs
}

/// Whether a chunk from `start`, of `filled` tokens so far, ends before `unit`.
fn closes(filled: usize, start: usize, unit: &Unit, measure: &Measure<'_>) -> bool {
    let block_end = measure.tokens(start..unit.block_end);
    match unit.boundary {
        Boundary::Section if filled >= measure.lengths.section() => true,
        Boundary::Section | Boundary::Block if filled >= measure.lengths.block() => {
            block_end > measure.lengths.tokens
        }
        _ => measure.tokens(start..unit.span.end) > measure.lengths.tokens,
    }
}

/// How many units before `next` the following chunk repeats.
fn overlap(units: &[Unit], first: usize, next: usize, measure: &Measure<'_>) -> usize {
    let Some(following) =
        units.get(next).filter(|unit| unit.boundary != Boundary::Section && unit.splittable)
    else {
        return 0;
    };
    let end = units.get(next - 1).map_or(0, |unit| unit.span.end);
    let fits = |unit: &&Unit| {
        unit.splittable
            && unit.section == following.section
            && measure.tokens(unit.span.start..end) <= measure.lengths.overlap
            && measure.tokens(unit.span.start..following.span.end) <= measure.lengths.tokens
    };
    let before = units.get(first + 1..next).unwrap_or_default();
    before.iter().rev().take(OVERLAP_UNITS).take_while(fits).count()
}

/// A last chunk that fits into the one before goes there.
fn join_tail(runs: &mut Vec<Range<usize>>, units: &[Unit], measure: &Measure<'_>) {
    let [.., before, last] = runs.as_slice() else { return };
    let section = |index: usize| units.get(index).map(|unit| unit.section);
    let (start, end) = (units.get(before.start), units.get(last.end.saturating_sub(1)));
    let (Some(start), Some(end)) = (start, end) else { return };
    let fits = measure.tokens(start.span.start..end.span.end) <= measure.lengths.most();
    if fits && section(before.end.saturating_sub(1)) == section(last.end.saturating_sub(1)) {
        let joined = before.start..last.end;
        runs.truncate(runs.len() - 2);
        runs.push(joined);
    }
}

/// A chunk of a run of units. What the embedding model could not see in full
/// does not arise: a unit has at most [`Lengths::most`].
fn finish(units: &[Unit], run: Range<usize>, text: &str, measure: &Measure<'_>) -> Chunk {
    let run = units.get(run).unwrap_or_default();
    let start = run.first().map_or(0, |unit| unit.span.start);
    let end = run.last().map_or(text.len(), |unit| unit.span.end);
    debug_assert!(measure.tokens(start..end) <= measure.lengths.most());
    // The first unit that is no heading stands for the chunk.
    let body = run.iter().find(|unit| !unit.heading).or(run.first());
    let headings = body.map(|unit| unit.path.to_vec()).unwrap_or_default();
    Chunk { span: start..end, headings, context: None }
}

/// Bytes of column names that are context: what is longer is no line of names.
const MAX_CONTEXT_BYTES: usize = 512;

/// The first row of the table that a byte is in, below that row. A row with a
/// number in it is no row of names.
fn columns(extracted: &Extracted, start: usize) -> Option<String> {
    let at = extracted.blocks.partition_point(|block| block.range.end <= start);
    let block = extracted.blocks.get(at).filter(|block| block.kind == BlockKind::Table)?;
    let table = extracted.text.get(block.range.clone()).filter(|_| block.range.start < start)?;
    let first = table.lines().next()?.trim();
    let names = first.split('|').map(str::trim).filter(|name| !name.is_empty());
    let named = names.clone().count() > 1
        && names.clone().all(|name| name.chars().any(char::is_alphabetic))
        && first.len() <= MAX_CONTEXT_BYTES
        && start >= block.range.start + first.len();
    named.then(|| first.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::extract::{MediaType, extract};
    use proptest::prelude::*;

    /// A token for each word, and one for each mark.
    fn tokens(text: &str) -> Vec<u32> {
        let mut starts = Vec::new();
        let mut in_word = false;
        for (at, char) in text.char_indices() {
            let word = char.is_alphanumeric();
            if (word && !in_word) || (!word && !char.is_whitespace()) {
                starts.push(u32::try_from(at).unwrap());
            }
            in_word = word;
        }
        starts
    }

    fn cut(source: &str, media_type: MediaType) -> (Extracted, Vec<Chunk>) {
        let extracted = extract(source.as_bytes(), media_type).unwrap();
        let chunks = chunk(&extracted, &tokens(&extracted.text), Lengths::DEFAULT);
        (extracted, chunks)
    }

    fn sentences(count: usize) -> String {
        (0..count)
            .map(|number| format!("This is the sentence of number {number} in the text. "))
            .collect()
    }

    #[test]
    fn a_short_text_is_one_chunk_of_all_of_it() {
        let (extracted, chunks) = cut("# Head\n\nOne.\n\n# Two\n\nThree.", MediaType::Markdown);
        assert_eq!(
            chunks,
            [Chunk { span: 0..extracted.text.len(), headings: Vec::new(), context: None }]
        );
    }

    #[test]
    fn white_space_alone_is_no_chunk() {
        assert_eq!(
            chunk(
                &Extracted { text: " \n ".into(), ..Extracted::default() },
                &[],
                Lengths::DEFAULT
            ),
            []
        );
    }

    #[test]
    fn long_text_is_cut_between_sentences_with_overlap() {
        let (extracted, chunks) = cut(&sentences(100), MediaType::Plain);
        assert!(chunks.len() > 4);
        for pair in chunks.windows(2) {
            assert!(pair[1].span.start < pair[0].span.end, "{pair:?}");
        }
        for chunk in &chunks {
            let text = &extracted.text[chunk.span.clone()];
            assert!(text.starts_with("This is") && text.ends_with("text."), "{text}");
        }
    }

    #[test]
    fn sections_are_not_mixed_and_know_their_headings() {
        let source = format!(
            "# A\n\n{}\n\n## B\n\n{}\n\n# C\n\n{}",
            sentences(12),
            sentences(12),
            sentences(12)
        );
        let (extracted, chunks) = cut(&source, MediaType::Markdown);
        let paths: Vec<_> = chunks.iter().map(|chunk| chunk.headings.join("/")).collect();
        assert_eq!(paths, ["A", "A/B", "C"]);
        assert!(extracted.text[chunks[1].span.clone()].starts_with("B\n\nThis"));
    }

    #[test]
    fn code_that_fits_stays_whole() {
        let code = "let a = b;\n".repeat(30);
        let source = format!("{}\n\n```\n{code}```\n\n{}", sentences(14), sentences(14));
        let (extracted, chunks) = cut(&source, MediaType::Markdown);
        assert!(
            chunks.iter().any(|chunk| extracted.text[chunk.span.clone()].contains(code.trim_end()))
        );
    }

    #[test]
    fn a_chunk_of_rows_knows_its_columns() {
        let rows: String =
            (0..200).map(|row| format!("| Vessel{row:03} | {row} | Berth |\n")).collect();
        let source = format!("# Fleet\n\n| Name | Year | Home |\n|---|---|---|\n{rows}");
        let (extracted, chunks) = cut(&source, MediaType::Markdown);
        assert!(chunks.len() > 3 && chunks[0].context.is_none());
        for chunk in &chunks[1..] {
            assert_eq!(chunk.context.as_deref(), Some("Name | Year | Home"));
            assert!(extracted.text[chunk.span.clone()].starts_with("Vessel"));
        }
    }

    #[test]
    fn signs_that_are_no_sentence_belong_to_one() {
        for text in ["\u{1F600} \u{1F600}", "~~~\n\nOne. ~~~ Two.\n\n~~~\n", "--- One.", "One. ---"]
        {
            let extracted = extract(text.as_bytes(), MediaType::Plain).unwrap();
            let lengths = Lengths { tokens: 2, overlap: 0 };
            let chunks = chunk(&extracted, &tokens(&extracted.text), lengths);
            check(&extracted, &chunks, &tokens(&extracted.text), lengths).unwrap();
        }
    }

    #[test]
    fn a_text_without_spaces_is_cut_between_characters() {
        let (extracted, chunks) = cut(&"日".repeat(20_000), MediaType::Plain);
        assert!(chunks.len() > 10);
        check(&extracted, &chunks, &tokens(&extracted.text), Lengths::DEFAULT).unwrap();
    }

    fn check(
        extracted: &Extracted,
        chunks: &[Chunk],
        tokens: &[u32],
        lengths: Lengths,
    ) -> Result<(), TestCaseError> {
        let measure = Measure::new(tokens, lengths);
        let text = &extracted.text;
        let mut covered = 0;
        for chunk in chunks {
            let (start, end) = (chunk.span.start, chunk.span.end);
            prop_assert!(start < end && text.is_char_boundary(start) && text.is_char_boundary(end));
            prop_assert!(measure.tokens(start..end) <= lengths.most());
            prop_assert!(end > covered);
            if start > covered {
                prop_assert!(text[covered..start].trim().is_empty(), "{:?}", &text[covered..start]);
            }
            covered = end;
        }
        prop_assert!(text[covered..].trim().is_empty());
        for pair in chunks.windows(2) {
            prop_assert!(pair[0].span.start < pair[1].span.start);
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn chunks_cover_the_text_in_order_and_within_limits(
            parts in prop::collection::vec("([A-Z][a-z ,]{5,90}[.?!] |# [a-z]{3,9}\n\n|\n\n|- [a-z ]{4,60}\n|```\n[a-z\n]{0,300}\n```\n|[a-z日é]{1,400} |\\| a \\| b \\|\n)", 0..80),
            markdown: bool,
            blind: bool,
            tokens_aimed_at in 5_usize..300,
            shared in 0.0_f64..0.5,
        ) {
            let media_type = if markdown { MediaType::Markdown } else { MediaType::Plain };
            let extracted = extract(parts.concat().as_bytes(), media_type).unwrap();
            let starts = if blind { Vec::new() } else { tokens(&extracted.text) };
            let overlap = (tokens_aimed_at as f64 * shared) as usize;
            let lengths = Lengths { tokens: tokens_aimed_at, overlap };
            let chunks = chunk(&extracted, &starts, lengths);
            prop_assert_eq!(&chunks, &chunk(&extracted, &starts, lengths));
            check(&extracted, &chunks, &starts, lengths)?;
        }
    }
}
