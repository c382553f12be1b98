//! The life of a whole secret: when it ends, whether it was removed, and what gives it new values.
//!
//! A secret ends for all its versions at once, and nothing of them is rewritten for that: whoever
//! reads one sees it as [`Header::seen`](super::Header::seen) says. What ends a secret is lifted by a
//! new version and by a version that is activated, so that whoever writes or revives finds what he
//! has done.

use super::Timestamp;

/// What is known of a secret's life apart from that of its versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Life {
    /// How many seconds the secret lives from each new version on.
    pub span_seconds: Option<u64>,
    /// When it ends.
    pub expires_at: Option<Timestamp>,
    /// Its removal, where it was removed.
    pub removed: Option<Removal>,
    /// What says when it is to get a new value.
    pub rotation: Option<Rotation>,
    /// The secret policy that its values are made by: its id.
    pub secret_policy: Option<Box<str>>,
}

/// A removal that can be undone for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removal {
    /// When it was removed.
    pub at: Timestamp,
    /// From when on there is no such secret.
    pub until: Timestamp,
}

/// A rotation policy, and since when it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The policy's id.
    pub policy: Box<str>,
    /// When it was attached, or the newest version was written, whichever was later.
    pub anchor: Timestamp,
}

/// A change to when a secret ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndPatch {
    /// So many seconds from now, and from each new version on.
    After(u64),
    /// At a moment.
    At(Timestamp),
    /// Never.
    Never,
}

/// Changes to a secret's life; what is `None` stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LifePatch {
    /// When it ends.
    pub end: Option<EndPatch>,
    /// Its rotation policy, or none.
    pub rotation: Option<Option<Box<str>>>,
    /// Its secret policy, or none.
    pub secret_policy: Option<Option<Box<str>>>,
}

impl LifePatch {
    /// Whether nothing would change.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.end.is_none() && self.rotation.is_none() && self.secret_policy.is_none()
    }

    /// Whether a policy is named that has a say in the secret's values to come.
    #[must_use]
    pub const fn attaches(&self) -> bool {
        matches!(self.rotation, Some(Some(_))) || matches!(self.secret_policy, Some(Some(_)))
    }

    /// The life after these changes. A policy that is attached anew counts from now.
    #[must_use]
    pub fn apply(&self, before: &Life, now: Timestamp) -> Life {
        let mut life = before.clone();
        if let Some(end) = self.end {
            (life.span_seconds, life.expires_at) = match end {
                EndPatch::After(seconds) => (Some(seconds), Some(now.plus_seconds(seconds))),
                EndPatch::At(moment) => (None, Some(moment)),
                EndPatch::Never => (None, None),
            };
        }
        match &self.rotation {
            None => {}
            Some(None) => life.rotation = None,
            Some(Some(policy)) => {
                let same = life.rotation.take().filter(|rotation| rotation.policy == *policy);
                life.rotation =
                    same.or_else(|| Some(Rotation { policy: policy.clone(), anchor: now }));
            }
        }
        if let Some(policy) = &self.secret_policy {
            life.secret_policy.clone_from(policy);
        }
        life
    }
}

impl Life {
    /// Whether there is no such secret any more.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.removed.is_some_and(|removal| removal.until <= now)
    }

    /// Whether the secret's own end has come.
    #[must_use]
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether the secret was removed, or has ended: none of its versions can be read.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.removed.is_some() || self.is_expired(now)
    }

    /// The life with all that would end it by now lifted.
    #[must_use]
    pub fn lifted(&self, now: Timestamp) -> Self {
        let expires_at = match self.span_seconds {
            Some(seconds) => Some(now.plus_seconds(seconds)),
            None => self.expires_at.filter(|at| *at > now),
        };
        Self { expires_at, removed: None, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_000);

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(seconds)
    }

    #[test]
    fn what_lifts_an_end_begins_a_life_anew() {
        let of = |span_seconds, expires_at| Life { span_seconds, expires_at, ..Life::default() };
        for (before, after) in [
            (of(None, None), None),
            (of(None, Some(at(999))), None),
            (of(None, Some(at(1_000))), None),
            (of(None, Some(at(1_001))), Some(at(1_001))),
            (of(Some(60), Some(at(1_001))), Some(at(1_060))),
            (of(Some(60), Some(at(5))), Some(at(1_060))),
        ] {
            let removed = Some(Removal { at: at(900), until: at(2_000) });
            let lifted = Life { removed, ..before }.lifted(NOW);
            assert_eq!((lifted.expires_at, lifted.removed), (after, None));
            assert!(!lifted.has_ended(NOW));
        }
    }

    #[test]
    fn ends_are_to_the_nanosecond() {
        let before = Timestamp::from_unix_nanos(NOW.unix_nanos() - 1);
        let expires = Life { expires_at: Some(NOW), ..Life::default() };
        assert!(expires.is_expired(NOW) && !expires.is_expired(before));
        let removed = Removal { at: at(5), until: NOW };
        let removed = Life { removed: Some(removed), ..Life::default() };
        assert!(removed.is_over(NOW) && !removed.is_over(before));
        assert!(removed.has_ended(at(1)), "an act counts whatever the clock says");
    }

    #[test]
    fn patches() {
        let patch = LifePatch { rotation: Some(Some("rot_a".into())), ..LifePatch::default() };
        let attached = patch.apply(&Life::default(), NOW);
        let rotation = |anchor| Some(Rotation { policy: "rot_a".into(), anchor });
        assert_eq!(attached.rotation, rotation(NOW));
        // What is attached already goes on counting.
        assert_eq!(patch.apply(&attached, at(5_000)).rotation, rotation(NOW));
        let other = LifePatch { rotation: Some(Some("rot_b".into())), ..LifePatch::default() };
        assert_eq!(
            patch.apply(&other.apply(&attached, NOW), at(5_000)).rotation,
            rotation(at(5_000))
        );
        let none = LifePatch { rotation: Some(None), ..LifePatch::default() };
        assert_eq!(none.apply(&attached, NOW).rotation, None);
        for (end, span, expires) in [
            (EndPatch::After(60), Some(60), Some(at(1_060))),
            (EndPatch::At(at(7_000)), None, Some(at(7_000))),
            (EndPatch::Never, None, None),
        ] {
            let before = Life { span_seconds: Some(1), expires_at: Some(NOW), ..Life::default() };
            let life = LifePatch { end: Some(end), ..LifePatch::default() }.apply(&before, NOW);
            assert_eq!((life.span_seconds, life.expires_at), (span, expires), "{end:?}");
        }
    }
}
