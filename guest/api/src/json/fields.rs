//! The members of an object, taken one by one.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::utf8_percent_encode;

use super::fault::FRAGMENT;
use super::field::FieldKind;
use super::{
    Any, Fault, Faults, Field, Flag, Json, Member, Nested, Number, Object, Objects, Text, Texts,
    Tree, Whole, Word,
};

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

/// The members of an object that have not been taken yet. `null` counts as absent.
#[derive(Debug)]
pub struct Fields<'l, 'a> {
    location: Location<'l>,
    members: Vec<(Cow<'a, str>, Json<'a>)>,
}

impl<'l, 'a> Fields<'l, 'a> {
    /// Opens an object whose members are all declared, each at most once.
    pub fn open(
        json: Json<'a>,
        location: Location<'l>,
        declared: &'static [Field],
        faults: &mut Faults,
    ) -> Option<Self> {
        let Json::Object(members) = json else {
            faults.push(location.fault(format!("must be an object, not {}", json.kind())));
            return None;
        };
        for (index, (name, _)) in members.iter().enumerate() {
            let place = Location::Member(&location, name);
            if !declared.iter().any(|field| field.name == name) {
                let known: Vec<_> = declared.iter().map(|field| field.name).collect();
                let known = known.join("`, `");
                faults.push(place.fault(format!("is not known here; known are `{known}`")));
            } else if members.iter().take(index).any(|(earlier, _)| earlier == name) {
                faults.push(place.fault("is given twice"));
            }
        }
        Some(Self { location, members })
    }

    /// Opens an object that may have members beyond the declared ones, which are
    /// left unread: clients of another's protocol send what they know of it.
    pub fn open_lenient(
        json: Json<'a>,
        location: Location<'l>,
        declared: &'static [Field],
        faults: &mut Faults,
    ) -> Option<Self> {
        let Json::Object(mut members) = json else {
            faults.push(location.fault(format!("must be an object, not {}", json.kind())));
            return None;
        };
        members.retain(|(name, _)| declared.iter().any(|field| field.name == name));
        for (index, (name, _)) in members.iter().enumerate() {
            if members.iter().take(index).any(|(earlier, _)| earlier == name) {
                faults.push(Location::Member(&location, name).fault("is given twice"));
            }
        }
        Some(Self { location, members })
    }

    /// Notes a fault at a member.
    pub fn fault<K>(&self, member: Member<K>, detail: impl Into<String>, faults: &mut Faults) {
        faults.push(self.location(member).fault(detail));
    }

