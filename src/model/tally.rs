//! What the policies, rules and users of a domain take together, and how much that may be.
//!
//! Always holds: whoever makes a domain's policies cannot make the server's work or memory grow
//! beyond these bounds; what makes it less is never refused.

use super::{
    CertRule, IamPolicy, Invalid, ResourcePattern, User, VaultPolicy, condition::Expression,
};

/// The most policies of a domain, in each language.
const POLICIES_MAX: u64 = 2_000;
/// The most rules of a domain.
const RULES_MAX: u64 = 20_000;
/// The most users of a domain.
const USERS_MAX: u64 = 10_000;
/// The most that all of them take, in bytes.
const BYTES_MAX: u64 = 8 << 20;
/// The most patterns with a star before their end, as each of those is tried alone.
const INNER_STARS_MAX: u64 = 256;
/// The most that their conditions compare, as each is judged for each request.
const COMPARISONS_MAX: u64 = 2_048;
/// What each entry of a list takes beside its text, and each record.
const ENTRY: u64 = 32;
/// What each block, each value and each segment of a path in Vault's language takes beside its text.
const BLOCK: u64 = 128;

/// What one policy or rule takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    bytes: u64,
    inner_stars: u64,
    comparisons: u64,
}

/// What is counted by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// A policy in the words of IAM.
    Iam,
    /// A policy in Vault's language.
    Vault,
    /// A rule.
    Rule,
    /// A user.
    User,
}

/// What all of a domain take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many policies there are in the words of IAM.
    pub iam: u64,
    /// How many there are in Vault's language.
    pub vault: u64,
    /// How many rules.
    pub rules: u64,
    /// How many users.
    pub users: u64,
    /// What they take, in bytes.
    pub bytes: u64,
    /// How many of their patterns have a star before their end.
    pub inner_stars: u64,
    /// How often their conditions compare something.
    pub comparisons: u64,
}

impl Tally {
    /// With one more; whatever there may be.
    #[must_use]
    pub fn with(mut self, counted: Counted, size: Size) -> Self {
        let number = self.number(counted);
        *number = number.saturating_add(1);
        self.bytes = self.bytes.saturating_add(size.bytes);
        self.inner_stars = self.inner_stars.saturating_add(size.inner_stars);
        self.comparisons = self.comparisons.saturating_add(size.comparisons);
        self
    }

    /// Without one that is there.
    #[must_use]
    pub fn without(mut self, counted: Counted, size: Size) -> Self {
        let number = self.number(counted);
        *number = number.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(size.bytes);
        self.inner_stars = self.inner_stars.saturating_sub(size.inner_stars);
        self.comparisons = self.comparisons.saturating_sub(size.comparisons);
        self
    }

    const fn number(&mut self, counted: Counted) -> &mut u64 {
        match counted {
            Counted::Iam => &mut self.iam,
            Counted::Vault => &mut self.vault,
            Counted::Rule => &mut self.rules,
            Counted::User => &mut self.users,
        }
    }

    /// Goes on if a domain may go from `before` to this.
    ///
    /// # Errors
    /// `Invalid` says what is too much, and what to do.
    pub const fn check(self, before: Self) -> Result<(), Invalid> {
        if over(self.iam, before.iam, POLICIES_MAX) || over(self.vault, before.vault, POLICIES_MAX)
        {
            return Err(Invalid("a domain has at most 2000 policies; remove one first"));
        }
        if over(self.rules, before.rules, RULES_MAX) {
            return Err(Invalid("a domain has at most 20000 rules; remove one first"));
        }
        if over(self.users, before.users, USERS_MAX) {
            return Err(Invalid("a domain has at most 10000 users; remove one first"));
        }
        if over(self.bytes, before.bytes, BYTES_MAX) {
            return Err(Invalid(
                "the policies, rules and users of a domain take at most 8 MiB together, 32 bytes for each entry of a list \
                 included; remove some, or make them shorter",
            ));
        }
        if over(self.inner_stars, before.inner_stars, INNER_STARS_MAX) {
            return Err(Invalid(
                "the policies and rules of a domain have at most 256 patterns with a * before their end; write the \
                 names out, or put the * at the end",
            ));
        }
        if over(self.comparisons, before.comparisons, COMPARISONS_MAX) {
            return Err(Invalid(
                "the conditions of a domain's policies compare at most 2048 times together; each entry of a list counts, \
                 and so does expiredAt",
            ));
        }
        Ok(())
    }
}

const fn over(now: u64, before: u64, most: u64) -> bool {
    now > most && now > before
}

impl Size {
    fn entry(self, text: &str) -> Self {
        Self { bytes: self.bytes.saturating_add(ENTRY).saturating_add(text.len() as u64), ..self }
    }

    fn expression(self, written: &Expression) -> Self {
        let size = written
            .values
            .iter()
            .fold(self.entry(""), |size, (key, value)| size.entry(key).entry(value));
        written.conditions.iter().fold(size, Self::expression)
    }

