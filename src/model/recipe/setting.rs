//! What is configured of a generator, as it is said: names and plain values, read into types with
//! whatever is wrong told by its name.

use std::{collections::BTreeMap, fmt, ops::RangeInclusive};

use crate::model::{Faults, text};

/// A value in a generator's config. Never printed, as it may be a secret's.
#[derive(Clone, PartialEq, Eq)]
pub enum Setting {
    /// A whole number.
    Number(u64),
    /// A text.
    Text(String),
    /// Yes or no.
    Truth(bool),
    /// Texts.
    Texts(Vec<String>),
    /// Anything else, which no generator takes.
    Other,
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Setting")
    }
}

/// A generator's config, by names.
pub type Settings = BTreeMap<String, Setting>;

/// A config that is being read: each setting is taken once, and those that are left are unknown.
pub(super) struct Config<'a> {
    /// What stands before the names of its settings: `fields[0].config`.
    pub at: String,
    pub settings: Settings,
    pub faults: &'a mut Faults,
}

impl Config<'_> {
    pub(super) fn fault(&mut self, name: &str, rule: &'static str) {
        self.faults.add(format!("{}.{name}", self.at), rule);
    }

    /// A number in a range; `rule` says which.
    pub(super) fn number(
        &mut self,
        name: &str,
        range: RangeInclusive<u32>,
        default: u32,
        rule: &'static str,
    ) -> u32 {
        let number = match self.settings.remove(name) {
            None => return default,
            Some(Setting::Number(number)) => u32::try_from(number).ok(),
            Some(_) => None,
        };
        number.filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.fault(name, rule);
            default
        })
    }

    pub(super) fn truth(&mut self, name: &str) -> bool {
        match self.settings.remove(name) {
            None => false,
            Some(Setting::Truth(truth)) => truth,
            Some(_) => {
                self.fault(name, "true or false");
                false
            }
        }
    }

    /// One of several, by its name or number; None where it is not said.
    pub(super) fn choice<T: Copy>(
        &mut self,
        name: &str,
        all: &[(&str, T)],
        rule: &'static str,
    ) -> Option<T> {
        let said = match self.settings.remove(name)? {
            Setting::Text(text) => Some(text),
            Setting::Number(number) => Some(number.to_string()),
            _ => None,
        };
        let found = said.and_then(|said| all.iter().find(|(known, _)| *known == said));
        if found.is_none() {
            self.fault(name, rule);
        }
        found.map(|(_, one)| *one)
    }

    /// A text of printable characters, of at most so many bytes; empty where it is not said.
    pub(super) fn text(&mut self, name: &str, max: usize, rule: &'static str) -> String {
        match self.settings.remove(name) {
            None => String::new(),
            Some(Setting::Text(said)) if said.len() <= max && text::is_printable(&said) => said,
            Some(_) => {
                self.fault(name, rule);
                String::new()
            }
        }
    }

    /// Texts that are all fit; none where they are not said.
    pub(super) fn texts(
        &mut self,
        name: &str,
        max: usize,
        is_fit: impl Fn(&str) -> bool,
        rule: &'static str,
    ) -> Vec<String> {
        match self.settings.remove(name) {
            None => Vec::new(),
            Some(Setting::Texts(texts))
                if texts.len() <= max && texts.iter().all(|text| is_fit(text)) =>
            {
                texts
            }
            Some(_) => {
                self.fault(name, rule);
                Vec::new()
            }
        }
    }

    /// Tells what is left.
    pub(super) fn end(mut self) {
        for name in std::mem::take(&mut self.settings).into_keys() {
            self.fault(&name, "no setting of this generator; leave it out");
        }
    }
}
