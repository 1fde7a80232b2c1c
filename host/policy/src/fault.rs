//! A rule that a request breaks, as the contract carries it: the text of `invalid`.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

/// A rule that a request breaks. As text it is `/json/pointer: rule` where the place in
/// the body is known, and the rule alone where it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where in the body, as a JSON Pointer (RFC 6901).
    pub pointer: Option<String>,
    /// Which rule. Fit for the client.
    pub rule: String,
}

impl Fault {
    /// A fault at a place in the body.
    pub fn at(pointer: impl Into<String>, rule: impl Into<String>) -> Self {
        Self { pointer: Some(pointer.into()), rule: rule.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.pointer {
            Some(pointer) => write!(formatter, "{pointer}: {}", self.rule),
            None => formatter.write_str(&self.rule),
        }
    }
}

impl FromStr for Fault {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(match text.split_once(": ") {
            Some((pointer, rule)) if pointer.starts_with('/') => Self::at(pointer, rule),
            _ => Self { pointer: None, rule: text.to_owned() },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_the_same_behind_the_contract() {
        let faults = [
            Fault::at("/filter/a b/zz", "no such operator: zz"),
            Fault { pointer: None, rule: "the depth is 1 to 9".to_owned() },
            Fault { pointer: None, rule: "filter: expected value".to_owned() },
        ];
        for fault in faults {
            assert_eq!(fault.to_string().parse(), Ok(fault));
        }
    }
}
