//! `type_is`: the kinds of values, by their names.

use super::finding::{Code, Findings};
use super::source::{Source, quote};
use super::suggest::nearest;
use crate::value::{Token, ValueError, read};

/// Every kind; its index is its bit.
const NAMES: [&str; 11] = [
    "null",
    "bool",
    "int",
    "float",
    "str",
    "bin",
    "array",
    "map",
    "ext",
    "timestamp",
    "number",
];
const INT: u16 = 1 << 2;
const FLOAT: u16 = 1 << 3;
const NUMBER: usize = 10;

/// A set of kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kinds(u16);

impl Kinds {
    /// Read the author's kinds: one name, or a list.
    #[must_use]
    pub fn compile(source: &Source, findings: &mut Findings) -> Option<Self> {
        let Source::List(items) = source else {
            return one(source, findings).map(Self);
        };
        if items.is_empty() {
            findings.report(
                Code::Empty,
                "the list of types is empty, so nothing is of one of them",
                EXAMPLE,
            );
            return None;
        }
        let mut all = Some(0);
        for (index, item) in items.iter().enumerate() {
            let kind = findings.at(index, |findings| one(item, findings));
            all = all.zip(kind).map(|(all, kind)| all | kind);
        }
        all.map(Self)
    }

    /// True if the value at `at` is of one of them.
    #[inline]
    pub fn holds(self, bytes: &[u8], at: usize) -> Result<bool, ValueError> {
        let kind = match read(bytes, at)?.0 {
            Token::Nil => 1,
            Token::Bool(_) => 1 << 1,
            Token::Int(_) | Token::UInt(_) => INT,
            Token::F32(_) | Token::F64(_) => FLOAT,
            Token::Str(_) => 1 << 4,
            Token::Bin(_) => 1 << 5,
            Token::Array(_) => 1 << 6,
            Token::Map(_) => 1 << 7,
            Token::Ext(..) => 1 << 8,
            Token::Timestamp { .. } => 1 << 9,
        };
        Ok(self.0 & kind != 0)
    }
}

const EXAMPLE: &str =
    "the types are null, bool, int, float, number, str, bin, array, map, ext and timestamp";

fn one(source: &Source, findings: &mut Findings) -> Option<u16> {
    let Source::Str(name) = source else {
        findings.report(
            Code::WrongType,
            format!(
                "type_is takes the name of a type or a list of them, not {}",
                source.describe()
            ),
            if matches!(source, Source::Nil) {
                "write \"null\" in quotes"
            } else {
                EXAMPLE
            },
        );
        return None;
    };
    match NAMES.iter().position(|known| *known == &**name) {
        Some(NUMBER) => Some(INT | FLOAT),
        Some(bit) => Some(1 << bit),
        None => {
            let remedy = meant(name).map_or_else(
                || EXAMPLE.to_owned(),
                |known| format!("did you mean {known}?"),
            );
            findings.report(
                Code::WrongType,
                format!("{} is not a type", quote(name)),
                remedy,
            );
            None
        }
    }
}

/// Return the type of this name in other languages, or the one of the most similar name.
fn meant(name: &str) -> Option<&'static str> {
    match name.to_lowercase().as_str() {
        "string" | "text" => Some("str"),
        "bytes" | "binary" => Some("bin"),
        "list" => Some("array"),
        "dict" | "object" | "mapping" => Some("map"),
        "none" | "nil" => Some("null"),
        "integer" => Some("int"),
        "boolean" => Some("bool"),
        "datetime" | "date" | "time" => Some("timestamp"),
        "double" => Some("float"),
        lower => nearest(lower, NAMES),
    }
}
