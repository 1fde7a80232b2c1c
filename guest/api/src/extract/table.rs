//! `text/csv` and its relatives as one document: a table.

use super::builder::Builder;
use super::{BlockKind, Extracted};

/// Delimiters that are in use, the likeliest first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Records by which a delimiter is recognised.
const SAMPLE_RECORDS: usize = 32;

/// Bytes of text that is taken for records.
const SAMPLE_BYTES: usize = 64 * 1024;

/// A row a line, the header first.
pub(super) fn extract(source: &str, delimiter: Option<u8>) -> Extracted {
    let (found, source) = delimiter_of(source);
    let mut builder = Builder::default();
    builder.start(BlockKind::Table);
    let delimiter = delimiter.unwrap_or(found);
    for record in reader(delimiter).from_reader(source.as_bytes()).into_records().flatten() {
        builder.row(&record.iter().collect::<Vec<_>>());
    }
    builder.finish(None)
}

fn reader(delimiter: u8) -> csv::ReaderBuilder {
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(delimiter).flexible(true).has_headers(false);
    builder
}

/// The delimiter, and the records without a line that says what it is. The one
/// is taken that most records agree on, and of those the one that parts them
/// most.
pub(crate) fn delimiter_of(source: &str) -> (u8, &str) {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    let line = source.lines().next().unwrap_or_default();
    let said = line.trim().trim_matches('"');
    if let Some(rest) = said.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")) {
        let mark = said.get(rest.len()..).unwrap_or_default().as_bytes();
        if let [mark] = mark {
            let rest = source.get(line.len()..).unwrap_or_default();
            return (*mark, rest.strip_prefix("\r\n").or(rest.strip_prefix('\n')).unwrap_or(rest));
        }
        // A tab at the end of the line is white space to some programs.
        if mark.is_empty() && line.contains('\t') {
            return (
                b'\t',
                source.get(line.len()..).unwrap_or_default().trim_start_matches(['\r', '\n']),
            );
        }
    }
    let mut sample = source;
    if let Some((end, _)) = source.char_indices().find(|(at, _)| *at >= SAMPLE_BYTES) {
        sample = source.get(..end).unwrap_or(source);
    }
    let best = DELIMITERS.into_iter().enumerate().max_by_key(|(order, delimiter)| {
        let (agreeing, fields) = agreement(sample, *delimiter);
        (if fields > 1 { agreeing } else { 0 }, fields, usize::MAX - order)
    });
    (best.map_or(b',', |(_, delimiter)| delimiter), source)
}

/// The share of records, in hundredths, that have as many fields as the first,
/// and how many that are.
fn agreement(sample: &str, delimiter: u8) -> (usize, usize) {
    let records = reader(delimiter).from_reader(sample.as_bytes()).into_records();
    let lengths: Vec<_> = records.take(SAMPLE_RECORDS).flatten().map(|one| one.len()).collect();
    let Some(first) = lengths.first().copied() else { return (0, 0) };
    let same = lengths.iter().filter(|length| **length == first).count();
    (same * 100 / lengths.len(), first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_is_found_or_read() {
        for (source, delimiter) in [
            ("id,title\n1,\"a;b;c\"\n", b','),
            ("id;title;price\n1;a;1,5\n2;b;2,5\n", b';'),
            ("id\ttitle\n1\ta, b\n", b'\t'),
            ("id|title\n1|a, b\n", b'|'),
            ("sep=;\nid;title\n", b';'),
            ("only\none\n", b','),
            ("\u{feff}a;b\n1;2\n", b';'),
        ] {
            assert_eq!(delimiter_of(source).0, delimiter, "{source}");
        }
        assert_eq!(delimiter_of("sep=;\r\na;b").1, "a;b");
    }

    #[test]
    fn a_file_of_records_is_a_table_with_its_labels() {
        let extracted = extract("Port;Fee\nNorhaven;\"40\nor 50\"\n\nSkagen;;\n", None);
        assert_eq!(extracted.text, "Port | Fee\nNorhaven | 40 or 50\nSkagen");
        assert_eq!(extracted.blocks.len(), 1);
    }
}
