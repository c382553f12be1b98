//! A secret's header and the decisions on it: what a write does, and when it is refused.

use std::ops::{Deref, RangeInclusive};

use super::{
    About, AboutPatch, Cas, CustomMetadata, CustomPatch, Invalid, Life, LifePatch, Refused,
    Removal, Settings, SettingsPatch, Timestamp, Transition, VERSION_MAX, VersionAct,
    VersionNumber, VersionRecord, VersionState,
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
    /// What is told of the secret.
    pub about: About,
    /// Who made it, where that was kept.
    pub created_by: Option<Box<str>>,
    /// When it ends as a whole.
    pub life: Life,
    /// When the newest version was written, where that was kept.
    pub written_at: Option<Timestamp>,
    /// The newest version's own deadline: what [`VersionRecord::deadline`] says of it.
    pub current_deadline: Option<Timestamp>,
}

/// A version as all that its secret goes through has made it: the only form in which one is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenVersion(VersionRecord);

impl Deref for SeenVersion {
    type Target = VersionRecord;

    fn deref(&self) -> &VersionRecord {
        &self.0
    }
}

/// Changes to a secret's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetadataPatch {
    /// Changes to its settings.
    pub settings: SettingsPatch,
    /// Changes to its custom metadata.
    pub custom: Option<CustomPatch>,
    /// Changes to what is told of it.
    pub about: AboutPatch,
    /// Changes to when it ends.
    pub life: LifePatch,
}

