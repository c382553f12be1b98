//! Text to tree: HCL 1, and JSON, which means the same.
//!
//! This is the first HCL, which Vault reads. Readers of HCL 2 refuse much of it (keys in quotes, two
//! attributes on a line, objects without commas) and take some of it for something else (`$${`).
//! Always holds: one pass over the text, bounded depth, entries in their order with those that are
//! there twice. Never does: expressions, heredocs, numbers in other bases; what is not read is
//! refused by its name.

use std::{fmt, iter::Peekable, str::CharIndices};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::Number;

/// Why a text is no policy: words for its author, which name the line, the path or the key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyFault(Box<str>);

impl PolicyFault {
    pub(super) fn new(words: impl Into<String>) -> Self {
        Self(words.into().into())
    }

    fn at(line: usize, words: &str) -> Self {
        Self::new(format!("line {line}: {words}"))
    }
}

/// A value, as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Tree {
    Text(String),
    Number(Number),
    Bool(bool),
    Null,
    List(Vec<Self>),
    Object(Vec<Entry>),
}

/// A value under its keys: `path "a" { }` has two.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    pub(super) keys: Vec<String>,
    /// Where it begins; `None` in JSON.
    pub(super) line: Option<usize>,
    pub(super) value: Tree,
}

/// The longest text taken.
const TEXT_MAX: usize = 64 * 1024;
/// The most objects and lists within each other.
const DEPTH_MAX: usize = 32;

/// The entries of a text.
pub(super) fn read(text: &str) -> Result<Vec<Entry>, PolicyFault> {
    if text.len() > TEXT_MAX {
        return Err(PolicyFault::new("the policy is longer than 64 KiB; make several of it"));
    }
    if text.contains('\0') {
        return Err(PolicyFault::new("the policy contains a NUL character"));
    }
    if text.trim_start().starts_with('{') {
        // Its own message may quote what it has read.
        return match serde_json::from_str(text) {
            Ok(Tree::Object(entries)) => Ok(entries),
            Ok(_) => Err(PolicyFault::new("a policy in JSON is an object")),
            Err(error) => Err(PolicyFault::at(error.line(), "this is not valid JSON")),
        };
    }
    let mut reader = Reader { text, rest: text.char_indices().peekable(), line: 1 };
    let entries = reader.entries(DEPTH_MAX, None)?;
    Ok(entries)
}

struct Reader<'a> {
    text: &'a str,
    rest: Peekable<CharIndices<'a>>,
    line: usize,
}

