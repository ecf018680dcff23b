//! The path language, in which an author names a place in a message.
//!
//! Dotted (`a.b`, `a."x.y"`, `a\.b`), indexed (`a[0]`, `a[-1]`), over all elements (`a[*].b`), a JSON Pointer
//! (`/a/0/b`, RFC 6901), a list of segments, and `@` for the element itself. Kept separate from the walk over bytes
//! because paths are read once, with care for the author, and walked per message.

use super::path_error::PathError;
use super::source::{Source, quote};

/// Greatest number of segments: no message is nested deeper.
pub const MAX_SEGMENTS: usize = 128;

/// One step into a message.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// The value of a map under a string key.
    Key(Box<str>),
    /// The element of an array; below zero counts from its end.
    Index(i64),
    /// A pointer's digits: the element of an array, or the value of a map under these digits as a key.
    KeyOrIndex(Box<str>, i64),
    /// Every element of an array.
    Each,
}

/// Read a path in any of its forms.
pub fn parse(source: &Source) -> Result<Vec<Segment>, PathError> {
    let segments = match source {
        Source::Str(text) => parse_text(text)?,
        Source::List(items) => parse_list(items)?,
        other => {
            return Err(PathError::new(
                format!(
                    "a path is a string or a list of segments, not {}",
                    other.describe()
                ),
                r#"write "a.b", "/a/b" or ["a", "b"]"#,
            ));
        }
    };
    if segments.len() > MAX_SEGMENTS {
        return Err(PathError::new(
            format!(
                "the path has {} segments, and no message is nested deeper than {MAX_SEGMENTS}",
                segments.len()
            ),
            "shorten it",
        ));
    }
    Ok(segments)
}

fn parse_list(items: &[Source]) -> Result<Vec<Segment>, PathError> {
    if items.is_empty() {
        return Err(PathError::new(
            "the path is empty",
            r#"write "@" for the whole message or element"#,
        ));
    }
    items
        .iter()
        .enumerate()
        .map(|(index, item)| match item {
            Source::Str(key) => Ok(Segment::Key((&**key).into())),
            Source::Int(super::source::Integer::Small(number)) => {
                i64::try_from(*number).map(Segment::Index).map_err(|_| {
                    PathError::new(
                        format!("no array has an element {number}"),
                        "write 0 for the first, -1 for the last",
                    )
                    .at(index)
                })
            }
            other => Err(PathError::new(
                format!(
                    "a segment is a key (string) or an index (integer), not {}",
                    other.describe()
                ),
                r#"write it as in ["items", 0, "name"]"#,
            )
            .at(index)),
        })
        .collect()
}

fn parse_text(text: &str) -> Result<Vec<Segment>, PathError> {
    match text.as_bytes() {
        [] => Err(PathError::new(
            "the path is empty",
            r#"write "@" for the whole message or element, [""] for an empty key"#,
        )),
        [b'/', ..] => parse_pointer(text),
        [b'@'] => Ok(Vec::new()),
        // A key may begin with @ (JSON-LD's do): only these two characters make it the element.
        [b'@', b'.', ..] => Reader::new(text, 2).read(),
        [b'@', b'[', ..] => Reader::new(text, 1).read(),
        _ => Reader::new(text, 0).read(),
    }
}

fn parse_pointer(text: &str) -> Result<Vec<Segment>, PathError> {
    text[1..]
        .split('/')
        .map(|token| {
            let mut key = String::with_capacity(token.len());
            let mut rest = token.chars();
            while let Some(character) = rest.next() {
                match character {
                    '~' => match rest.next() {
                        Some('0') => key.push('~'),
                        Some('1') => key.push('/'),
                        _ => {
                            return Err(PathError::new(
                                format!(
                                    "~ stands before neither 0 nor 1 in the JSON Pointer {}",
                                    quote(text)
                                ),
                                "write ~0 for ~ and ~1 for /",
                            ));
                        }
                    },
                    other => key.push(other),
                }
            }
            Ok(match canonical_index(&key) {
                Some(index) => Segment::KeyOrIndex(key.into(), index),
                None => Segment::Key(key.into()),
            })
        })
        .collect()
}

/// Read digits without a leading zero, as RFC 6901 has array indices.
fn canonical_index(text: &str) -> Option<i64> {
    let canonical = text == "0"
        || (!text.starts_with('0') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| text.parse().ok()).flatten()
}

