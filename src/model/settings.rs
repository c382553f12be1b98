//! The three knobs of a secret, and a domain's defaults for them.

use super::{DeactivateAfter, Invalid, VERSION_MAX};

/// How many versions are kept where nobody says otherwise.
pub const DEFAULT_MAX_VERSIONS: u32 = 10;

/// How many versions to keep; 0 leaves it to the next level up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MaxVersions(u32);

impl MaxVersions {
    /// Keeps this many.
    ///
    /// # Errors
    /// `Invalid` above 24000.
    pub fn new(number: u32) -> Result<Self, Invalid> {
        if number > VERSION_MAX {
            return Err(Invalid("maxVersions is a whole number from 0 (the default) to 24000"));
        }
        Ok(Self(number))
    }

    /// The number; 0 where nothing was set.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// A secret's own settings, or a domain's defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Every write of a value must name the current version.
    pub cas_required: bool,
    /// How many versions are kept.
    pub max_versions: MaxVersions,
    /// How long a version stays active.
    pub deactivate_after: Option<DeactivateAfter>,
    /// Every write of metadata by itself must name the metadata's version.
    pub metadata_cas_required: bool,
}

impl Settings {
    /// These settings over wider ones, as a mount's over its domain's: what is set here counts, and
    /// a demand for CAS counts from either.
    #[must_use]
    pub fn over(&self, wider: &Self) -> Self {
        Self {
            cas_required: self.cas_required || wider.cas_required,
            max_versions: if self.max_versions.0 == 0 {
                wider.max_versions
            } else {
                self.max_versions
            },
            deactivate_after: self
                .deactivate_after
                .clone()
                .filter(|after| after.is_never() || after.limit_seconds().is_some())
                .or_else(|| wider.deactivate_after.clone()),
            metadata_cas_required: self.metadata_cas_required || wider.metadata_cas_required,
        }
    }

    /// Whether a write must bring a CAS: either level may demand it.
    #[must_use]
    pub const fn demands_cas(&self, domain: &Self) -> bool {
        self.cas_required || domain.cas_required
    }

    /// How many versions are kept: the secret's word, else the domain's, else
    /// [`DEFAULT_MAX_VERSIONS`].
    #[must_use]
    pub const fn keeps(&self, domain: &Self) -> u32 {
        match (self.max_versions.0, domain.max_versions.0) {
            (0, 0) => DEFAULT_MAX_VERSIONS,
            (0, number) | (number, _) => number,
        }
    }

    /// How many seconds a version stays active: the shorter of both levels, unless the domain rules
    /// out any end.
    #[must_use]
    pub fn life_seconds(&self, domain: &Self) -> Option<u64> {
        if domain.deactivate_after.as_ref().is_some_and(DeactivateAfter::is_never) {
            return None;
        }
        let limit = |settings: &Self| {
            settings.deactivate_after.as_ref().and_then(DeactivateAfter::limit_seconds)
        };
        match (limit(self), limit(domain)) {
            (Some(own), Some(default)) => Some(own.min(default)),
            (own, default) => own.or(default),
        }
    }
}

/// Changes to settings; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SettingsPatch {
    /// The new demand for CAS.
    pub cas_required: Option<bool>,
    /// The new number of versions.
    pub max_versions: Option<MaxVersions>,
    /// The new life span; one of zero is no limit.
    pub deactivate_after: Option<DeactivateAfter>,
    /// The new demand for metadata CAS.
    pub metadata_cas_required: Option<bool>,
}

impl SettingsPatch {
    /// Whether nothing would change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.cas_required.is_none()
            && self.max_versions.is_none()
            && self.deactivate_after.is_none()
            && self.metadata_cas_required.is_none()
    }

    /// `settings` with the changes made.
    #[must_use]
    pub fn apply(&self, settings: &Settings) -> Settings {
        Settings {
            cas_required: self.cas_required.unwrap_or(settings.cas_required),
            max_versions: self.max_versions.unwrap_or(settings.max_versions),
            deactivate_after: self
                .deactivate_after
                .clone()
                .or_else(|| settings.deactivate_after.clone()),
            metadata_cas_required: self
                .metadata_cas_required
                .unwrap_or(settings.metadata_cas_required),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(max: u32, after: Option<&str>) -> Settings {
        Settings {
            max_versions: MaxVersions::new(max).unwrap(),
            deactivate_after: after.map(|text| DeactivateAfter::from_stored(text).unwrap()),
            ..Settings::default()
        }
    }

    #[test]
    fn secret_over_domain_over_ten() {
        for (own, domain, keeps) in [(0, 0, 10), (0, 4, 4), (2, 4, 2), (7, 0, 7), (30, 4, 30)] {
            assert_eq!(settings(own, None).keeps(&settings(domain, None)), keeps);
        }
        assert!(MaxVersions::new(24_001).is_err());
    }

    #[test]
    fn the_shorter_life_wins_and_zero_is_none() {
        for (own, domain, life) in [
            (None, None, None),
            (Some("3h"), None, Some(10_800)),
            (None, Some("3h"), Some(10_800)),
            (Some("6h"), Some("3h"), Some(10_800)),
            (Some("3h"), Some("6h"), Some(10_800)),
            (Some("0s"), Some("6h"), Some(21_600)),
            (Some("0s"), Some("0"), None),
            (Some("3h"), Some("-1s"), None),
            (None, Some("-1s"), None),
        ] {
            assert_eq!(
                settings(0, own).life_seconds(&settings(0, domain)),
                life,
                "{own:?} {domain:?}"
            );
        }
    }

    #[test]
    fn a_mount_over_its_domain() {
        let domain = Settings { cas_required: true, ..settings(4, Some("3h")) };
        let over = |max, after| settings(max, after).over(&domain);
        assert_eq!(over(0, None), domain);
        assert_eq!(over(7, Some("6h")), Settings { cas_required: true, ..settings(7, Some("6h")) });
        assert_eq!(over(0, Some("0s")).deactivate_after, domain.deactivate_after);
        assert!(over(0, Some("-1s")).deactivate_after.unwrap().is_never());
    }
}
