//! Rotation policies of a domain: how long its secrets have one value.
//!
//! Always holds: the parts of a policy are within their bounds and fit together; four are there from
//! the start. Never does: say which secrets have one.

use super::{
    Faults, RotationPolicyId, RotationStatus, Schedule, SecretPolicyId, Span, Spans, Timestamp,
    policy_id,
};

const HOUR: u64 = 3_600;
const DAY: u64 = 24 * HOUR;
const INTERVAL_MAX: u64 = 3_650 * DAY;

/// How many policies of its own a domain may have, of each kind.
pub const POLICIES_MAX: usize = 100;

/// The grace of whoever says nothing else.
#[must_use]
pub fn default_grace() -> Span {
    Span::known("48h", 48 * HOUR)
}

/// The parts of a rotation policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationFields {
    /// Its name.
    pub name: String,
    /// What people say of it.
    pub description: String,
    /// How long a secret has one value.
    pub interval: Span,
    /// How long the value before it can still be read.
    pub grace_period: Span,
    /// How long before its time it is warned.
    pub warn_before: Spans,
    /// Whether the server makes new values by itself.
    pub auto_generate: bool,
    /// How it makes them, where the secret does not say.
    pub secret_policy: Option<SecretPolicyId>,
    /// Whether it counts.
    pub is_active: bool,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// A rotation policy whose parts fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationPolicy(RotationFields);

impl RotationPolicy {
    /// A policy of these parts.
    ///
    /// # Errors
    /// `Faults` names each that is out of its bounds.
    pub fn new(fields: RotationFields) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        policy_id::check(&fields.name, &fields.description, &mut faults);
        let interval = fields.interval.seconds();
        if !(HOUR..=INTERVAL_MAX).contains(&interval) {
            faults.add("interval", "a duration from 1h to 3650d");
        } else if fields.grace_period.seconds() > interval {
            faults.add("grace_period", "a duration of at most the interval");
        }
        if !fields.warn_before.seconds().all(|span| 0 < span && span < interval) {
            faults.add("warn_before", "durations such as 7d,1d, each shorter than the interval");
        }
        faults.check(Self(fields))
    }

    /// Its parts.
    #[must_use]
    pub const fn fields(&self) -> &RotationFields {
        &self.0
    }

    /// Whether the server makes new values by it, by itself.
    #[must_use]
    pub const fn is_automatic(&self) -> bool {
        self.0.is_active && self.0.auto_generate
    }

    /// Whether it has a say in values: that the server makes new ones, or how they are made.
    #[must_use]
    pub const fn makes_values(&self) -> bool {
        self.is_automatic() || self.0.secret_policy.is_some()
    }

    /// When a secret is due that has its value since `anchor`.
    #[must_use]
    pub const fn schedule(&self, anchor: Timestamp) -> Schedule {
        Schedule { anchor, interval: self.0.interval.seconds() }
    }

    /// How a secret stands at `now` that has its value since `anchor`.
    #[must_use]
    pub fn status(&self, anchor: Timestamp, now: Timestamp) -> RotationStatus {
        let next = self.schedule(anchor).next();
        let warned = self.0.warn_before.seconds().max().unwrap_or_default();
        if !self.0.is_active {
            RotationStatus::Paused
        } else if next.plus_seconds(self.0.grace_period.seconds()) <= now {
            RotationStatus::Overdue
        } else if next <= now {
            RotationStatus::Due
        } else if warned > 0 && next <= now.plus_seconds(warned) {
            RotationStatus::Warning
        } else {
            RotationStatus::Scheduled
        }
    }

    /// The four that every domain has until it changes them, made at `since`.
    #[must_use]
    pub fn built_ins(since: Timestamp) -> [(RotationPolicyId, Self); 4] {
        [
            ("weekly", "Rotate every week", "7d", 7, "1d"),
            ("monthly", "Rotate every month", "30d", 30, "7d,1d"),
            ("quarterly", "Rotate every quarter", "90d", 90, "7d,1d"),
            ("yearly", "Rotate every year", "365d", 365, "7d,1d"),
        ]
        .map(|(name, description, interval, days, warned)| {
            let fields = RotationFields {
                name: name.to_owned(),
                description: description.to_owned(),
                interval: Span::known(interval, days * DAY),
                grace_period: default_grace(),
                warn_before: warned.parse().unwrap_or_default(),
                auto_generate: false,
                secret_policy: None,
                is_active: true,
                created_at: since,
                updated_at: since,
            };
            (RotationPolicyId::of_name(name), Self(fields))
        })
    }

    /// Whether this is the id of one of them.
    #[must_use]
    pub fn is_built_in(id: &RotationPolicyId) -> bool {
        Self::built_in(id, Timestamp::from_unix_seconds(0)).is_some()
    }

    /// The one of them that has this id.
    #[must_use]
    pub fn built_in(id: &RotationPolicyId, since: Timestamp) -> Option<Self> {
        let found = Self::built_ins(since).into_iter().find(|(known, _)| known == id);
        found.map(|(_, policy)| policy)
    }
}

