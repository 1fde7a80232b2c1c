//! What is wrong with a request, and where.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};
use schemars::JsonSchema;
use serde::Serialize;

/// What RFC 3986 does not allow in a fragment.
pub(super) const FRAGMENT: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'[')
    .add(b']')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// One thing wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    /// What is wrong and what is allowed.
    pub detail: String,
    /// Where in the body, as a JSON Pointer in URI fragment form (RFC 6901
    /// section 6, as in RFC 9457 section 3).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// Which parameter of the path or query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter: Option<String>,
}

impl Fault {
    /// A fault at a place in the body.
    pub fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), pointer: Some(pointer.into()), parameter: None }
    }

    /// A fault in a parameter of the path or query.
    pub fn parameter(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), pointer: None, parameter: Some(name.into()) }
    }

    /// The member or parameter at fault, `messages[0].content`; none where it
    /// is the whole body.
    pub fn place(&self) -> Option<String> {
        let place = match (&self.pointer, &self.parameter) {
            (Some(pointer), _) => dotted(pointer),
            (None, Some(name)) => name.clone(),
            (None, None) => String::new(),
        };
        (!place.is_empty()).then_some(place)
    }

    /// What is wrong, as a sentence that names the place.
    pub fn sentence(&self) -> String {
        let detail = self.detail.trim_end_matches('.');
        match self.place() {
            Some(place) => format!("`{place}` {detail}."),
            None => format!("The body {detail}."),
        }
    }
}

/// A JSON Pointer in URI fragment form.
pub(crate) fn fragment(pointer: &str) -> String {
    format!("#{}", utf8_percent_encode(pointer, FRAGMENT))
}

/// A JSON Pointer in URI fragment form as programmers write it,
/// `messages[0].content`; empty for the whole body.
fn dotted(fragment: &str) -> String {
    let decoded = percent_decode_str(fragment.trim_start_matches('#')).decode_utf8_lossy();
    let mut place = String::new();
    for step in decoded.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        if !step.is_empty() && step.bytes().all(|byte| byte.is_ascii_digit()) {
            place.push_str(&format!("[{step}]"));
        } else {
            if !place.is_empty() {
                place.push('.');
            }
            place.push_str(&step);
        }
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_written_as_programmers_do() {
        assert_eq!(dotted("#/messages/0/content/12/type"), "messages[0].content[12].type");
        assert_eq!(dotted("#/x~1y~0%20z"), "x/y~ z");
        assert_eq!(dotted("#"), "");
    }
}
