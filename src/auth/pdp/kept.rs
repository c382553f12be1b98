//! Decisions that count again.
//!
//! Always holds: there are no more than [`KEPT_MAX`]; a permission counts for as long and as often as was said
//! with it, a denial for [`DENIED`]; each is for one subject as it was told, on one connection's certificate, in
//! one tenant, on one resource, for one purpose by one name of an action, as both were told. Never does: keep anything longer than somebody has said.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use aws_lc_rs::digest;
use quick_cache::sync::Cache;

use super::{Asker, Question, Reuse, Verdict};
use crate::model::OkmsId;

/// For so long a denial counts.
const DENIED: Duration = Duration::from_secs(5);
/// How many decisions are kept.
const KEPT_MAX: usize = 16_384;

/// Decisions that count again.
pub struct Kept(Cache<[u8; 32], Arc<Entry>>);

struct Entry {
    verdict: Verdict,
    until: Instant,
    /// How often it may still be used; as often as one likes where there is nothing.
    left: Option<Mutex<u32>>,
}

impl Entry {
    /// Uses it once, if that may be.
    fn take(&self) -> bool {
        let Some(left) = &self.left else { return true };
        let mut left = left.lock().unwrap_or_else(PoisonError::into_inner);
        let is_left = left.checked_sub(1);
        *left = is_left.unwrap_or(0);
        is_left.is_some()
    }
}

impl Default for Kept {
    fn default() -> Self {
        Self(Cache::new(KEPT_MAX))
    }
}

impl Kept {
    /// What was said to whoever asks, if that counts at `now`; and it is used once more.
    #[must_use]
    pub fn verdict(
        &self,
        asker: &Asker,
        tenant: OkmsId,
        question: &Question,
        now: Instant,
    ) -> Option<Verdict> {
        let key = key(asker, tenant, question);
        let entry = self.0.get(&key)?;
        if now < entry.until && entry.take() {
            return Some(entry.verdict.clone());
        }
        self.0.remove(&key);
        None
    }

    /// Keeps what was said at `now`, and used.
    pub fn keep(
        &self,
        (asker, tenant, question): (&Asker, OkmsId, &Question),
        verdict: &Verdict,
        reuse: Option<Reuse>,
        now: Instant,
    ) {
        let (time, uses) = match (verdict.is_permitted, reuse) {
            (false, _) => (DENIED, None),
            (true, Some(Reuse { time, uses })) => (time, uses),
            (true, None) => return,
        };
        let entry = Entry {
            verdict: verdict.clone(),
            until: now + time,
            left: uses.map(|uses| Mutex::new(uses.saturating_sub(1))),
        };
        self.0.insert(key(asker, tenant, question), Arc::new(entry));
    }
}

/// What a decision is found by.
fn key(asker: &Asker, tenant: OkmsId, question: &Question) -> [u8; 32] {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [
        asker.mark().as_bytes(),
        tenant.as_bytes(),
        question.purpose.name().as_bytes(),
        question.action.name().as_bytes(),
        question.kind().as_bytes(),
        question.resource.as_bytes(),
    ] {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut key = [0; 32];
    key.copy_from_slice(hash.finish().as_ref());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Action, pdp::Purpose};

    fn question(purpose: Purpose, resource: &str) -> Question {
        Question { purpose, action: Action::SecretGet, path: None, resource: resource.to_owned() }
    }

    #[test]
    fn a_decision_counts_for_as_long_and_as_often_as_was_said() {
        let (kept, begin) = (Kept::default(), Instant::now());
        let at = |seconds| begin + Duration::from_secs(seconds);
        let tenant = OkmsId::from_bytes([1; 16]).unwrap();
        let asker = Asker { id: "a".to_owned(), certificate: Some([1; 32]), ..Asker::default() };
        let asked = question(Purpose::Read, "x");
        let verdict = |is_permitted| Verdict { is_permitted, id: "i".into() };
        let keep = |is_permitted, reuse| {
            kept.keep((&asker, tenant, &asked), &verdict(is_permitted), reuse, begin);
        };
        let found = |seconds| kept.verdict(&asker, tenant, &asked, at(seconds));

        keep(true, None);
        assert_eq!(found(0), None, "it is asked each time");
        keep(true, Some(Reuse { time: Duration::from_secs(60), uses: None }));
        for _ in 0..9 {
            assert_eq!(found(59), Some(verdict(true)));
        }
        for (asker, tenant, asked) in [
            (Asker { id: "b".to_owned(), ..asker.clone() }, tenant, asked.clone()),
            (Asker { certificate: Some([2; 32]), ..asker.clone() }, tenant, asked.clone()),
            (asker.clone(), OkmsId::from_bytes([2; 16]).unwrap(), asked.clone()),
            (asker.clone(), tenant, question(Purpose::Write, "x")),
            (asker.clone(), tenant, question(Purpose::Read, "y")),
            (asker.clone(), tenant, Question { action: Action::SecretDelete, ..asked.clone() }),
            (asker.clone(), tenant, Question { path: Some("x".parse().unwrap()), ..asked.clone() }),
        ] {
            assert_eq!(kept.verdict(&asker, tenant, &asked, at(0)), None);
        }
        assert_eq!(found(60), None);
        assert_eq!(found(59), None, "it is forgotten");

        keep(true, Some(Reuse { time: Duration::from_secs(60), uses: Some(3) }));
        assert_eq!(
            [found(0), found(0), found(0)],
            [Some(verdict(true)), Some(verdict(true)), None]
        );
        keep(false, None);
        assert_eq!((found(4), found(5)), (Some(verdict(false)), None));
    }
}
