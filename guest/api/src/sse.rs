//! Server-sent events (WHATWG HTML, section 9.2).

use serde::Serialize;

use crate::json;

/// Appends one event to `out`. Compact JSON holds no line break, so the data
/// is one line.
pub fn push(out: &mut String, event: &str, data: &impl Serialize) {
    push_json(out, event, &json::encode(data));
}

/// Appends one event whose data is compact JSON already.
pub fn push_json(out: &mut String, event: &str, data: &str) {
    for part in ["event: ", event, "\ndata: ", data, "\n\n"] {
        out.push_str(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_break_in_the_data_does_not_end_the_event() {
        let mut out = String::new();
        push(&mut out, "delta", &"a\n\nevent: done\r");
        assert_eq!(out, "event: delta\ndata: \"a\\n\\nevent: done\\r\"\n\n");
    }
}
