//! Random text: of which characters, and which it must have.

use super::setting::{Config, Setting};

/// Characters of which text is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Charset {
    /// Letters and digits.
    Alphanumeric,
    /// Letters.
    Alpha,
    /// Digits.
    Numeric,
    /// Letters, digits and signs that mean nothing to a shell, an address or a config file.
    Safe,
    /// All that can be printed in ASCII but the blank.
    Ascii,
}

const ALL: [(&str, Charset); 5] = [
    ("alphanumeric", Charset::Alphanumeric),
    ("alpha", Charset::Alpha),
    ("numeric", Charset::Numeric),
    ("safe", Charset::Safe),
    ("ascii", Charset::Ascii),
];

impl Charset {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.iter().find(|(_, one)| *one == self).map_or("", |(name, _)| name)
    }

    /// Its characters, each once.
    #[must_use]
    pub const fn characters(self) -> &'static [u8] {
        match self {
            Self::Alphanumeric => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
            Self::Alpha => b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            Self::Numeric => b"0123456789",
            Self::Safe => {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~!@%^*+="
            }
            Self::Ascii => {
                b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"
            }
        }
    }
}

/// A kind of character that text can be asked to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// A capital letter.
    Upper,
    /// A small letter.
    Lower,
    /// A digit.
    Digit,
    /// Anything else.
    Symbol,
}

const CLASSES: [(&str, Class); 4] = [
    ("require_upper", Class::Upper),
    ("require_lower", Class::Lower),
    ("require_digit", Class::Digit),
    ("require_symbol", Class::Symbol),
];

impl Class {
    /// Whether a character is of it.
    #[must_use]
    pub const fn has(self, character: u8) -> bool {
        match self {
            Self::Upper => character.is_ascii_uppercase(),
            Self::Lower => character.is_ascii_lowercase(),
            Self::Digit => character.is_ascii_digit(),
            Self::Symbol => character.is_ascii_punctuation(),
        }
    }
}

/// Random text that can be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RandomText {
    length: u32,
    charset: Charset,
    required: Vec<Class>,
}

impl RandomText {
    /// What is made where nothing else is said.
    pub const SAFE: Self = Self { length: 32, charset: Charset::Safe, required: Vec::new() };

    /// So many letters and digits.
    pub(super) const fn plain(length: u32) -> Self {
        Self { length, charset: Charset::Alphanumeric, required: Vec::new() }
    }

    /// The number of characters.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// Of which characters.
    #[must_use]
    pub const fn charset(&self) -> Charset {
        self.charset
    }

    /// Whether it has what it must.
    #[must_use]
    pub fn fulfils(&self, text: &[u8]) -> bool {
        self.required.iter().all(|class| text.iter().any(|character| class.has(*character)))
    }

    pub(super) fn read(config: &mut Config<'_>) -> Self {
        let length = config.number("length", 1..=1024, 32, "a whole number from 1 to 1024");
        let required = CLASSES.iter().filter(|(name, _)| config.truth(name));
        let required: Vec<_> = required.map(|(_, class)| *class).collect();
        let charset =
            config.choice("charset", &ALL, "one of alphanumeric, alpha, numeric, safe and ascii");
        // Whoever asks for a symbol and says nothing else wants a charset that has some.
        let default =
            if required.contains(&Class::Symbol) { Charset::Safe } else { Charset::Alphanumeric };
        let this = Self { length, charset: charset.unwrap_or(default), required };
        if !this.fulfils(this.charset.characters()) {
            config.fault("charset", "a charset that has a character of each kind that is required");
        }
        if this.length() < this.required.len() {
            config.fault("length", "a number of characters that has room for each required kind");
        }
        this
    }

    pub(super) fn config(&self) -> Vec<(&'static str, Setting)> {
        let required = CLASSES.iter().filter(|(_, class)| self.required.contains(class));
        [
            ("length", Setting::Number(self.length.into())),
            ("charset", Setting::Text(self.charset.name().to_owned())),
        ]
        .into_iter()
        .chain(required.map(|(name, _)| (*name, Setting::Truth(true))))
        .collect()
    }
}
