//! The members of an object, taken one by one.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Fault, Faults, Json};

/// What RFC 3986 does not allow in a fragment.
const FRAGMENT: &AsciiSet = &CONTROLS
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

/// A place in a body; shows as a JSON Pointer in URI fragment form.
#[derive(Debug, Clone, Copy)]
pub enum Location<'l> {
    /// The whole body.
    Root,
    /// A member of an object.
    Member(&'l Location<'l>, &'l str),
    /// An item of an array.
    Item(&'l Location<'l>, usize),
}

/// A JSON Pointer in URI fragment form.
pub(crate) fn fragment(pointer: &str) -> String {
    format!("#{}", utf8_percent_encode(pointer, FRAGMENT))
}

impl fmt::Display for Location<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => formatter.write_str("#"),
            Self::Member(parent, name) => {
                let name = name.replace('~', "~0").replace('/', "~1");
                write!(formatter, "{parent}/{}", utf8_percent_encode(&name, FRAGMENT))
            }
            Self::Item(parent, index) => write!(formatter, "{parent}/{index}"),
        }
    }
}

impl Location<'_> {
    /// A fault at this place.
    pub fn fault(&self, detail: impl Into<String>) -> Fault {
        Fault::at(self.to_string(), detail)
    }
}

/// The members of an object that have not been taken yet. `null` counts as
/// absent.
#[derive(Debug)]
pub struct Fields<'l, 'a> {
    location: Location<'l>,
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'l, 'a> Fields<'l, 'a> {
    /// Opens an object whose members are all in `known`, each at most once.
    pub fn open(
        json: Json<'a>,
        location: Location<'l>,
        known: &[&str],
        faults: &mut Faults,
    ) -> Option<Self> {
        let Json::Object(members) = json else {
            faults.push(location.fault(format!("must be an object, not {}", json.kind())));
            return None;
        };
        for (index, (name, _)) in members.iter().enumerate() {
            let place = Location::Member(&location, name);
            if !known.contains(&name.as_ref()) {
                let known = known.join("`, `");
                faults.push(place.fault(format!("is not known here; known are `{known}`")));
            } else if members.iter().take(index).any(|(earlier, _)| earlier == name) {
                faults.push(place.fault("is given twice"));
            }
        }
        Some(Self { location, members })
    }

    /// Notes a fault at a member.
    pub fn fault(&self, name: &str, detail: impl Into<String>, faults: &mut Faults) {
        faults.push(Location::Member(&self.location, name).fault(detail));
    }

    /// Where a member is.
    pub fn location<'s>(&'s self, name: &'s str) -> Location<'s> {
        Location::Member(&self.location, name)
    }

    /// Takes a member of any kind.
    pub fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let index = self.members.iter().position(|(known, _)| known == name)?;
        match self.members.swap_remove(index).1 {
            Json::Null => None,
            value => Some(value),
        }
    }

    /// Takes a member that must be there.
    pub fn required(&mut self, name: &str, faults: &mut Faults) -> Option<Json<'a>> {
        let value = self.take(name);
        if value.is_none() {
            self.fault(name, "is required", faults);
        }
        value
    }

    /// Takes a string that `check` accepts.
    pub fn string(
        &mut self,
        name: &str,
        check: Check,
        faults: &mut Faults,
    ) -> Option<Cow<'a, str>> {
        let value = self.take(name)?;
        self.checked_string(name, value, check, faults)
    }

    /// Takes a string that must be there and that `check` accepts.
    pub fn required_string(
        &mut self,
        name: &str,
        check: Check,
        faults: &mut Faults,
    ) -> Option<Cow<'a, str>> {
        let value = self.required(name, faults)?;
        self.checked_string(name, value, check, faults)
    }

    fn checked_string(
        &self,
        name: &str,
        value: Json<'a>,
        check: Check,
        faults: &mut Faults,
    ) -> Option<Cow<'a, str>> {
        let Json::String(value) = value else {
            self.fault(name, format!("must be a string, not {}", value.kind()), faults);
            return None;
        };
        match check(&value) {
            Ok(()) => Some(value),
            Err(detail) => {
                self.fault(name, detail, faults);
                None
            }
        }
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, name: &str, faults: &mut Faults) -> Option<bool> {
        match self.take(name)? {
            Json::Bool(value) => Some(value),
            other => {
                self.fault(name, format!("must be true or false, not {}", other.kind()), faults);
                None
            }
        }
    }

    /// Takes a whole number in a range.
    pub fn integer(
        &mut self,
        name: &str,
        range: RangeInclusive<u32>,
        faults: &mut Faults,
    ) -> Option<u32> {
        let value = self.take(name)?;
        let number = match &value {
            Json::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        let number = number.filter(|number| range.contains(number));
        if number.is_none() {
            let (start, end) = range.into_inner();
            self.fault(name, format!("must be a whole number from {start} to {end}"), faults);
        }
        number
    }

    /// Takes a finite number.
    pub fn number(&mut self, name: &str, faults: &mut Faults) -> Option<f64> {
        let value = self.take(name)?;
        let number = match &value {
            Json::Number(number) => number.as_f64(),
            _ => None,
        };
        if number.is_none() {
            self.fault(name, format!("must be a number, not {}", value.kind()), faults);
        }
        number
    }

    /// Takes one of a set of words.
    pub fn choice<T: Copy>(
        &mut self,
        name: &str,
        choices: &[(&str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        let value = self.take(name)?;
        let chosen = match &value {
            Json::String(word) => choices.iter().find(|(known, _)| known == word),
            _ => None,
        };
        if chosen.is_none() {
            let known: Vec<_> = choices.iter().map(|(known, _)| format!("\"{known}\"")).collect();
            self.fault(name, format!("must be one of {}", known.join(", ")), faults);
        }
        chosen.map(|(_, value)| *value)
    }
}

/// Says what is wrong with a string.
pub type Check = fn(&str) -> Result<(), String>;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::json::read;
    use crate::problem::Code;

    fn faults(body: &str) -> Vec<(String, String)> {
        let problem = read(body.as_bytes(), |json, faults| {
            let mut fields = Fields::open(json, Location::Root, &["a", "b"], faults)?;
            fields.integer("a", 1..=9, faults);
            fields.boolean("b", faults)
        })
        .unwrap_err();
        assert_eq!(problem.code, Code::ValidationFailed);
        problem.faults.into_iter().map(|fault| (fault.pointer.unwrap(), fault.detail)).collect()
    }

    #[test]
    fn all_faults_of_a_body_come_at_once() {
        let found = faults(r#"{"a":10,"b":"yes","c":1}"#);
        let pointers: Vec<_> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["#/c", "#/a", "#/b"]);
    }

    #[test]
    fn a_repeated_member_is_a_fault() {
        assert_eq!(faults(r#"{"a":1,"a":2}"#)[0], ("#/a".to_owned(), "is given twice".to_owned()));
    }

    #[test]
    fn a_pointer_escapes_what_json_pointer_and_fragments_reserve() {
        assert_eq!(faults(r#"{"x/y~ z":1}"#)[0].0, "#/x~1y~0%20z");
    }

    #[test]
    fn numbers_that_are_not_whole_or_in_range_are_faults() {
        for body in
            [r#"{"a":1.5}"#, r#"{"a":-1}"#, r#"{"a":4294967296}"#, r#"{"a":"1"}"#, r#"{"a":1e30}"#]
        {
            assert_eq!(faults(body)[0].0, "#/a", "{body}");
        }
    }
}