    fn pattern(self, text: &str) -> Self {
        let head = text.strip_suffix('*').unwrap_or(text);
        let inner_stars = self.inner_stars + u64::from(head.contains('*'));
        Self { inner_stars, ..self }.entry(text)
    }
}

impl IamPolicy {
    /// What it takes.
    #[must_use]
    pub fn size(&self) -> Size {
        let size = Size::default().entry(&self.name).entry(&self.description);
        let actions = self.allow.iter().chain(&self.except).chain(&self.deny);
        let size = actions.fold(size, |size, action| size.entry(action));
        let size = self.identities.iter().fold(size, |size, identity| size.pattern(identity));
        let size = self.resources.iter().fold(size, |size, resource| match resource {
            ResourcePattern::Domain => size.entry("*"),
            ResourcePattern::Secrets(pattern) => size.pattern(pattern),
        });
        let size = Size { comparisons: self.when.comparisons() as u64, ..size };
        let condition = self.when.condition.as_ref();
        condition.map_or(size, |condition| size.expression(condition.written()))
    }
}

impl CertRule {
    /// What it takes under a name.
    #[must_use]
    pub fn size(&self, name: &str) -> Size {
        let size = Size::default().entry(name).entry(&self.identity);
        let size = self.policies.iter().fold(size, |size, policy| size.entry(policy));
        let size =
            self.metadata.iter().fold(size, |size, (key, value)| size.entry(key).entry(value));
        let role = self.role.as_ref();
        let size =
            role.map_or(size, |role| size.entry(&role.certificate).entry(&role.display_name));
        // A key is as long as an entry is beside its text.
        let keys = self.keys.len() + self.issuers.len();
        let size = (0..keys).fold(size, |size, _| size.entry("").entry(""));
        let size = self.further().fold(size, Size::entry);
        self.patterns().fold(size, Size::pattern)
    }
}

impl User {
    /// What every process has of it under a name.
    #[must_use]
    pub fn size(&self, name: &str) -> Size {
        let size = Size::default().entry(name);
        let size = self.policies.iter().fold(size, |size, policy| size.entry(policy));
        self.metadata.iter().fold(size, |size, (key, value)| size.entry(key).entry(value))
    }
}

impl VaultPolicy {
    /// What it takes under a name.
    #[must_use]
    pub fn size(&self, name: &str) -> Size {
        let marks = self.text.bytes().filter(|byte| b"{=:,/".contains(byte)).count() as u64;
        let size = Size::default().entry(name).entry(&self.text);
        Size { bytes: size.bytes.saturating_add(marks.saturating_mul(BLOCK)), ..size }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(names: &[&str]) -> CertRule {
        let common_names = names.iter().map(ToString::to_string).collect();
        CertRule { common_names, ..CertRule::default() }
    }

    #[test]
    fn what_is_too_much_is_refused_and_less_never_is() {
        let full =
            Tally { rules: RULES_MAX, bytes: BYTES_MAX, inner_stars: 256, ..Tally::default() };
        let (old, new) = (rule(&["a*b"]).size("r"), rule(&["a*b"]).size("r"));
        // A replacement is not one more.
        assert_eq!(full.without(Counted::Rule, old).with(Counted::Rule, new).check(full), Ok(()));
        for (tally, more) in [
            (Tally { rules: RULES_MAX, ..Tally::default() }, new),
            (Tally { bytes: BYTES_MAX - 1, ..Tally::default() }, new),
            (Tally { inner_stars: 256, ..Tally::default() }, new),
            (Tally { comparisons: 2_048, ..Tally::default() }, Size { comparisons: 1, ..new }),
        ] {
            assert!(tally.with(Counted::Rule, more).check(tally).is_err(), "{tally:?}");
        }
        let stars = Tally { inner_stars: 256, ..Tally::default() };
        assert_eq!(stars.with(Counted::Rule, rule(&["a*", "b"]).size("r")).check(stars), Ok(()));
        // A store of before may have more: it gets less, bit by bit.
        let huge = Tally { rules: 10, bytes: 2 * BYTES_MAX, inner_stars: 900, ..Tally::default() };
        assert_eq!(huge.without(Counted::Rule, old).check(huge), Ok(()));
        assert!(huge.with(Counted::Iam, Size::default()).check(huge).is_ok());
        for counted in [Counted::Iam, Counted::Vault] {
            let mut full = Tally::default();
            for _ in 0..POLICIES_MAX {
                full = full.with(counted, Size::default());
            }
            assert_eq!(full.check(full), Ok(()));
            assert!(full.with(counted, Size::default()).check(full).is_err());
        }
    }

    #[test]
    fn every_text_counts() {
        let size = rule(&["ab", "c"]).size("name");
        assert_eq!(size, Size { bytes: 4 * ENTRY + 7, ..Size::default() });
        let with_all = CertRule {
            identity: "i".to_owned(),
            policies: vec!["p*q".to_owned()],
            keys: vec![[0; 32]],
            ..rule(&["*x", "x*"])
        };
        assert_eq!(
            with_all.size("n"),
            Size { bytes: 7 * ENTRY + 9, inner_stars: 1, comparisons: 0 }
        );
    }
}