/// Reader of the dotted form.
struct Reader<'a> {
    text: &'a str,
    at: usize,
    segments: Vec<Segment>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, at: usize) -> Self {
        Self {
            text,
            at,
            segments: Vec::new(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn refuse<T>(&self, problem: &str, remedy: &str) -> Result<T, PathError> {
        let column = self.text[..self.at].chars().count() + 1;
        Err(PathError::new(
            format!(
                "{problem}, at character {column} of the path {}",
                quote(self.text)
            ),
            remedy,
        ))
    }

    fn read(mut self) -> Result<Vec<Segment>, PathError> {
        if self.peek() != Some('[') {
            self.segment()?;
        }
        loop {
            match self.peek() {
                None => return Ok(self.segments),
                Some('[') => self.brackets()?,
                Some('.') => {
                    self.at += 1;
                    self.segment()?;
                }
                Some(_) => {
                    return self.refuse("expected \".\" or \"[\"", "separate segments with dots");
                }
            }
        }
    }

    /// Read one key, bare or in quotes.
    fn segment(&mut self) -> Result<(), PathError> {
        let key = if self.peek() == Some('"') {
            self.quoted()?
        } else {
            self.bare()?
        };
        self.segments.push(Segment::Key(key.into()));
        Ok(())
    }

    fn bare(&mut self) -> Result<String, PathError> {
        let start = self.at;
        let mut key = String::new();
        while let Some(character) = self.peek() {
            match character {
                '.' | '[' => break,
                '"' | ']' => {
                    return self.refuse(
                        &format!("{character:?} stands in a bare segment"),
                        r#"put the whole segment in quotes, as in "a.b".c, or write a backslash before it"#,
                    );
                }
                '\\' => key.push(self.escaped()?),
                other => {
                    key.push(other);
                    self.at += other.len_utf8();
                }
            }
        }
        if self.at == start {
            return self.refuse(
                "a segment is empty",
                r#"remove the dot, or write "" for an empty key"#,
            );
        }
        Ok(key)
    }

    fn quoted(&mut self) -> Result<String, PathError> {
        let start = self.at;
        self.at += 1;
        let mut key = String::new();
        loop {
            match self.peek() {
                None => {
                    self.at = start;
                    return self.refuse(
                        "a quote is not closed",
                        "write a second \" after the segment",
                    );
                }
                Some('"') => {
                    self.at += 1;
                    return Ok(key);
                }
                Some('\\') => key.push(self.escaped()?),
                Some(other) => {
                    key.push(other);
                    self.at += other.len_utf8();
                }
            }
        }
    }

    fn escaped(&mut self) -> Result<char, PathError> {
        let escaped = self.text[self.at + 1..].chars().next();
        match escaped {
            Some(character @ ('.' | '[' | ']' | '"' | '\\' | '/' | '@')) => {
                self.at += 2;
                Ok(character)
            }
            _ => self.refuse(
                "a backslash stands before a character that needs none",
                r#"write \\ for a backslash; only . [ ] " \ / @ are escaped"#,
            ),
        }
    }

    /// Read `[n]`, `[-n]` or `[*]`.
    fn brackets(&mut self) -> Result<(), PathError> {
        const REMEDY: &str =
            r#"write [0], [-1] for the last, or [*] for each; a key goes in quotes, as in a."b""#;
        let Some(length) = self.text[self.at..].find(']') else {
            return self.refuse("a bracket is not closed", REMEDY);
        };
        let inside = &self.text[self.at + 1..self.at + length];
        let index = match inside.strip_prefix('-') {
            Some("0") => None,
            Some(digits) => canonical_index(digits).map(|index| -index),
            None => canonical_index(inside),
        };
        let segment = match (inside, index) {
            ("*", _) => Segment::Each,
            (_, Some(index)) => Segment::Index(index),
            _ => return self.refuse("brackets hold neither an index nor *", REMEDY),
        };
        self.segments.push(segment);
        self.at += length + 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conditions::source::Integer;

    fn key(text: &str) -> Segment {
        Segment::Key(text.into())
    }

    fn read(text: &str) -> Vec<Segment> {
        parse(&Source::Str(text.into())).unwrap()
    }

    #[test]
    fn every_written_form_is_understood() {
        assert_eq!(read("a.b"), [key("a"), key("b")]);
        assert_eq!(read("a.0"), [key("a"), key("0")]);
        assert_eq!(read("a[0].b"), [key("a"), Segment::Index(0), key("b")]);
        assert_eq!(
            read("a[-1][*]"),
            [key("a"), Segment::Index(-1), Segment::Each]
        );
        assert_eq!(read("[2].a"), [Segment::Index(2), key("a")]);
        assert_eq!(read(r#""a.b".c"#), [key("a.b"), key("c")]);
        assert_eq!(read(r#"a."".b"#), [key("a"), key(""), key("b")]);
        assert_eq!(read(r#""q\"[\\".b"#), [key("q\"[\\"), key("b")]);
        assert_eq!(read(r"a\.b\[\]"), [key("a.b[]")]);
        assert_eq!(read(r"\/a"), [key("/a")]);
        assert_eq!(read("é ü.*"), [key("é ü"), key("*")]);
        assert_eq!(read("@"), []);
        assert_eq!(read("@.a"), [key("a")]);
        assert_eq!(read("@[1]"), [Segment::Index(1)]);
        assert_eq!(read("@type"), [key("@type")]);
        assert_eq!(read(r"\@"), [key("@")]);
        assert_eq!(
            read("/a~1b/0/~0/01/"),
            [
                key("a/b"),
                Segment::KeyOrIndex("0".into(), 0),
                key("~"),
                key("01"),
                key("")
            ]
        );
        assert_eq!(
            parse(&Source::List(vec![
                Source::Str("a.b".into()),
                Source::Int(Integer::Small(-1))
            ]))
            .unwrap(),
            [key("a.b"), Segment::Index(-1)]
        );
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "a[",
            "a[]",
            "a[x]",
            "a[1",
            "a[+1]",
            "a[-0]",
            "a[01]",
            "a]b",
            "a\"b",
            "\"a",
            "\"a\"b",
            "a[0]b",
            "a.[0]",
            "a\\",
            "a\\x",
            "/~",
            "/a~2",
            "@.",
            "@..a",
            "a[99999999999999999999]",
        ] {
            assert!(parse(&Source::Str(text.into())).is_err(), "{text}");
        }
        for list in [
            vec![],
            vec![Source::Nil],
            vec![Source::Bool(true)],
            vec![Source::Float(1.0)],
        ] {
            assert!(parse(&Source::List(list)).is_err());
        }
        assert!(parse(&Source::Nil).is_err());
        assert!(parse(&Source::Str(("a.".repeat(128) + "a").into())).is_err());
    }
}