impl MetadataPatch {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.is_counted() && self.about.is_empty() && self.life.is_empty()
    }

    /// Whether its owner would change, and nothing else.
    #[must_use]
    pub fn is_of_owner_alone(&self) -> bool {
        let rest = AboutPatch { owner: None, ..self.about.clone() };
        self.about.owner.is_some() && !self.is_counted() && self.life.is_empty() && rest.is_empty()
    }

    /// Whether it is a write of metadata as those count who expect a version of it.
    fn is_counted(&self) -> bool {
        !(self.settings.is_empty() && self.custom.as_ref().is_none_or(CustomPatch::is_empty))
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
            about: About::default(),
            created_by: None,
            life: Life::default(),
            written_at: None,
            current_deadline: None,
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

    /// What its texts take in memory, in bytes, roughly.
    #[must_use]
    pub fn text_len(&self) -> usize {
        let custom = self.custom.iter().map(|(key, value)| 64 + key.len() + value.len());
        let tags = self.about.tags.iter().map(|tag| 16 + tag.len());
        let rotation = self.life.rotation.as_ref().map(|rotation| &rotation.policy);
        let texts = [
            &self.about.description,
            &self.about.owner,
            &self.created_by,
            &self.life.secret_policy,
        ];
        let texts = texts.into_iter().flatten().chain(rotation).map(|text| text.len());
        custom.chain(tags).chain(texts).sum()
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
        let header = Self {
            settings: patch.settings.apply(&self.settings),
            custom,
            about: patch.about.apply(&self.about),
            life: patch.life.apply(&self.life, now),
            ..self.clone().touched(now)
        };
        Ok(if patch.is_counted() { header.with_metadata_write(now) } else { header })
    }

    /// The header after a write of its metadata, also after one that changes nothing.
    #[must_use]
    pub fn with_metadata_write(self, now: Timestamp) -> Self {
        let metadata_version = self.metadata_version.saturating_add(1);
        Self { metadata_version, ..self.touched(now) }
    }

    /// The header as it is changed without a new version: when that was written is kept, also where it
    /// was known by the header's last change alone.
    fn touched(self, now: Timestamp) -> Self {
        let written_at = self.written_at.or(self.current.and(Some(self.updated_at)));
        Self { updated_at: self.updated_at.max(now), written_at, ..self }
    }

    /// The secret with another life.
    #[must_use]
    pub fn with_life(self, life: Life, now: Timestamp) -> Self {
        Self { life, ..self.touched(now) }
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

    /// A version of the secret as it is seen: ended by what has ended the secret, too.
    #[must_use]
    pub fn seen(&self, record: &VersionRecord) -> SeenVersion {
        let removed_at = self.life.removed.map(|removal| removal.at);
        let ends = [record.deactivate_at, self.life.expires_at, removed_at];
        if record.deleted_at.is_some() {
            return SeenVersion(record.clone());
        }
        SeenVersion(VersionRecord {
            deactivate_at: ends.into_iter().flatten().min(),
            is_deactivated: record.is_deactivated || removed_at.is_some(),
            ..record.clone()
        })
    }

    /// When the newest version was written; where that is not known, when anything changed last.
    #[must_use]
    pub fn changed_at(&self) -> Timestamp {
        self.written_at.unwrap_or(self.updated_at)
    }

    /// How many versions are kept.
    #[must_use]
    pub fn version_count(&self) -> u32 {
        self.current.map_or(0, |current| current.get() + 1 - self.oldest.max(1))
    }

    /// When what is current ends by itself, with its secret or alone.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        [self.life.expires_at, self.current_deadline].into_iter().flatten().min()
    }

    /// Leads a version to the state `to`, and the secret with it: whoever activates one gets a
    /// readable one, and whoever ends one has ended it whatever becomes of the secret's own end.
    pub fn transition(
        &mut self,
        (number, record): (VersionNumber, &VersionRecord),
        to: VersionState,
        domain: &Settings,
        now: Timestamp,
    ) -> Transition {
        let transition = record.transition(to, now, self.settings.life_seconds(domain));
        self.led((number, record), transition, to == VersionState::Active, now)
    }

    /// Does `act` to a version, and to the secret what follows.
    pub fn act(
        &mut self,
        (number, record): (VersionNumber, &VersionRecord),
        act: VersionAct,
        domain: &Settings,
        now: Timestamp,
    ) -> Transition {
        let transition = record.act(act, now, self.settings.life_seconds(domain));
        self.led((number, record), transition, act == VersionAct::Undelete, now)
    }

    /// What becomes of a version, and of the secret with it.
    fn led(
        &mut self,
        (number, before): (VersionNumber, &VersionRecord),
        transition: Transition,
        revives: bool,
        now: Timestamp,
    ) -> Transition {
        let lifts = revives && self.life.has_ended(now);
        let transition = match transition {
            // It is active itself, and was not seen so.
            Transition::None if lifts && before.deleted_at.is_none() => {
                Transition::Changed(before.clone())
            }
            transition => transition,
        };
        if let Transition::Changed(record) | Transition::Erased(record) = &transition {
            self.written_at = self.written_at.or(Some(self.updated_at));
            self.updated_at = self.updated_at.max(now);
            if self.current == Some(number) {
                self.current_deadline = record.deadline();
            }
            if lifts {
                self.life = self.life.lifted(now);
            }
        }
        transition
    }

    /// The secret, removed for so many seconds, in which that can be undone.
    #[must_use]
    pub fn removed(self, now: Timestamp, seconds: u64) -> Self {
        let removal = Removal { at: now, until: now.plus_seconds(seconds) };
        let life = Life { removed: Some(removal), ..self.life.clone() };
        self.with_life(life, now)
    }

    /// The secret, not removed any more.
    #[must_use]
    pub fn restored(self, now: Timestamp) -> Self {
        let life = Life { removed: None, ..self.life.clone() };
        self.with_life(life, now)
    }

    /// Adds the next version, written `now`, and prunes what exceeds the limit. What had ended the
    /// secret is lifted.
    ///
    /// # Errors
    /// `Refused::NumbersUsedUp` after version 24000.
    pub fn add_version(&mut self, domain: &Settings, now: Timestamp) -> Result<Added, Refused> {
        self.add(self.settings.keeps(domain), domain, now)
    }

    /// Adds the next version in the place of the current one, whose record is given where there is one:
    /// that can be read for `grace` seconds more, if it can be read now, and not after its own end.
    /// The second part is its record from then on, where that changes.
    ///
    /// # Errors
    /// `Refused::NumbersUsedUp` after version 24000.
    pub fn rotate(
        &mut self,
        current: Option<&VersionRecord>,
        grace: u64,
        domain: &Settings,
        now: Timestamp,
    ) -> Result<(Added, Option<VersionRecord>), Refused> {
        // As for the new version: times keep their order.
        let at = self.updated_at.max(now);
        let retired = current.and_then(|record| self.retired(record, grace, at));
        let added = self.add(self.keeps_in_rotation(grace, domain), domain, now)?;
        Ok((added, retired))
    }

    /// How many versions a rotation keeps: what is in its grace stays, and falls off the end with the
    /// next write.
    #[must_use]
    pub fn keeps_in_rotation(&self, grace: u64, domain: &Settings) -> u32 {
        let keeps = self.settings.keeps(domain);
        if grace > 0 { keeps.max(2) } else { keeps }
    }

    /// The record of a version whose place another one takes.
    fn retired(&self, record: &VersionRecord, grace: u64, now: Timestamp) -> Option<VersionRecord> {
        if record.is_deactivated || record.deleted_at.is_some() {
            return None;
        }
        // What has ended with the secret stays so, though the new version lifts that.
        let ends = [record.deactivate_at, self.life.expires_at, Some(now.plus_seconds(grace))];
        let end = ends.into_iter().flatten().min();
        // Without a grace it is an act, which is in force whatever the clock says later.
        let is_deactivated = grace == 0 && end == Some(now);
        let retired = VersionRecord { deactivate_at: end, is_deactivated, ..record.clone() };
        (retired != *record).then_some(retired)
    }

    fn add(&mut self, keeps: u32, domain: &Settings, now: Timestamp) -> Result<Added, Refused> {
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
        let pruned = self.prunes(keeps);
        self.current = Some(number);
        self.updated_at = now;
        self.written_at = Some(now);
        self.current_deadline = record.deadline();
        self.life = self.life.lifted(now);
        if let Some(rotation) = &mut self.life.rotation {
            rotation.anchor = now;
        }
        if next - self.oldest >= keeps {
            self.oldest = next - keeps + 1;
        }
        Ok(Added { number, record, pruned })
    }

    /// The versions that would fall off the end, if there were another version and so many were kept.
    #[must_use]
    pub fn prunes(&self, keeps: u32) -> Option<RangeInclusive<u32>> {
        let oldest = (self.current_number() + 2).saturating_sub(keeps);
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

    /// Of secrets from before it was kept when a version was written, the time moved with each change.
    #[test]
    fn when_a_version_was_written_stays_where_it_was_not_kept() {
        let (domain, later) = (Settings::default(), NOW.plus_seconds(60));
        let mut header = Header::new(NOW);
        let added = header.add_version(&domain, NOW).unwrap();
        header.written_at = None;
        let about = AboutPatch { owner: Some(Some("o".into())), ..AboutPatch::default() };
        let patch = MetadataPatch { about, ..MetadataPatch::default() };
        let mut acted = header.clone();
        acted.act((added.number, &added.record), VersionAct::Delete, &domain, later);
        for changed in [
            header.with_patch(&patch, later).unwrap(),
            header.clone().with_metadata_write(later),
            header.clone().removed(later, 60),
            header.removed(NOW, 60).restored(later),
            acted,
        ] {
            assert_eq!((changed.changed_at(), changed.updated_at), (NOW, later));
        }
        // Where there is no version, nothing was written.
        assert_eq!(Header::new(NOW).with_patch(&patch, later).unwrap().written_at, None);
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

    /// What was ended on its own while the secret had ended, too, was forgotten with the secret's end.
    #[test]
    fn what_is_ended_by_itself_stays_so_when_the_secret_is_revived() {
        let (domain, after) = (Settings::default(), NOW.plus_seconds(60));
        let removal = Removal { at: NOW, until: NOW.plus_seconds(1_000) };
        for life in [
            Life { expires_at: Some(NOW), ..Life::default() },
            Life { removed: Some(removal), ..Life::default() },
        ] {
            let mut header = Header::new(NOW);
            let added = header.add_version(&domain, NOW).unwrap();
            let version = (added.number, &added.record);
            header.life = life;
            let (mut by_act, mut by_state) = (header.clone(), header);
            let acted = by_act.act(version, VersionAct::Delete, &domain, after);
            let to = VersionState::Deactivated;
            assert_eq!(acted, by_state.transition(version, to, &domain, after));
            let Transition::Changed(record) = acted else { panic!("{acted:?}") };
            assert_eq!(by_act, by_state);
            assert!(by_act.life.has_ended(after), "nobody has revived it");
            assert_eq!(by_act.seen(&record).deactivate_at, Some(NOW));
            by_act.life = by_act.life.lifted(after);
            assert_eq!(by_act.seen(&record).state(after), VersionState::Deactivated);
            // Once is enough.
            let version = (added.number, &record);
            assert_eq!(by_act.transition(version, to, &domain, after), Transition::None);
            assert_eq!(by_act.act(version, VersionAct::Delete, &domain, after), Transition::None);
        }
    }

    /// Cases 101 to 105 of the path secrets, as far as records have them.
    #[test]
    fn what_is_rotated_has_a_grace_that_is_no_longer_than_its_life() {
        let later = |seconds| NOW.plus_seconds(seconds);
        let domain = Settings::default();
        let live = || {
            let mut header = Header::new(NOW);
            let added = header.add_version(&domain, NOW).unwrap();
            (header, added.record)
        };
        let (mut header, record) = live();
        let (added, retired) = header.rotate(Some(&record), 60, &domain, later(5)).unwrap();
        let retired = retired.unwrap();
        assert_eq!((added.number.get(), retired.deactivate_at), (2, Some(later(65))));
        assert!(!retired.is_deactivated && retired.state(later(64)) == VersionState::Active);
        assert_eq!(header.seen(&retired).state(later(65)), VersionState::Deactivated);

        // At once, and by a clock that was set back since, too.
        let (mut header, record) = live();
        let (_, retired) = header.rotate(Some(&record), 0, &domain, later(5)).unwrap();
        assert_eq!(retired.unwrap().state(NOW), VersionState::Deactivated);

        // Its own end, or its secret's, may come earlier; the secret's is lifted, and its own not.
        for expires_at in [later(30), later(2)] {
            let (mut header, record) = live();
            header.life.expires_at = Some(expires_at);
            header.life.span_seconds = Some(1_000);
            let (_, retired) = header.rotate(Some(&record), 3_600, &domain, later(5)).unwrap();
            assert_eq!(retired.unwrap().deactivate_at, Some(expires_at));
            assert_eq!(header.life.expires_at, Some(later(1_005)));
        }
        let (mut header, record) = live();
        let own = VersionRecord { deactivate_at: Some(later(7)), ..record.clone() };
        assert_eq!(header.rotate(Some(&own), 60, &domain, later(5)).unwrap().1, None);

        // What an act has ended stays as it is.
        for ended in [
            VersionRecord { is_deactivated: true, deactivate_at: Some(NOW), ..record.clone() },
            VersionRecord { deleted_at: Some(NOW), ..record },
        ] {
            let (mut header, _) = live();
            assert_eq!(header.rotate(Some(&ended), 60, &domain, later(5)).unwrap().1, None);
        }
        assert_eq!(Header::new(NOW).rotate(None, 60, &domain, NOW).unwrap().1, None);
    }

    #[test]
    fn what_is_in_its_grace_is_kept_until_the_next_write() {
        let (one, mut header) = (keeping(1), Header::new(NOW));
        let record = header.add_version(&one, NOW).unwrap().record;
        let (added, _) = header.rotate(Some(&record), 60, &one, NOW).unwrap();
        assert_eq!((added.pruned, header.oldest), (None, 1));
        let added = header.add_version(&one, NOW).unwrap();
        assert_eq!((added.pruned, header.oldest), (Some(1..=2), 3));
        let (added, _) = header.rotate(Some(&record), 0, &one, NOW).unwrap();
        assert_eq!((added.pruned, header.oldest), (Some(3..=3), 4));
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
