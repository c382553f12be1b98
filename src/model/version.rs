//! One version of a secret: its number, its state, and the transitions between states.
//!
//! | from \ to | active | deactivated | deleted |
//! | --- | --- | --- | --- |
//! | active | nothing changes | deactivated now | deleted now, value erased |
//! | deactivated | active, life span counted anew | nothing changes | deleted now, value erased |
//! | deleted | refused | refused | nothing changes |
//!
//! What an act has done is in force whatever the clock says later; a deadline is in force from its
//! moment on.
//!
//! Acts have names of their own: delete = to deactivated, undelete = to active, destroy = to
//! deleted.

use std::{num::NonZeroU32, str::FromStr};

use super::{Invalid, Timestamp};

/// The highest version number, as published.
pub const VERSION_MAX: u32 = 24_000;

/// A version's number, 1 to [`VERSION_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VersionNumber(NonZeroU32);

impl VersionNumber {
    const WRONG: Invalid = Invalid("a version is a whole number from 1 to 24000");

    /// The version with this number.
    ///
    /// # Errors
    /// `Invalid` outside 1 to 24000.
    pub fn new(number: u32) -> Result<Self, Invalid> {
        match NonZeroU32::new(number) {
            Some(number) if number.get() <= VERSION_MAX => Ok(Self(number)),
            _ => Err(Self::WRONG),
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

impl FromStr for VersionNumber {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        digits(text).map_or(Err(Self::WRONG), Self::new)
    }
}

/// The current version that a write expects; 0 where no version may be there yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cas(u32);

impl Cas {
    /// The expectation of this current version.
    ///
    /// # Errors
    /// `Invalid` above 24000.
    pub fn new(number: u32) -> Result<Self, Invalid> {
        if number > VERSION_MAX {
            return Err(Invalid(
                "cas is a whole number from 0 to 24000: the secret's current version",
            ));
        }
        Ok(Self(number))
    }

    /// Any number that somebody expects, of which those that no version has never match.
    #[must_use]
    pub fn any(number: i64) -> Self {
        Self(u32::try_from(number).unwrap_or(u32::MAX))
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Cas {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::new(digits(text).unwrap_or(u32::MAX))
    }
}

fn digits(text: &str) -> Option<u32> {
    // `u32::from_str` also takes a plus sign, which in a URL would be a blank.
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Whether a version's value can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// Readable.
    Active,
    /// Kept, unreadable until it is activated.
    Deactivated,
    /// The value is gone for good; the number stays.
    Deleted,
}

impl VersionState {
    /// The state's published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deactivated => "deactivated",
            Self::Deleted => "deleted",
        }
    }
}

impl FromStr for VersionState {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        match text {
            "active" => Ok(Self::Active),
            "deactivated" => Ok(Self::Deactivated),
            "deleted" => Ok(Self::Deleted),
            _ => Err(Invalid("state must be active, deactivated or deleted")),
        }
    }
}

/// Acts on versions: the same transitions, but none is refused, and undelete counts the
/// life span anew also for a version that is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionAct {
    /// Deactivates.
    Delete,
    /// Activates.
    Undelete,
    /// Deletes.
    Destroy,
}

/// What is stored of a version beside its value. The state follows from these times, from those of
/// its secret ([`Header::seen`](super::Header::seen)) and from now, so that a deadline takes effect by
/// itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRecord {
    /// When the version was written.
    pub created_at: Timestamp,
    /// From when on it is deactivated: when an act did so, or a deadline.
    pub deactivate_at: Option<Timestamp>,
    /// Whether an act has deactivated it, so that it is so also by a clock that was set back since.
    pub is_deactivated: bool,
    /// When its value was erased.
    pub deleted_at: Option<Timestamp>,
}

/// What a transition asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Transition {
    /// The version is in that state already.
    None,
    /// Store this record.
    Changed(VersionRecord),
    /// Store this record and erase the value.
    Erased(VersionRecord),
    /// Deleted is final.
    Refused,
}

