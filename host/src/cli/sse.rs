//! Server-sent events (WHATWG HTML, section 9.2), as far as this client needs
//! them.

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
    buffer: Vec<u8>,
}

impl Parser {
    /// Takes bytes and returns the events they complete.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Event> {
        self.buffer.extend_from_slice(bytes);
        let mut events = Vec::new();
        while let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
            let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
            events.extend(parse(&String::from_utf8_lossy(&block)));
        }
        events
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let lines = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        lines.map(|value| value.strip_prefix(' ').unwrap_or(value)).collect::<Vec<_>>().join("\n")
    };
    let data = field("data");
    (!data.is_empty()).then(|| Event { name: field("event"), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_whole_however_the_bytes_are_cut() {
        let stream = b": keep-alive\n\nevent: delta\ndata: {\"text\":\"a\"}\n\ndata: one\ndata: two\n\nevent: x";
        for cut in 0..stream.len() {
            let mut parser = Parser::default();
            let mut events = parser.push(&stream[..cut]);
            events.extend(parser.push(&stream[cut..]));
            let expected = [
                Event { name: "delta".into(), data: "{\"text\":\"a\"}".into() },
                Event { name: String::new(), data: "one\ntwo".into() },
            ];
            assert_eq!(events, expected);
        }
    }
}
