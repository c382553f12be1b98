//! What is wrong with a configuration, in words that quote no value.

use std::{fmt, io};

use crate::files::FileName;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("config file {0}: {1}")]
    Read(FileName, #[source] io::Error),
    /// The file is not TOML, or a key in it is wrong.
    #[error("config file {0}: {1}")]
    File(FileName, Fault),
    /// What the environment adds makes it wrong.
    #[error("config file {0} with the environment's OKMSD_ variables: {1}")]
    Environment(FileName, Fault),
    /// A setting has two names, and they say two things.
    #[error(transparent)]
    Twins(#[from] Twins),
    /// A setting is out of its range.
    #[error("config key {0}: {1}")]
    Value(&'static str, &'static str),
}

/// Two variables of the environment that are one setting and say two things.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment's {0} and {1} are one setting and say two things; set one of them")]
pub struct Twins(pub(super) &'static str, pub(super) &'static str);

/// What a parser found, and where: never what stands there. The parser's own error shows the whole
/// line, which may be a key or a password that went astray.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    line: Option<usize>,
    key: Option<String>,
    text: String,
}

impl Fault {
    /// What is wrong in the `text` of a file.
    pub(super) fn in_text(mut error: toml::de::Error, text: &str) -> Self {
        let line = error.span().and_then(|span| text.get(..span.start));
        let line = line.map(|before| before.matches('\n').count() + 1);
        let message = without_values(error.message());
        // Without its input, the error tells the key instead of the line.
        error.set_input(None);
        let shown = error.to_string();
        let key = shown.trim_end().rsplit_once("\nin `").and_then(|(_, key)| key.strip_suffix('`'));
        let key = key.filter(|key| key.split('.').all(is_plain)).map(str::to_owned);
        Self { line, key, text: message }
    }

    /// Puts the table `name` in front of the key.
    pub(super) fn within(self, name: &str) -> Self {
        let key = match self.key {
            Some(key) => format!("{name}.{key}"),
            None => name.to_owned(),
        };
        Self { key: Some(key), ..self }
    }
}

impl serde::de::Error for Fault {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { line: None, key: None, text: without_values(&message.to_string()) }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(line) = self.line {
            write!(f, "line {line}: ")?;
        }
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.text)
    }
}

/// A parser's message without the values that it quotes. It says what it wanted last.
fn without_values(message: &str) -> String {
    let named = message.split('`').nth(1).unwrap_or_default();
    if ["unknown field", "duplicate"].iter().any(|beginning| message.starts_with(beginning))
        && !is_plain(named)
    {
        return "there is no such key; the README lists the keys".to_owned();
    }
    let quotes = ["invalid type", "invalid value", "invalid length", "unknown variant"];
    if !quotes.iter().any(|beginning| message.starts_with(beginning)) {
        return message.to_owned();
    }
    let wanted = message.rsplit_once(", expected ").map_or("another value", |(_, wanted)| wanted);
    format!("this value does not fit here, expected {wanted}")
}

/// Whether a key is a word such as ours, and no value that went astray.
fn is_plain(key: &str) -> bool {
    key.len() <= 32 && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
}
