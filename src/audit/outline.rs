//! What a record says of itself, for those who sort records.

use serde::{Deserialize, de::IgnoredAny};

use super::chain::ChainId;
use crate::model::Timestamp;

/// Some members of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "docs/AUDIT.md says what each is")]
pub struct Outline<'a> {
    pub chain: ChainId,
    pub seq: u64,
    pub time: Timestamp,
    pub kind: &'a str,
    pub tenant: Option<&'a str>,
    pub acting_tenant: Option<&'a str>,
    pub effect: Option<&'a str>,
    pub problem: Option<&'a str>,
    pub has_changes: bool,
    /// Whether something was refused or has failed, be it one of many things.
    pub has_refusals: bool,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    chain: &'a str,
    seq: u64,
    time: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(default)]
    tenant: Option<&'a str>,
    #[serde(default)]
    acting_tenant: Option<&'a str>,
    #[serde(default)]
    effect: Option<&'a str>,
    #[serde(default)]
    problem: Option<&'a str>,
    #[serde(default)]
    changes: Option<IgnoredAny>,
    #[serde(default)]
    also: Vec<Also<'a>>,
}

#[derive(Deserialize)]
struct Also<'a> {
    #[serde(borrow, default)]
    effect: Option<&'a str>,
}

impl<'a> Outline<'a> {
    /// That of the record in this line; `None` where it is none.
    #[must_use]
    pub fn of(line: &'a [u8]) -> Option<Self> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let Line { chain, seq, time, kind, tenant, acting_tenant, effect, problem, .. } = line;
        let is_refused = |effect: Option<&str>| effect.is_some_and(|effect| effect != "permit");
        Some(Self {
            chain: ChainId::parse(chain)?,
            seq,
            time: Timestamp::from_rfc3339(time)?,
            kind,
            tenant,
            acting_tenant,
            effect,
            problem,
            has_changes: line.changes.is_some(),
            has_refusals: is_refused(effect) || line.also.iter().any(|one| is_refused(one.effect)),
        })
    }
}
