//! What the members of a body may be, declared once: the readers check by it
//! and the OpenAPI document shows it.

#![allow(clippy::indexing_slicing, reason = "of objects made here; a member is added if absent")]

use std::marker::PhantomData;

use serde_json::{Value, json};

/// A member of an object, as the OpenAPI document shows it.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Its name.
    pub(super) name: &'static str,
    /// What it may be.
    pub(super) kind: FieldKind,
    /// Whether it must be there; `null` counts as absent.
    pub(super) required: bool,
    /// One sentence.
    description: &'static str,
}

/// A member of an object that is read as `K`, one of the types below. So what is
/// declared as a number cannot be read as a string, and no name is written twice.
#[derive(Debug, Clone, Copy)]
pub struct Member<K> {
    field: Field,
    kind: PhantomData<K>,
}

/// Declares what members may be read as, each with what it takes to declare one.
macro_rules! members {
    ($($(#[$doc:meta])* $kind:ident($($arg:ident: $type:ty),*) => $declared:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $kind;

        impl $kind {
            /// A member that may be left out.
            pub const fn optional(
                name: &'static str,
                $($arg: $type,)*
                description: &'static str,
            ) -> Member<Self> {
                let field = Field { name, kind: $declared, required: false, description };
                Member { field, kind: PhantomData }
            }

            /// A member that must be there.
            pub const fn required(
                name: &'static str,
                $($arg: $type,)*
                description: &'static str,
            ) -> Member<Self> {
                Self::optional(name, $($arg,)* description).must_be_there()
            }
        }
    )*};
}

members! {
    /// A string that a rule accepts.
    Text(rule: &'static Rule) => FieldKind::String(rule);
    /// `true` or `false`
    Flag() => FieldKind::Boolean;
    /// A whole number from the first to the second.
    Whole(from: u32, to: u32) => FieldKind::Integer(from, to);
    /// A finite number.
    Number() => FieldKind::Number;
    /// One of these words.
    Word(words: fn() -> Vec<&'static str>) => FieldKind::Choice(words);
    /// Distinct strings, from the first number of them to the second.
    Texts(rule: &'static Rule, from: usize, to: usize) => FieldKind::Strings(rule, from, to);
    /// An object with these members.
    Object(fields: &'static [Field]) => FieldKind::Object(fields);
    /// Objects with these members, from the first number of them to the second.
    Objects(fields: &'static [Field], from: usize, to: usize) => FieldKind::Objects(fields, from, to);
    /// An object of bounded size with members of the caller's own.
    Nested(bounds: Tree) => FieldKind::Tree(bounds);
    /// Whatever its reader says, with its JSON Schema.
    Any(schema: fn() -> Value) => FieldKind::Other(schema);
}

impl Number {
    /// A number from 0 to 1 that may be left out.
    pub const fn optional_share(name: &'static str, description: &'static str) -> Member<Self> {
        let field = Field { name, kind: FieldKind::Share, required: false, description };
        Member { field, kind: PhantomData }
    }
}

impl<K> Member<K> {
    /// As it is declared.
    pub const fn field(&self) -> Field {
        self.field
    }

    /// Its name.
    pub const fn name(&self) -> &'static str {
        self.field.name
    }

    /// A member of another name that may be the same.
    pub const fn named(&self, name: &'static str) -> Self {
        Self { field: Field { name, ..self.field }, kind: PhantomData }
    }

    /// The same member, where it must be there.
    pub const fn must_be_there(&self) -> Self {
        Self { field: Field { required: true, ..self.field }, kind: PhantomData }
    }
}

/// What a member may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum FieldKind {
    /// A string that a rule accepts.
    String(&'static Rule),
    /// `true` or `false`
    Boolean,
    /// A whole number from the first to the second.
    Integer(u32, u32),
    /// A finite number.
    Number,
    /// A number from 0 to 1.
    Share,
    /// One of these words.
    Choice(fn() -> Vec<&'static str>),
    /// Distinct strings, from the first number of them to the second.
    Strings(&'static Rule, usize, usize),
    /// An object with these members.
    Object(&'static [Field]),
    /// Objects with these members, from the first number of them to the second.
    Objects(&'static [Field], usize, usize),
    /// An object of bounded size, with the name of its schema if it has one.
    Tree(Tree),
    /// Whatever its reader says, with its JSON Schema.
    Other(fn() -> Value),
}

/// The bounds of an object with members of the caller's own.
#[derive(Debug, Clone, Copy)]
pub struct Tree {
    /// Bytes as compact JSON.
    pub max_bytes: usize,
    /// Levels of nesting.
    pub max_depth: usize,
    /// The name of its schema, if it has one.
    pub schema: Option<&'static str>,
}

/// What a string may be.
#[derive(Debug)]
pub struct Rule {
    /// Says what is wrong with a string, in words that follow the field's name.
    pub check: fn(&str) -> Result<(), String>,
    /// The fewest characters.
    pub min_chars: usize,
    /// The most characters.
    pub max_chars: usize,
    /// A regular expression (ECMA 262) that every accepted string matches; may be
    /// empty.
    pub pattern: &'static str,
    /// A format of JSON Schema.
    pub format: Option<&'static str>,
    /// The name of its schema, for words that the server alone knows.
    pub named: Option<&'static str>,
}

impl Field {
    fn schema(&self) -> Value {
        let mut schema = self.kind.schema();
        if !self.required {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        schema["description"] = self.description.into();
        schema
    }
}

impl Rule {
    /// As JSON Schema.
    pub fn schema(&self) -> Value {
        if let Some(name) = self.named {
            return reference(name);
        }
        let mut schema = json!({
            "type": "string", "minLength": self.min_chars, "maxLength": self.max_chars,
        });
        if !self.pattern.is_empty() {
            schema["pattern"] = self.pattern.into();
        }
        if let Some(format) = self.format {
            schema["format"] = format.into();
        }
        schema
    }
}

impl FieldKind {
    fn schema(&self) -> Value {
        match self {
            Self::String(rule) => rule.schema(),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Integer(from, to) => json!({"type": "integer", "minimum": from, "maximum": to}),
            Self::Number => json!({"type": "number"}),
            Self::Share => json!({"type": "number", "minimum": 0, "maximum": 1}),
            Self::Choice(words) => json!({"type": "string", "enum": words()}),
            Self::Strings(rule, from, to) => json!({
                "type": "array", "items": rule.schema(), "minItems": from, "maxItems": to,
            }),
            Self::Object(fields) => object(fields),
            Self::Objects(fields, from, to) => json!({
                "type": "array", "items": object(fields), "minItems": from, "maxItems": to,
            }),
            Self::Tree(Tree { schema: Some(name), .. }) => reference(name),
            Self::Tree(_) => json!({"type": "object"}),
            Self::Other(schema) => schema(),
        }
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// An object with these members and whatever else, as JSON Schema.
pub fn lenient_object(fields: &[Field]) -> Value {
    let mut schema = object(fields);
    schema["additionalProperties"] = true.into();
    schema
}

/// A schema that also meets one of these at least.
pub fn any_of(mut schema: Value, schemas: Value) -> Value {
    schema["anyOf"] = schemas;
    schema
}

/// An object with these members and no others, as JSON Schema.
pub fn object(fields: &[Field]) -> Value {
    let properties: serde_json::Map<_, _> =
        fields.iter().map(|field| (field.name.to_owned(), field.schema())).collect();
    let required: Vec<_> =
        fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "type": "object", "properties": properties, "required": required,
        "additionalProperties": false,
    })
}
