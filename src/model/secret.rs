//! A secret's header and the decisions on it: what a write does, and when it is refused.

use std::ops::RangeInclusive;

use super::{
    Cas, CustomMetadata, CustomPatch, Invalid, Refused, Settings, SettingsPatch, Timestamp,
    VERSION_MAX, VersionNumber, VersionRecord,
};

/// A secret apart from its versions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// When the secret was created.
    pub created_at: Timestamp,
    /// When anything about it changed last.
    pub updated_at: Timestamp,
    /// The newest version; `None` where there never was one.
    pub current: Option<VersionNumber>,
    /// The oldest version that is kept, once the limit has bitten for the first time; else 0.
    pub oldest: u32,
    /// The secret's own settings.
    pub settings: Settings,
    /// Custom metadata.
    pub custom: CustomMetadata,
    /// How often the metadata was written by itself, apart from values: what a writer of
    /// metadata expects is compared with it.
    pub metadata_version: u32,
    /// What the values of its versions take, in bytes; those from before that was kept take nothing.
    pub bytes: u64,
}

/// Changes to a secret's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataPatch {
    /// Changes to its settings.
    pub settings: SettingsPatch,
    /// Changes to its custom metadata.
    pub custom: Option<CustomPatch>,
}

impl MetadataPatch {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.settings.is_empty() && self.custom.as_ref().is_none_or(CustomPatch::is_empty)
    }
}

/// What adding a version leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Added {
    /// The new version's number.
    pub number: VersionNumber,
    /// Its record.
    pub record: VersionRecord,
    /// The versions that fall off the end: erase their records and values.
    pub pruned: Option<RangeInclusive<u32>>,
}