/// What of a rotation policy is said, of one that is made or changed; what is `None` is left as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RotationPatch {
    /// Its name. The id stays.
    pub name: Option<String>,
    /// What people say of it.
    pub description: Option<String>,
    /// How long a secret has one value.
    pub interval: Option<Span>,
    /// How long the value before it can still be read.
    pub grace_period: Option<Span>,
    /// How long before its time it is warned.
    pub warn_before: Option<Spans>,
    /// Whether the server makes new values by itself.
    pub auto_generate: Option<bool>,
    /// How it makes them; or that nothing is said of that.
    pub secret_policy: Option<Option<SecretPolicyId>>,
    /// Whether it counts.
    pub is_active: Option<bool>,
}

impl RotationPatch {
    /// The policy that is so, and its id. Where nothing is said of the grace, it is two days, and
    /// the warnings are a week and a day before: as far as the interval allows that.
    ///
    /// # Errors
    /// `Faults` names what is missing, or out of its bounds.
    pub fn create(self, now: Timestamp) -> Result<(RotationPolicyId, RotationPolicy), Faults> {
        let Some(interval) = self.interval.clone() else {
            let mut faults = Faults::one("interval", "a duration from 1h to 3650d; it is missing");
            policy_id::check(
                self.name.as_deref().unwrap_or_default(),
                self.description.as_deref().unwrap_or_default(),
                &mut faults,
            );
            return Err(faults);
        };
        let grace = default_grace();
        let start = RotationFields {
            name: String::new(),
            description: String::new(),
            grace_period: if grace.seconds() > interval.seconds() {
                interval.clone()
            } else {
                grace
            },
            warn_before: "7d,1d".parse::<Spans>().unwrap_or_default().below(interval.seconds()),
            interval,
            auto_generate: false,
            secret_policy: None,
            is_active: true,
            created_at: now,
            updated_at: now,
        };
        let policy = RotationPolicy::new(self.over(start))?;
        Ok((RotationPolicyId::of_name(&policy.0.name), policy))
    }

    /// What it makes of a policy.
    ///
    /// # Errors
    /// `Faults` names what would be out of its bounds.
    pub fn apply(self, before: &RotationPolicy, now: Timestamp) -> Result<RotationPolicy, Faults> {
        let fields = self.over(before.0.clone());
        let updated_at = if fields == before.0 { before.0.updated_at } else { now };
        RotationPolicy::new(RotationFields { updated_at, ..fields })
    }