impl<'a> Reader<'a> {
    /// Entries up to `end`, which is read as well.
    fn entries(&mut self, depth: usize, end: Option<char>) -> Result<Vec<Entry>, PolicyFault> {
        let mut entries = Vec::new();
        loop {
            self.skip_blank()?;
            if self.peek() == end {
                self.next();
                return Ok(entries);
            }
            entries.push(self.entry(depth)?);
            self.skip_blank()?;
            self.next_if(',');
        }
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, PolicyFault> {
        let (line, mut keys) = (self.line, Vec::new());
        loop {
            self.skip_blank()?;
            let value = match self.peek() {
                Some('"') => {
                    keys.push(self.string()?);
                    continue;
                }
                Some(first) if begins_word(first) => {
                    keys.push(self.word().to_owned());
                    continue;
                }
                Some('{') if !keys.is_empty() => self.value(depth)?,
                Some('=') if keys.len() == 1 => {
                    self.next();
                    self.value(depth)?
                }
                Some('=') if !keys.is_empty() => {
                    return Err(self.fault("a block with a name has no = before its {"));
                }
                Some(_) => return Err(self.fault("a key is expected, or = or { after one")),
                None => return Err(self.fault("the text ends within a block or after a key")),
            };
            return Ok(Entry { keys, line: Some(line), value });
        }
    }

    fn value(&mut self, depth: usize) -> Result<Tree, PolicyFault> {
        self.skip_blank()?;
        let Some(depth) = depth.checked_sub(1) else {
            return Err(self.fault("blocks and lists are nested too deeply"));
        };
        match self.peek() {
            Some('{') => {
                self.next();
                Ok(Tree::Object(self.entries(depth, Some('}'))?))
            }
            Some('[') => {
                self.next();
                self.list(depth)
            }
            Some('"') => Ok(Tree::Text(self.string()?)),
            Some('-' | '0'..='9') => self.number(),
            Some('<') => Err(self.fault("heredocs are not read here; put the text in quotes")),
            Some(first) if begins_word(first) => match self.word() {
                "true" => Ok(Tree::Bool(true)),
                "false" => Ok(Tree::Bool(false)),
                _ => Err(self.fault("text is written in quotes")),
            },
            _ => Err(self.fault("a value is expected")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<Tree, PolicyFault> {
        let mut values = Vec::new();
        loop {
            self.skip_blank()?;
            if self.next_if(']') {
                return Ok(Tree::List(values));
            }
            values.push(self.value(depth)?);
            self.skip_blank()?;
            if !self.next_if(',') && self.peek() != Some(']') {
                return Err(self.fault("a comma or ] is expected in a list"));
            }
        }
    }

    fn number(&mut self) -> Result<Tree, PolicyFault> {
        let number = self.while_is(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        // JSON's numbers are decimal ones without zeros in front, as here.
        match number.parse() {
            Ok(number) => Ok(Tree::Number(number)),
            Err(_) => Err(self.fault("a number is written in decimal, without zeros in front")),
        }
    }

    fn word(&mut self) -> &'a str {
        self.while_is(|c| begins_word(c) || c.is_numeric() || "-.".contains(c))
    }

    /// Text in quotes.
    fn string(&mut self) -> Result<String, PolicyFault> {
        let mut string = String::new();
        self.next();
        loop {
            match self.next() {
                Some('"') => return Ok(string),
                Some('\\') => string.push(self.escaped()?),
                Some('$') if self.peek() == Some('{') => {
                    return Err(self.fault("${ in a text is not read here"));
                }
                None | Some('\n') => return Err(self.fault("the text in quotes does not end")),
                Some(c) => string.push(c),
            }
        }
    }

    /// What stands after a backslash.
    fn escaped(&mut self) -> Result<char, PolicyFault> {
        let escaped = match self.next() {
            Some('a') => Some('\u{7}'),
            Some('b') => Some('\u{8}'),
            Some('f') => Some('\u{c}'),
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('v') => Some('\u{b}'),
            Some(c @ ('\\' | '"')) => Some(c),
            // Above ASCII it would be a byte, and no character.
            Some('x') => self.digits(2, 16, 0).filter(char::is_ascii),
            Some(first @ '0'..='7') => {
                self.digits(2, 8, first.to_digit(8).unwrap_or_default()).filter(char::is_ascii)
            }
            Some('u') => self.digits(4, 16, 0),
            Some('U') => self.digits(8, 16, 0),
            _ => None,
        };
        escaped.filter(|c| *c != '\0').ok_or_else(|| self.fault("the text has a wrong \\ in it"))
    }

    fn digits(&mut self, count: usize, radix: u32, first: u32) -> Option<char> {
        let mut number = first;
        for _ in 0..count {
            let digit = self.next()?.to_digit(radix)?;
            number = number.checked_mul(radix)?.checked_add(digit)?;
        }
        char::from_u32(number)
    }

    /// Passes over spaces and comments.
    fn skip_blank(&mut self) -> Result<(), PolicyFault> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => {
                    self.next();
                }
                Some('#') => {
                    self.while_is(|c| c != '\n');
                }
                Some('/') => {
                    self.next();
                    match self.next() {
                        Some('/') => {
                            self.while_is(|c| c != '\n');
                        }
                        Some('*') => self.skip_comment()?,
                        _ => return Err(self.fault("a comment begins with #, // or /*")),
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    /// To the end of a comment that `*/` ends.
    fn skip_comment(&mut self) -> Result<(), PolicyFault> {
        let mut last = ' ';
        loop {
            match self.next() {
                Some('/') if last == '*' => return Ok(()),
                Some(c) => last = c,
                None => return Err(self.fault("a comment does not end")),
            }
        }
    }

    fn while_is(&mut self, is: impl Fn(char) -> bool) -> &'a str {
        let start = self.offset();
        while self.peek().is_some_and(&is) {
            self.next();
        }
        self.text.get(start..self.offset()).unwrap_or_default()
    }

    fn offset(&mut self) -> usize {
        self.rest.peek().map_or(self.text.len(), |(offset, _)| *offset)
    }

    fn peek(&mut self) -> Option<char> {
        self.rest.peek().map(|(_, c)| *c)
    }

    fn next(&mut self) -> Option<char> {
        let (_, c) = self.rest.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn next_if(&mut self, wanted: char) -> bool {
        self.rest.next_if(|(_, c)| *c == wanted).is_some()
    }

    fn fault(&self, words: &str) -> PolicyFault {
        PolicyFault::at(self.line, words)
    }
}

fn begins_word(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfJson)
    }
}

/// Reads JSON, with members that are there twice: they are the document's to refuse.
struct OfJson;

impl<'de> Visitor<'de> for OfJson {
    type Value = Tree;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(is))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Tree, E> {
        Ok(Tree::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Tree, E> {
        Ok(Number::from_f64(number).map_or(Tree::Null, Tree::Number))
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Tree, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Tree::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Tree, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = object.next_entry()? {
            entries.push(Entry { keys: vec![key], line: None, value });
        }
        Ok(Tree::Object(entries))
    }
}