    /// Where a member is.
    pub fn location<K>(&self, member: Member<K>) -> Location<'_> {
        Location::Member(&self.location, member.name())
    }

    /// Takes a member of any kind, which its reader checks.
    pub fn take(&mut self, member: Member<Any>, faults: &mut Faults) -> Option<Json<'a>> {
        self.value(member, faults)
    }

    fn value<K>(&mut self, member: Member<K>, faults: &mut Faults) -> Option<Json<'a>> {
        let name = member.name();
        let index = self.members.iter().position(|(known, _)| known == name);
        match index.map(|index| self.members.swap_remove(index).1) {
            None | Some(Json::Null) => {
                if member.field().required {
                    self.fault(member, "is required", faults);
                }
                None
            }
            Some(value) => Some(value),
        }
    }

    /// Takes a string.
    pub fn string(&mut self, member: Member<Text>, faults: &mut Faults) -> Option<Cow<'a, str>> {
        let value = self.value(member, faults)?;
        let FieldKind::String(rule) = member.field().kind else { return None };
        let Json::String(value) = value else {
            self.fault(member, format!("must be a string, not {}", value.kind()), faults);
            return None;
        };
        match (rule.check)(&value) {
            Ok(()) => Some(value),
            Err(detail) => {
                self.fault(member, detail, faults);
                None
            }
        }
    }

    /// Takes a boolean.
    pub fn boolean(&mut self, member: Member<Flag>, faults: &mut Faults) -> Option<bool> {
        match self.value(member, faults)? {
            Json::Bool(value) => Some(value),
            other => {
                self.fault(member, format!("must be true or false, not {}", other.kind()), faults);
                None
            }
        }
    }

    /// Takes a whole number.
    pub fn integer(&mut self, member: Member<Whole>, faults: &mut Faults) -> Option<u32> {
        let value = self.value(member, faults)?;
        let FieldKind::Integer(from, to) = member.field().kind else { return None };
        let number = match &value {
            Json::Number(number) => whole(number),
            _ => None,
        };
        let number = number.filter(|number| (from..=to).contains(number));
        if number.is_none() {
            self.fault(member, format!("must be a whole number from {from} to {to}"), faults);
        }
        number
    }

    /// Takes a finite number.
    pub fn number(&mut self, member: Member<Number>, faults: &mut Faults) -> Option<f64> {
        let value = self.value(member, faults)?;
        let number = match &value {
            Json::Number(number) => number.as_f64(),
            _ => None,
        };
        let Some(number) = number else {
            self.fault(member, format!("must be a number, not {}", value.kind()), faults);
            return None;
        };
        if matches!(member.field().kind, FieldKind::Share) && !(0.0..=1.0).contains(&number) {
            self.fault(member, "must be a number from 0 to 1", faults);
            return None;
        }
        Some(number)
    }

    /// Takes one of a set of words.
    pub fn choice<T: Copy>(
        &mut self,
        member: Member<Word>,
        choices: &[(&str, T)],
        faults: &mut Faults,
    ) -> Option<T> {
        let value = self.value(member, faults)?;
        let chosen = match &value {
            Json::String(word) => choices.iter().find(|(known, _)| known == word),
            _ => None,
        };
        if chosen.is_none() {
            let known: Vec<_> = choices.iter().map(|(known, _)| format!("\"{known}\"")).collect();
            self.fault(member, format!("must be one of {}", known.join(", ")), faults);
        }
        chosen.map(|(_, value)| *value)
    }

    /// Takes the distinct strings of an array.
    pub fn strings(&mut self, member: Member<Texts>, faults: &mut Faults) -> Option<Vec<String>> {
        let json = self.value(member, faults)?;
        let FieldKind::Strings(rule, from, to) = member.field().kind else { return None };
        let Json::Array(items) = json else {
            let detail = format!("must be an array of strings, not {}", json.kind());
            self.fault(member, detail, faults);
            return None;
        };
        if !(from..=to).contains(&items.len()) {
            self.fault(member, format!("must have {from} to {to} items"), faults);
        }
        let mut strings = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            let read = match item {
                Json::String(text) => (rule.check)(&text).map(|()| text.into_owned()),
                other => Err(format!("must be a string, not {}", other.kind())),
            };
            match read {
                Ok(text) if !strings.contains(&text) => strings.push(text),
                Ok(_) => {}
                Err(detail) => {
                    faults.push(Location::Item(&self.location(member), index).fault(detail));
                }
            }
        }
        Some(strings)
    }

    /// Takes an object, and what it is made of.
    pub fn object(
        &mut self,
        member: Member<Object>,
        faults: &mut Faults,
    ) -> Option<(&'static [Field], Json<'a>)> {
        let json = self.value(member, faults)?;
        match member.field().kind {
            FieldKind::Object(fields) => Some((fields, json)),
            _ => None,
        }
    }

    /// Takes the items of an array of objects, and what they are made of.
    pub fn objects(
        &mut self,
        member: Member<Objects>,
        faults: &mut Faults,
    ) -> Option<(&'static [Field], Vec<Json<'a>>)> {
        let json = self.value(member, faults)?;
        let FieldKind::Objects(fields, from, to) = member.field().kind else { return None };
        match json {
            Json::Array(items) if (from..=to).contains(&items.len()) => Some((fields, items)),
            _ => {
                self.fault(member, format!("must be an array of {from} to {to} objects"), faults);
                None
            }
        }
    }

    /// Takes an object of bounded size and depth as compact JSON.
    pub fn tree(&mut self, member: Member<Nested>, faults: &mut Faults) -> Option<String> {
        let json = self.value(member, faults)?;
        let FieldKind::Tree(bounds) = member.field().kind else { return None };
        match tree(&json, bounds) {
            Ok(encoded) => Some(encoded),
            Err(detail) => {
                self.fault(member, detail, faults);
                None
            }
        }
    }
}

/// A number without a fraction: in JSON, `6.0` is a whole number too.
pub(crate) fn whole(number: &serde_json::Number) -> Option<u32> {
    match number.as_u64() {
        Some(number) => u32::try_from(number).ok(),
        None => {
            let number = number.as_f64().filter(|number| number.fract() == 0.0)?;
            // Exact: every whole number of 32 bits is a float of 64 bits.
            (0.0..=f64::from(u32::MAX)).contains(&number).then_some(number as u32)
        }
    }
}

fn tree(json: &Json<'_>, bounds: Tree) -> Result<String, String> {
    if !matches!(json, Json::Object(_)) {
        return Err(format!("must be an object, not {}", json.kind()));
    }
    if json.depth() > bounds.max_depth {
        return Err(format!("must be at most {} levels deep", bounds.max_depth));
    }
    if let Some(name) = json.repeated() {
        return Err(format!("must not give `{name}` twice in one object"));
    }
    let encoded = super::encode(json);
    match encoded.len() <= bounds.max_bytes {
        true => Ok(encoded),
        false => Err(format!("must be at most {} bytes", bounds.max_bytes)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing)]
    use super::*;
    use crate::json::read;
    use crate::problem::Code;

    const A: Member<Whole> = Whole::optional("a", 1, 9, "A number.");
    const B: Member<Flag> = Flag::optional("b", "A flag.");

    fn faults(body: &str) -> Vec<(String, String)> {
        let problem = read(body.as_bytes(), |json, faults| {
            const DECLARED: &[Field] = &[A.field(), B.field()];
            let mut fields = Fields::open(json, Location::Root, DECLARED, faults)?;
            fields.integer(A, faults);
            fields.boolean(B, faults)
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
    fn what_a_lenient_object_does_not_declare_is_left_unread() {
        const DECLARED: &[Field] = &[A.field()];
        let lenient = |body: &str| {
            read(body.as_bytes(), |json, faults| {
                Fields::open_lenient(json, Location::Root, DECLARED, faults)?.integer(A, faults)
            })
        };
        assert_eq!(lenient(r#"{"x":[],"x":{},"a":3}"#).unwrap(), 3);
        assert!(lenient(r#"{"a":3,"a":3}"#).is_err());
        assert!(lenient("[]").is_err());
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_fraction_of_nothing() {
        assert_eq!(faults(r#"{"a":6.0,"b":1}"#)[0].0, "#/b");
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