    fn over(self, before: RotationFields) -> RotationFields {
        RotationFields {
            name: self.name.unwrap_or(before.name),
            description: self.description.unwrap_or(before.description),
            interval: self.interval.unwrap_or(before.interval),
            grace_period: self.grace_period.unwrap_or(before.grace_period),
            warn_before: self.warn_before.unwrap_or(before.warn_before),
            auto_generate: self.auto_generate.unwrap_or(before.auto_generate),
            secret_policy: self.secret_policy.unwrap_or(before.secret_policy),
            is_active: self.is_active.unwrap_or(before.is_active),
            created_at: before.created_at,
            updated_at: before.updated_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

    fn patch(name: &str, interval: &str) -> RotationPatch {
        RotationPatch {
            name: Some(name.to_owned()),
            interval: Some(interval.parse().unwrap()),
            ..RotationPatch::default()
        }
    }

    fn faults(patch: RotationPatch) -> Vec<String> {
        let faults = patch.create(NOW).unwrap_err();
        faults.iter().map(|(field, _)| field.to_owned()).collect()
    }

    #[test]
    fn those_from_the_start_are_sound() {
        let all = RotationPolicy::built_ins(NOW);
        let ids = all.each_ref().map(|(id, _)| id.as_str());
        assert_eq!(ids, ["rot_weekly", "rot_monthly", "rot_quarterly", "rot_yearly"]);
        for (id, policy) in all {
            assert_eq!(RotationPolicy::new(policy.0.clone()), Ok(policy.clone()));
            assert_eq!(RotationPolicy::built_in(&id, NOW), Some(policy.clone()));
            for span in [&policy.0.interval, &policy.0.grace_period] {
                assert_eq!(span.as_typed().parse(), Ok(span.clone()));
            }
            assert!(policy.0.warn_before.seconds().count() > 0);
        }
        assert_eq!(RotationPolicy::built_in(&RotationPolicyId::of_name("x"), NOW), None);
    }

    #[test]
    fn what_is_not_said() {
        let (id, policy) = patch("Quarterly", "90d").create(NOW).unwrap();
        let fields = policy.fields();
        assert_eq!((id.as_str(), fields.grace_period.as_typed()), ("rot_quarterly", "48h"));
        assert_eq!((fields.warn_before.as_typed(), fields.is_active), ("7d,1d", true));
        assert!(!fields.auto_generate && fields.created_at == NOW);
        let (_, short) = patch("short", "6h").create(NOW).unwrap();
        let (grace, warned) = (&short.fields().grace_period, &short.fields().warn_before);
        assert_eq!((grace.as_typed(), warned.as_typed()), ("6h", ""));
    }

    #[test]
    fn bounds() {
        assert_eq!(faults(patch("a", "10m")), ["interval"]);
        assert_eq!(faults(patch("a", "3651d")), ["interval"]);
        assert_eq!(faults(patch("", "90d")), ["name"]);
        assert_eq!(faults(patch("a\n", "90d")), ["name"]);
        assert!(patch(&"é".repeat(64), "90d").create(NOW).is_ok());
        assert_eq!(faults(patch(&"é".repeat(65), "90d")), ["name"]);
        assert_eq!(faults(RotationPatch::default()), ["interval", "name"]);
        let with = |grace: &str, warned: &str| RotationPatch {
            grace_period: Some(grace.parse().unwrap()),
            warn_before: Some(warned.parse().unwrap()),
            ..patch("a", "7d")
        };
        assert!(with("7d", "6d").create(NOW).is_ok() && with("0s", "").create(NOW).is_ok());
        assert_eq!(faults(with("169h", "7d")), ["grace_period", "warn_before"]);
        assert_eq!(faults(with("1h", "1d,0s")), ["warn_before"]);
    }

    #[test]
    fn a_change_leaves_the_rest_and_is_judged_with_it() {
        let (_, before) = patch("a", "90d").create(NOW).unwrap();
        let later = NOW.plus_seconds(5);
        let same = RotationPatch::default().apply(&before, later);
        assert_eq!(same, Ok(before.clone()));
        let named = RotationPatch { name: Some("b".to_owned()), ..RotationPatch::default() };
        let after = named.apply(&before, later).unwrap();
        assert_eq!((&*after.fields().name, after.fields().updated_at), ("b", later));
        assert_eq!(after.fields().created_at, NOW);
        let short = RotationPatch { name: None, ..patch("", "1h") }.apply(&before, later);
        let short = short.unwrap_err();
        let named: Vec<_> = short.iter().map(|(field, _)| field).collect();
        assert_eq!(named, ["grace_period", "warn_before"]);
    }

    #[test]
    fn how_a_secret_stands() {
        let (_, policy) = patch("a", "7d").create(NOW).unwrap();
        let next = policy.schedule(NOW).next();
        let at = |seconds: i64| {
            let now = Timestamp::from_unix_seconds(next.unix_seconds() + seconds);
            policy.status(NOW, now).name()
        };
        assert_eq!(at(-86_401), "scheduled");
        assert_eq!((at(-86_400), at(-1)), ("warning", "warning"));
        assert_eq!((at(0), at(48 * 3_600 - 1)), ("due", "due"));
        assert_eq!(at(48 * 3_600), "overdue");
        let off = RotationPatch { is_active: Some(false), ..RotationPatch::default() };
        let off = off.apply(&policy, NOW).unwrap();
        assert_eq!(off.status(NOW, next.plus_seconds(1 << 30)), RotationStatus::Paused);
        // Without warnings there is none.
        let quiet =
            RotationPatch { warn_before: Some(Spans::default()), ..RotationPatch::default() };
        let quiet = quiet.apply(&policy, NOW).unwrap();
        let just_before = Timestamp::from_unix_nanos(next.unix_nanos() - 1);
        assert_eq!(quiet.status(NOW, just_before), RotationStatus::Scheduled);
    }
}
