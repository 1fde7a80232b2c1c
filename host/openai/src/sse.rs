//! Server-sent events (WHATWG HTML, section 9.2), as far as this client needs
//! them: lines end with LF or CR LF.

/// One event.
#[derive(Debug, PartialEq, Eq)]
pub struct Event {
    /// Its type.
    pub name: String,
    /// Its data.
    pub data: String,
}

/// Puts events together from bytes as they come.
#[derive(Default)]
pub struct Parser {
    line: Vec<u8>,
    name: String,
    data: Vec<String>,
}

impl Parser {
    /// Takes bytes and returns the events they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        let mut events = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                events.extend(
                    self.line(String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n'])),
                );
            }
        }
        events
    }

    /// Takes a line. An empty one ends an event; one without data is none.
    fn line(&mut self, line: &str) -> Option<Event> {
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return (!data.is_empty()).then(|| Event { name, data: data.join("\n") });
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => self.data.push(value.to_owned()),
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let lf = ": keep-alive\n\nevent: delta\ndata: {\"text\":\"ä\"}\n\ndata: one\ndata:two\n\nevent: x";
        for stream in [lf.to_owned(), lf.replace('\n', "\r\n")] {
            let stream = stream.as_bytes();
            for cut in 0..stream.len() {
                let mut parser = Parser::default();
                let mut events = parser.push(&stream[..cut]);
                events.extend(parser.push(&stream[cut..]));
                let expected = [
                    Event { name: "delta".into(), data: "{\"text\":\"ä\"}".into() },
                    Event { name: String::new(), data: "one\ntwo".into() },
                ];
                assert_eq!(events, expected);
            }
        }
    }
}
