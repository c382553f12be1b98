//! What is wrong with the fields of an input: each by its name, and all of them at once.

use std::{borrow::Cow, fmt};

use super::Invalid;

/// Fields that break rules, such as `options.max_versions`, each with what it must be, in the order in
/// which they were looked at. Names are repeated, values never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(Vec<(Cow<'static, str>, &'static str)>);

impl Faults {
    /// One field alone.
    pub fn one(field: impl Into<Cow<'static, str>>, rule: &'static str) -> Self {
        Self(vec![(field.into(), rule)])
    }

    /// A field, and what it must be.
    pub fn add(&mut self, field: impl Into<Cow<'static, str>>, rule: &'static str) {
        self.0.push((field.into(), rule));
    }

    /// What others have found of fields of which nothing is said yet.
    pub fn merge(&mut self, others: Self) {
        for (field, rule) in others.0 {
            if !self.0.iter().any(|(known, _)| *known == field) {
                self.0.push((field, rule));
            }
        }
    }

    /// What is there, unless the field breaks a rule.
    pub fn of<T>(
        &mut self,
        field: impl Into<Cow<'static, str>>,
        read: Result<T, Invalid>,
    ) -> Option<T> {
        read.map_err(|Invalid(rule)| self.add(field, rule)).ok()
    }

    /// Goes on with `sound` where no field breaks a rule.
    ///
    /// # Errors
    /// These, where there are any.
    pub fn check<T>(self, sound: T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(sound) } else { Err(self) }
    }

    /// Each field, and what it must be.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &'static str)> {
        self.0.iter().map(|(field, rule)| (&**field, *rule))
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (field, rule)) in self.iter().enumerate() {
            let mark = if number > 0 { "; " } else { "" };
            write!(f, "{mark}{field}: {rule}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_told() {
        let mut faults = Faults::default();
        assert_eq!(faults.of("a", Ok(1)), Some(1));
        assert_eq!(faults.clone().check(2), Ok(2));
        assert_eq!(faults.of::<u8>("b", Err(Invalid("a number"))), None);
        faults.merge(Faults::one("c[0]".to_owned(), "a text"));
        faults.merge(Faults::one("b", "another thing"));
        assert_eq!(faults.to_string(), "b: a number; c[0]: a text");
        assert_eq!(faults.clone().check(2), Err(faults));
    }
}
