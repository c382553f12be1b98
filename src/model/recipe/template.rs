//! Templates: text with places for what is made anew each time.

use crate::model::Invalid;

/// The longest template, in bytes.
const TEMPLATE_MAX: usize = 1024;
/// The longest text that one can make.
const MADE_MAX: usize = 8192;

const UNKNOWN: Invalid = Invalid(
    "a text with {{random:N}}, {{hex:N}}, {{uuid}} and {{timestamp}} in it, where N is from 1 to 1024",
);

/// A part of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The text as it stands.
    Text(String),
    /// So many random letters and digits.
    Random(u32),
    /// So many random hexadecimal digits.
    Hex(u32),
    /// A random UUID.
    Uuid,
    /// The moment, in seconds since 1970.
    Timestamp,
}

/// A template whose places are all known.
#[derive(Clone, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Reads one.
    ///
    /// # Errors
    /// `Invalid` where it is too long, or a place of it is unknown.
    pub fn parse(text: String) -> Result<Self, Invalid> {
        if text.is_empty() || text.len() > TEMPLATE_MAX {
            return Err(Invalid("a text of 1 to 1024 bytes"));
        }
        let (mut parts, mut rest) = (Vec::new(), text.as_str());
        while let Some((before, place)) = rest.split_once("{{") {
            let (place, after) = place.split_once("}}").ok_or(UNKNOWN)?;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::of(place.trim()).ok_or(UNKNOWN)?);
            rest = after;
        }
        parts.push(Part::Text(rest.to_owned()));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        if parts.iter().map(Part::length).sum::<usize>() > MADE_MAX {
            return Err(Invalid(
                "a template whose text has at most 8192 bytes when it is filled in",
            ));
        }
        Ok(Self { text, parts })
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its parts, in their order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// How long the text is at most that it makes.
    #[must_use]
    pub fn length(&self) -> usize {
        self.parts.iter().map(Part::length).sum()
    }
}

/// The text around its places may be part of a secret.
impl std::fmt::Debug for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Template")
    }
}

impl Part {
    fn of(place: &str) -> Option<Self> {
        let number = |digits: &str| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse().ok().filter(|number| is_plain && (1..=1024).contains(number))
        };
        match place.split_once(':') {
            Some(("random", digits)) => number(digits).map(Self::Random),
            Some(("hex", digits)) => number(digits).map(Self::Hex),
            None if place == "uuid" => Some(Self::Uuid),
            None if place == "timestamp" => Some(Self::Timestamp),
            _ => None,
        }
    }

    fn length(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Random(number) | Self::Hex(number) => *number as usize,
            Self::Uuid => 36,
            Self::Timestamp => 20,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let template =
            Template::parse("sk_{{random:8}}-{{ hex:4 }}{{uuid}}@{{timestamp}}}}".into());
        let template = template.unwrap();
        assert_eq!(
            template.parts(),
            [
                Part::Text("sk_".to_owned()),
                Part::Random(8),
                Part::Text("-".to_owned()),
                Part::Hex(4),
                Part::Uuid,
                Part::Text("@".to_owned()),
                Part::Timestamp,
                Part::Text("}}".to_owned()),
            ]
        );
        assert_eq!(template.length(), 3 + 8 + 1 + 4 + 36 + 1 + 20 + 2);
        for wrong in [
            "",
            "{{",
            "a{{b",
            "{{}}",
            "{{random}}",
            "{{random:0}}",
            "{{random:1025}}",
            "{{random:+8}}",
            "{{hex:x}}",
            "{{uuid:4}}",
            "{{value}}",
            "{{a{{uuid}}",
            &"x".repeat(1025),
            &"{{random:1024}}".repeat(9),
        ] {
            assert!(Template::parse(wrong.to_owned()).is_err(), "{wrong}");
        }
    }
}