impl VersionRecord {
    /// The state at `now`.
    #[must_use]
    pub fn state(&self, now: Timestamp) -> VersionState {
        if self.deleted_at.is_some() {
            VersionState::Deleted
        } else if self.is_deactivated || self.deactivate_at.is_some_and(|at| at <= now) {
            VersionState::Deactivated
        } else {
            VersionState::Active
        }
    }

    /// When the version was deactivated, if it was so by `now` (and before it was deleted).
    #[must_use]
    pub fn deactivated_at(&self, now: Timestamp) -> Option<Timestamp> {
        let end = self.deleted_at.unwrap_or(now);
        self.deactivate_at.filter(|at| self.is_deactivated || *at <= end)
    }

    /// When the version ends by itself, now or later; `None` where it does not, or something else has
    /// ended it.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.deactivate_at.filter(|_| !self.is_deactivated && self.deleted_at.is_none())
    }

    /// What leads from the state at `now` to the state `to`. A version that is activated lives for
    /// `life_seconds` from now on.
    #[must_use]
    pub(super) fn transition(
        &self,
        to: VersionState,
        now: Timestamp,
        life_seconds: Option<u64>,
    ) -> Transition {
        use VersionState::{Active, Deactivated, Deleted};
        match (self.state(now), to) {
            (Active, Active) | (Deactivated, Deactivated) | (Deleted, Deleted) => Transition::None,
            (Deactivated, Active) => Transition::Changed(Self {
                deactivate_at: life_seconds.map(|seconds| now.plus_seconds(seconds)),
                is_deactivated: false,
                ..self.clone()
            }),
            (Active, Deactivated) => Transition::Changed(Self {
                deactivate_at: Some(now),
                is_deactivated: true,
                ..self.clone()
            }),
            (Active | Deactivated, Deleted) => {
                Transition::Erased(Self { deleted_at: Some(now), ..self.clone() })
            }
            (Deleted, Active | Deactivated) => Transition::Refused,
        }
    }

    /// What `act` leads to at `now`: never to [`Transition::Refused`].
    #[must_use]
    pub(super) fn act(
        &self,
        act: VersionAct,
        now: Timestamp,
        life_seconds: Option<u64>,
    ) -> Transition {
        let to = match act {
            _ if self.deleted_at.is_some() => return Transition::None,
            VersionAct::Delete => VersionState::Deactivated,
            VersionAct::Destroy => VersionState::Deleted,
            VersionAct::Undelete => {
                let deactivate_at = life_seconds.map(|seconds| now.plus_seconds(seconds));
                if deactivate_at == self.deactivate_at && !self.is_deactivated {
                    return Transition::None;
                }
                return Transition::Changed(Self {
                    deactivate_at,
                    is_deactivated: false,
                    ..self.clone()
                });
            }
        };
        self.transition(to, now, life_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);

    fn record(deactivate: Option<i64>, deleted: Option<i64>) -> VersionRecord {
        VersionRecord {
            created_at: Timestamp::from_unix_seconds(1),
            deactivate_at: deactivate.map(Timestamp::from_unix_seconds),
            is_deactivated: false,
            deleted_at: deleted.map(Timestamp::from_unix_seconds),
        }
    }

    /// Deactivated by an act.
    fn done() -> VersionRecord {
        VersionRecord { is_deactivated: true, ..record(Some(1_000), None) }
    }

    #[test]
    fn numbers() {
        assert_eq!("24000".parse::<VersionNumber>().unwrap().get(), 24_000);
        assert_eq!("0".parse::<Cas>().unwrap().get(), 0);
        for wrong in ["", "0", "-1", "+1", "24001", "1.0", "0x1", " 1", "99999999999"] {
            assert!(wrong.parse::<VersionNumber>().is_err(), "{wrong}");
        }
        for wrong in ["", "-1", "+1", "24001", "a"] {
            assert!(wrong.parse::<Cas>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_deadline_takes_effect_to_the_nanosecond() {
        let version = record(Some(1_000), None);
        assert_eq!(
            version.state(Timestamp::from_unix_nanos(NOW.unix_nanos() - 1)),
            VersionState::Active
        );
        assert_eq!(version.state(NOW), VersionState::Deactivated);
        assert_eq!(version.deactivated_at(NOW), Some(NOW));
    }

    /// A clock that stepped back ten seconds made what was deleted a moment before readable again.
    #[test]
    fn an_act_is_in_force_whatever_the_clock_says() {
        let earlier = Timestamp::from_unix_seconds(10);
        for life in [None, Some(60)] {
            for from in [record(None, None), record(Some(2_000), None)] {
                for by_kv in [false, true] {
                    let act = |record: &VersionRecord, to, kv| {
                        let done = if by_kv {
                            record.act(kv, NOW, life)
                        } else {
                            record.transition(to, NOW, life)
                        };
                        match done {
                            Transition::Changed(after) | Transition::Erased(after) => after,
                            other => panic!("{other:?}"),
                        }
                    };
                    let deactivated = act(&from, VersionState::Deactivated, VersionAct::Delete);
                    assert_eq!(deactivated.state(earlier), VersionState::Deactivated);
                    assert_eq!(deactivated.deactivated_at(earlier), Some(NOW));
                    let active = act(&deactivated, VersionState::Active, VersionAct::Undelete);
                    assert_eq!(active.state(earlier), VersionState::Active);
                    assert_eq!(
                        act(&from, VersionState::Deleted, VersionAct::Destroy).state(earlier),
                        VersionState::Deleted
                    );
                }
            }
        }
    }

    #[test]
    fn transition_table() {
        use VersionState::{Active, Deactivated, Deleted};
        let (active, deactivated, deleted) =
            (record(Some(2_000), None), record(Some(500), None), record(None, Some(9)));
        for (from, to, expected) in [
            (&active, Active, Transition::None),
            (&active, Deactivated, Transition::Changed(done())),
            (&active, Deleted, Transition::Erased(record(Some(2_000), Some(1_000)))),
            (&deactivated, Active, Transition::Changed(record(Some(1_060), None))),
            (&deactivated, Deactivated, Transition::None),
            (&deactivated, Deleted, Transition::Erased(record(Some(500), Some(1_000)))),
            (&deleted, Active, Transition::Refused),
            (&deleted, Deactivated, Transition::Refused),
            (&deleted, Deleted, Transition::None),
        ] {
            assert_eq!(from.transition(to, NOW, Some(60)), expected, "{from:?} to {to:?}");
        }
        assert_eq!(
            deactivated.transition(Active, NOW, None),
            Transition::Changed(record(None, None))
        );
    }

    #[test]
    fn acts_of_kv2() {
        let (live, timed, gone, erased) = (
            record(None, None),
            record(Some(2_000), None),
            record(Some(500), None),
            record(Some(500), Some(900)),
        );
        for (from, act, expected) in [
            (&live, VersionAct::Delete, Transition::Changed(done())),
            (&timed, VersionAct::Delete, Transition::Changed(done())),
            (&gone, VersionAct::Delete, Transition::None),
            (&live, VersionAct::Undelete, Transition::Changed(record(Some(1_060), None))),
            (&timed, VersionAct::Undelete, Transition::Changed(record(Some(1_060), None))),
            (&gone, VersionAct::Undelete, Transition::Changed(record(Some(1_060), None))),
            (&live, VersionAct::Destroy, Transition::Erased(record(None, Some(1_000)))),
            (&gone, VersionAct::Destroy, Transition::Erased(record(Some(500), Some(1_000)))),
            (&erased, VersionAct::Delete, Transition::None),
            (&erased, VersionAct::Undelete, Transition::None),
            (&erased, VersionAct::Destroy, Transition::None),
        ] {
            assert_eq!(from.act(act, NOW, Some(60)), expected, "{from:?} {act:?}");
        }
        assert_eq!(live.act(VersionAct::Undelete, NOW, None), Transition::None);
    }

    #[test]
    fn deleted_before_its_deadline_was_never_deactivated() {
        let version = record(Some(2_000), Some(1_500));
        assert_eq!(version.deactivated_at(Timestamp::from_unix_seconds(9_000)), None);
    }
}
