//! A walk over JSON text.

use std::borrow::Cow;

/// Walks over well-formed JSON text; of any other it makes something, comes to an end, and never
/// panics.
pub(super) struct Scanner<'a> {
    text: &'a str,
    at: usize,
}

/// A member's name, before its value.
pub(super) struct Name<'a> {
    /// Where its text begins.
    pub(super) start: usize,
    /// What it says.
    pub(super) said: Cow<'a, str>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// How far it has come.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// The first byte of what comes next.
    pub(super) fn next(&mut self) -> Option<u8> {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.peek()
    }

    /// Goes into the object or array that comes next, if it is one that begins with `bracket`.
    pub(super) fn enter(&mut self, bracket: u8) -> bool {
        let is_one = self.next() == Some(bracket);
        self.at += usize::from(is_one);
        is_one
    }

    /// The next name of the object that was entered; its value must be walked over before the one
    /// after it. At the end there is none, and the object lies behind.
    pub(super) fn name(&mut self) -> Option<Name<'a>> {
        loop {
            match self.next() {
                Some(b',') => self.at += 1,
                Some(b'"') => {
                    let start = self.at;
                    let said = unescape(self.value());
                    self.next();
                    self.at += 1;
                    return Some(Name { start, said });
                }
                _ => {
                    self.at += 1;
                    return None;
                }
            }
        }
    }

    /// Whether there is one more element in the array that was entered; it must be walked over
    /// before the next. At the end the array lies behind.
    pub(super) fn element(&mut self) -> bool {
        loop {
            match self.next() {
                Some(b',') => self.at += 1,
                None | Some(b']' | b'}' | b':') => {
                    self.at += 1;
                    return false;
                }
                Some(_) => return true,
            }
        }
    }

    /// The text of the value that comes next, with all that is in it.
    pub(super) fn value(&mut self) -> &'a str {
        self.next();
        let (start, mut depth, mut in_string) = (self.at, 0usize, false);
        while let Some(byte) = self.peek() {
            match byte {
                b'\\' if in_string => self.at += 1,
                b'"' => {
                    in_string = !in_string;
                    if !in_string && depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                _ if in_string => {}
                b'[' | b'{' => depth += 1,
                b']' | b'}' if depth > 0 => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        break;
                    }
                }
                b',' | b'}' | b']' | b':' | b' ' | b'\t' | b'\n' | b'\r' if depth == 0 => break,
                _ => {}
            }
            self.at += 1;
        }
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

fn unescape(raw: &str) -> Cow<'_, str> {
    if raw.contains('\\') {
        return serde_json::from_str::<String>(raw).map_or(Cow::Borrowed(raw), Cow::Owned);
    }
    Cow::Borrowed(raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default())
}