impl Header {
    /// A secret without versions.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self {
            created_at: now,
            updated_at: now,
            current: None,
            oldest: 0,
            settings: Settings::default(),
            custom: CustomMetadata::default(),
            metadata_version: 0,
            bytes: 0,
        }
    }

    /// The header, if it can be one: its parts come from a store.
    ///
    /// # Errors
    /// `Invalid` where the oldest version is newer than the newest one.
    pub fn check(self) -> Result<Self, Invalid> {
        let is_one = self.oldest <= self.current_number();
        if is_one { Ok(self) } else { Err(Invalid("the numbers of a stored header cannot be")) }
    }

    /// The newest version's number, 0 where there is none: what a CAS is compared with.
    #[must_use]
    pub fn current_number(&self) -> u32 {
        self.current.map_or(0, VersionNumber::get)
    }

    /// Whether version `number` is kept: written, and not pruned.
    #[must_use]
    pub fn keeps(&self, number: VersionNumber) -> bool {
        number.get() >= self.oldest && number.get() <= self.current_number()
    }

    /// The header with changed metadata.
    ///
    /// # Errors
    /// `Refused::Invalid` where the custom metadata would break a rule.
    pub fn with_patch(&self, patch: &MetadataPatch, now: Timestamp) -> Result<Self, Refused> {
        let custom = match &patch.custom {
            Some(changes) => changes.apply(&self.custom)?,
            None => self.custom.clone(),
        };
        if patch.is_empty() {
            return Ok(self.clone());
        }
        Ok(Self { settings: patch.settings.apply(&self.settings), custom, ..self.clone() }
            .with_metadata_write(now))
    }

    /// The header after a write of its metadata, also after one that changes nothing.
    #[must_use]
    pub fn with_metadata_write(self, now: Timestamp) -> Self {
        let metadata_version = self.metadata_version.saturating_add(1);
        Self { updated_at: self.updated_at.max(now), metadata_version, ..self }
    }

    /// Whether a write of metadata that brings `cas` may go on.
    ///
    /// # Errors
    /// `Refused::MetadataCasMismatch`, `Refused::MetadataCasRequired`.
    pub const fn check_metadata_cas(
        &self,
        cas: Option<u32>,
        defaults: &Settings,
    ) -> Result<(), Refused> {
        match cas {
            Some(cas) if cas != self.metadata_version => Err(Refused::MetadataCasMismatch),
            None if self.settings.metadata_cas_required || defaults.metadata_cas_required => {
                Err(Refused::MetadataCasRequired)
            }
            _ => Ok(()),
        }
    }

    /// Whether a write that brings `cas` may go on. A CAS that is given always counts; one is
    /// demanded only from writes that add a version.
    ///
    /// # Errors
    /// `Refused::CasMismatch`, `Refused::CasRequired`.
    pub fn check_cas(
        &self,
        cas: Option<Cas>,
        domain: &Settings,
        adds_version: bool,
    ) -> Result<(), Refused> {
        match cas {
            Some(cas) if cas.get() != self.current_number() => Err(Refused::CasMismatch),
            None if adds_version && self.settings.demands_cas(domain) => Err(Refused::CasRequired),
            _ => Ok(()),
        }
    }

    /// Adds the next version, written `now`, and prunes what exceeds the limit.
    ///
    /// # Errors
    /// `Refused::NumbersUsedUp` after version 24000.
    pub fn add_version(&mut self, domain: &Settings, now: Timestamp) -> Result<Added, Refused> {
        let next = self.current_number() + 1;
        if next > VERSION_MAX {
            return Err(Refused::NumbersUsedUp);
        }
        let number = VersionNumber::new(next)?;
        // Requests that overtake each other, and clocks that go back, leave the order of times as
        // it is.
        let now = self.updated_at.max(now);
        let life = self.settings.life_seconds(domain);
        let record = VersionRecord {
            created_at: now,
            deactivate_at: life.map(|seconds| now.plus_seconds(seconds)),
            is_deactivated: false,
            deleted_at: None,
        };
        let pruned = self.prunes(&self.settings, domain);
        self.current = Some(number);
        self.updated_at = now;
        let limit = self.settings.keeps(domain);
        if next - self.oldest >= limit {
            self.oldest = next - limit + 1;
        }
        Ok(Added { number, record, pruned })
    }

    /// The versions that would fall off the end, if there were these settings and another version.
    #[must_use]
    pub fn prunes(&self, settings: &Settings, domain: &Settings) -> Option<RangeInclusive<u32>> {
        let oldest = (self.current_number() + 2).saturating_sub(settings.keeps(domain));
        let first = self.oldest.max(1);
        (first < oldest).then(|| first..=oldest - 1)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::model::MaxVersions;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);

    fn keeping(number: u32) -> Settings {
        Settings { max_versions: MaxVersions::new(number).unwrap(), ..Settings::default() }
    }

    #[test]
    fn oldest_reads_zero_until_the_limit_bites() {
        for (limit, expected) in
            [(2, vec![0, 1, 2, 3]), (1, vec![1, 2, 3]), (0, vec![0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2])]
        {
            let mut header = Header::new(NOW);
            for oldest in expected {
                header.add_version(&keeping(limit), NOW).unwrap();
                assert_eq!(
                    header.oldest,
                    oldest,
                    "limit {limit}, version {}",
                    header.current_number()
                );
            }
        }
    }

    #[test]
    fn a_lowered_limit_prunes_at_the_next_write() {
        let mut header = Header::new(NOW);
        for _ in 0..10 {
            header.add_version(&keeping(0), NOW).unwrap();
        }
        let added = header.add_version(&keeping(2), NOW).unwrap();
        assert_eq!((added.number.get(), added.pruned, header.oldest), (11, Some(1..=9), 10));
        assert!(
            !header.keeps(VersionNumber::new(9).unwrap())
                && header.keeps(VersionNumber::new(10).unwrap())
        );
    }

    #[test]
    fn cas_rules() {
        let mut header = Header::new(NOW);
        let domain = Settings::default();
        let cas = |number| Some(Cas::new(number).unwrap());
        assert_eq!(header.check_cas(cas(0), &domain, true), Ok(()));
        header.add_version(&domain, NOW).unwrap();
        assert_eq!(header.check_cas(cas(0), &domain, true), Err(Refused::CasMismatch));
        assert_eq!(header.check_cas(cas(2), &domain, false), Err(Refused::CasMismatch));
        assert_eq!(header.check_cas(None, &domain, true), Ok(()));
        let strict = Settings { cas_required: true, ..Settings::default() };
        assert_eq!(header.check_cas(None, &strict, true), Err(Refused::CasRequired));
        assert_eq!(header.check_cas(None, &strict, false), Ok(()));
        header.settings.cas_required = true;
        assert_eq!(header.check_cas(None, &domain, true), Err(Refused::CasRequired));
        assert_eq!(header.check_cas(cas(1), &domain, true), Ok(()));
    }

    #[test]
    fn the_last_number() {
        let mut header = Header::new(NOW);
        header.current = Some(VersionNumber::new(VERSION_MAX - 1).unwrap());
        header.oldest = VERSION_MAX - 10;
        header.add_version(&Settings::default(), NOW).unwrap();
        let before = header.clone();
        assert_eq!(header.add_version(&Settings::default(), NOW), Err(Refused::NumbersUsedUp));
        assert_eq!(header, before);
    }

    proptest! {
        /// Against a plain set of numbers: after any limits and writes, exactly the newest ones are
        /// kept, nothing pruned comes back, and what is reported as pruned is what left the set.
        #[test]
        fn prunes_like_a_set(limits in prop::collection::vec(0u32..8, 1..60)) {
            let (mut header, mut kept) = (Header::new(NOW), BTreeSet::new());
            for limit in limits {
                let added = header.add_version(&keeping(limit), NOW).unwrap();
                kept.insert(added.number.get());
                let effective = if limit == 0 { 10 } else { limit };
                let mut gone = Vec::new();
                while kept.len() > effective as usize {
                    gone.extend(kept.pop_first());
                }
                prop_assert_eq!(added.pruned.map(Iterator::collect::<Vec<_>>).unwrap_or_default(), gone);
                for number in 1..=added.number.get() {
                    prop_assert_eq!(header.keeps(VersionNumber::new(number).unwrap()), kept.contains(&number));
                }
            }
        }
    }
}
