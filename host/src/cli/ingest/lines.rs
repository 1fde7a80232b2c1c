//! NDJSON, line by line.

use std::io::{BufRead, Read};

use super::document::Document;

/// The longest line to read: the largest body that the server takes by
/// default.
pub const MAX_LINE_BYTES: u64 = 32 * 1024 * 1024;

/// What U+FEFF is in UTF-8; some editors start a file with it.
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The documents of one file, and its name for messages.
pub struct Lines<R> {
    reader: R,
    name: String,
    number: u64,
    broken: bool,
    read: u64,
    limit: u64,
}

impl<R: BufRead> Lines<R> {
    /// The documents in `reader`. A line of more than `limit` bytes is none.
    pub fn new(reader: R, name: String, limit: u64) -> Self {
        Self { reader, name, number: 0, broken: false, read: 0, limit }
    }

    /// Bytes read since the last asking.
    pub fn take_read(&mut self) -> u64 {
        std::mem::take(&mut self.read)
    }

    /// The next line; none at the end.
    fn line(&mut self) -> std::io::Result<Option<Result<Vec<u8>, String>>> {
        let mut line = Vec::new();
        let read = self.reader.by_ref().take(self.limit).read_until(b'\n', &mut line)? as u64;
        self.read += read;
        self.number += 1;
        if read == self.limit && !line.ends_with(b"\n") {
            let rest = self.reader.skip_until(b'\n')? as u64;
            self.read += rest;
            if rest > 1 {
                return Ok(Some(Err(format!("a line of more than {} bytes", self.limit))));
            }
        }
        Ok((read > 0).then_some(Ok(line)))
    }

    fn document(&self, line: Result<Vec<u8>, String>) -> Result<Document, String> {
        let line = line.and_then(|line| {
            let mark = if self.number == 1 { BYTE_ORDER_MARK } else { b"" };
            Document::of_line(line.strip_prefix(mark).unwrap_or(&line))
        });
        line.map(|document| document.in_file(&self.name))
            .map_err(|reason| format!("{}:{}: {reason}", self.name, self.number))
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<Document, String>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.broken {
            match self.line() {
                Ok(line) => {
                    let line = line?;
                    if !line.as_ref().is_ok_and(|line| line.trim_ascii().is_empty()) {
                        return Some(self.document(line));
                    }
                }
                Err(error) => {
                    self.broken = true;
                    return Some(Err(format!("{}:{}: {error}", self.name, self.number + 1)));
                }
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, limit: u64) -> Vec<Result<String, String>> {
        let lines = Lines::new(text.as_bytes(), "f".into(), limit);
        lines.map(|line| line.map(|document| document.id)).collect()
    }

    #[test]
    fn a_line_that_is_too_long_is_passed_over() {
        let long = format!("{{\"id\":\"long\",\"text\":\"{}\"}}", "x".repeat(64));
        let text =
            format!("{{\"id\":\"1\",\"text\":\"a\"}}\n{long}\n\n{{\"id\":\"2\",\"text\":\"b\"}}");
        let too_long = Err("f:2: a line of more than 50 bytes".to_owned());
        assert_eq!(read(&text, 50), [Ok("1".into()), too_long, Ok("2".into())]);
        // At the limit it is taken, with its line break or without.
        let limit = long.len() as u64;
        assert_eq!(read(&format!("{long}\n"), limit), [Ok("long".to_owned())]);
        assert_eq!(read(&long, limit), [Ok("long".to_owned())]);
        assert!(read(&long, limit - 2)[0].is_err());
    }

    #[test]
    fn what_is_not_utf8_or_not_a_document_fails_alone() {
        let bytes = b"\xef\xbb\xbf{\"id\":\"1\",\"text\":\"a\"}\n{\"text\":\"\xff\"}\n[]\n";
        let mut lines = Lines::new(&bytes[..], "f".into(), MAX_LINE_BYTES);
        assert_eq!(lines.next().unwrap().unwrap().id, "1");
        assert!(lines.next().unwrap().unwrap_err().starts_with("f:2: "));
        assert!(lines.next().unwrap().unwrap_err().starts_with("f:3: "));
        assert!(lines.next().is_none());
        assert_eq!(lines.take_read(), bytes.len() as u64);
    }
}
