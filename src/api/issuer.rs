//! The issuer whose JWTs are taken here, and its keys as they are now.
//!
//! Always holds: a token is judged by the keys that were had last; keys that come from elsewhere count for a
//! day after they were had, and then no token does. A token of a key that is not known has the keys fetched,
//! once in [`ASKED_EVERY`] however many there are, and waits for that so long as [`PATIENCE`] at most. Never
//! does: fetch or read anything; `app` does, and puts here what has come.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    auth::jwt::{Claims, KeySet, Refused, Terms, verify},
    model::Timestamp,
};

/// So long keys count that come from elsewhere.
const KEYS_LIVE_SECONDS: i64 = 24 * 60 * 60;
/// So often at most keys are fetched because somebody's is not known.
const ASKED_EVERY: Duration = Duration::from_secs(30);
/// So long a token waits for keys that are fetched.
const PATIENCE: Duration = Duration::from_secs(3);

/// The issuer.
pub struct Issuer {
    terms: Terms,
    keys: ArcSwapOption<Keys>,
    /// Whether keys are fetched, so that there may be others.
    is_remote: bool,
    asked: Mutex<Asked>,
    wanted: Notify,
    /// How many fetches have ended.
    tries: watch::Sender<u64>,
}

/// Keys, and until when they count.
struct Keys {
    set: KeySet,
    until: i64,
}

/// Whether somebody has asked for new keys.
#[derive(Default)]
struct Asked {
    last: Option<Instant>,
    is_open: bool,
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unheard {
    /// By what it is.
    Refused(Refused),
    /// Nobody knows, as there are no keys.
    NoKeys,
}

impl Issuer {
    /// One of whom no keys are known yet. They are fetched, or else read once for all.
    #[must_use]
    pub fn new(terms: Terms, is_remote: bool) -> Self {
        Self {
            terms,
            keys: ArcSwapOption::empty(),
            is_remote,
            asked: Mutex::default(),
            wanted: Notify::new(),
            tries: watch::Sender::new(0),
        }
    }

    /// By which rules its tokens are taken.
    #[must_use]
    pub const fn terms(&self) -> &Terms {
        &self.terms
    }

    /// These are its keys from `now` on. Tells whether they are others than before.
    pub fn has(&self, set: KeySet, now: Timestamp) -> bool {
        let until = if self.is_remote {
            now.unix_seconds().saturating_add(KEYS_LIVE_SECONDS)
        } else {
            i64::MAX
        };
        let new = Arc::new(Keys { set, until });
        let before = self.keys.swap(Some(Arc::clone(&new)));
        before.is_none_or(|before| before.set != new.set)
    }

    /// What `token` says, if it counts at `now` where a certificate with this thumbprint was shown, or none.
    ///
    /// # Errors
    /// [`Unheard`] says why it does not.
    pub async fn judge(
        &self,
        token: &[u8],
        shown: Option<&[u8; 32]>,
        now: Timestamp,
    ) -> Result<Claims, Unheard> {
        let judged = self.judged(token, shown, now);
        if judged != Err(Unheard::Refused(Refused::UnknownKey)) || !self.is_remote {
            return judged;
        }
        let mut tries = self.tries.subscribe();
        if !self.asks() {
            return judged;
        }
        // Whether they have come or not: those that are there count.
        let _come = tokio::time::timeout(PATIENCE, tries.changed()).await;
        self.judged(token, shown, now)
    }

    fn judged(
        &self,
        token: &[u8],
        shown: Option<&[u8; 32]>,
        now: Timestamp,
    ) -> Result<Claims, Unheard> {
        let keys = self.keys.load();
        let keys = keys.as_ref().filter(|keys| now.unix_seconds() < keys.until);
        let keys = keys.ok_or(Unheard::NoKeys)?;
        verify(token, &keys.set, &self.terms, shown, now).map_err(Unheard::Refused)
    }

    /// Asks for new keys, if that is not too soon. Tells whether some are on their way.
    fn asks(&self) -> bool {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.is_open {
            return true;
        }
        if asked.last.is_some_and(|last| last.elapsed() < ASKED_EVERY) {
            return false;
        }
        *asked = Asked { last: Some(Instant::now()), is_open: true };
        self.wanted.notify_one();
        true
    }

    /// Asks for new keys now, as an operator does.
    pub fn wants_keys(&self) {
        self.wanted.notify_one();
    }

    /// Waits until somebody asks for new keys.
    pub async fn until_asked(&self) {
        self.wanted.notified().await;
    }

    /// A fetch has ended, with new keys or in vain.
    pub fn has_tried(&self) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).is_open = false;
        self.tries.send_modify(|tries| *tries += 1);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    use crate::auth::jwt::tokens::{Signer, set};

    const NOW: i64 = 1_790_000_000;

    fn issuer() -> Issuer {
        let terms = Terms {
            issuer: "i".to_owned(),
            audience: Vec::new(),
            requires_audience: false,
            tenant_claim: "t".to_owned(),
            requires_binding: false,
            stand_alone: true,
            leeway_seconds: 0,
        };
        Issuer::new(terms, true)
    }

    fn claims() -> Value {
        json!({"iss": "i", "sub": "s", "t": "x", "exp": NOW + 1_000_000})
    }

    fn token(key: &Signer, id: &str) -> String {
        key.token(&json!({"alg": "EdDSA", "kid": id}), &claims())
    }

    fn keys(all: &[(&Signer, &str)]) -> KeySet {
        let all: Vec<_> = all.iter().map(|(key, id)| key.public(id)).collect();
        KeySet::parse(set(&all).as_bytes()).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_seconds(NOW + seconds)
    }

    async fn judge(issuer: &Issuer, token: &str, seconds: i64) -> Option<Unheard> {
        issuer.judge(token.as_bytes(), None, at(seconds)).await.err()
    }

    #[tokio::test(start_paused = true)]
    async fn keys_count_for_a_day() {
        let (issuer, key) = (issuer(), Signer::ed());
        let token = token(&key, "k");
        assert_eq!(judge(&issuer, &token, 0).await, Some(Unheard::NoKeys));
        assert!(issuer.has(keys(&[(&key, "k")]), at(0)));
        assert_eq!(judge(&issuer, &token, 86_399).await, None);
        assert_eq!(judge(&issuer, &token, 86_400).await, Some(Unheard::NoKeys));
        assert!(!issuer.has(keys(&[(&key, "k")]), at(1)), "they are the same");
        assert_eq!(judge(&issuer, &token, 86_400).await, None);
    }

    /// However many bring a key that nobody knows, the keys are fetched once in half a minute; who waits
    /// for them is served by the new ones.
    #[tokio::test(start_paused = true)]
    async fn an_unknown_key_is_asked_for_and_not_often() {
        const UNKNOWN: Option<Unheard> = Some(Unheard::Refused(Refused::UnknownKey));
        let (issuer, old, new) = (Arc::new(issuer()), Signer::ed(), Signer::ed());
        issuer.has(keys(&[(&old, "old")]), at(0));
        let token = token(&new, "new");
        let fetches = Arc::new(Mutex::new(0));
        let source = tokio::spawn({
            let (issuer, fetches) = (Arc::clone(&issuer), Arc::clone(&fetches));
            let both = set(&[old.public("old"), new.public("new")]);
            async move {
                loop {
                    issuer.until_asked().await;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    *fetches.lock().unwrap() += 1;
                    if *fetches.lock().unwrap() == 2 {
                        issuer.has(KeySet::parse(both.as_bytes()).unwrap(), at(0));
                    }
                    issuer.has_tried();
                }
            }
        });
        let count = || *fetches.lock().unwrap();
        let (one, other) = tokio::join!(judge(&issuer, &token, 0), judge(&issuer, &token, 0));
        assert_eq!((one, other, count()), (UNKNOWN, UNKNOWN, 1));
        let before = Instant::now();
        assert_eq!((judge(&issuer, &token, 0).await, count()), (UNKNOWN, 1));
        assert_eq!(before.elapsed(), Duration::ZERO, "it is refused at once");
        tokio::time::sleep(ASKED_EVERY).await;
        assert_eq!((judge(&issuer, &token, 0).await, count()), (None, 2));
        source.abort();
        // Nobody comes with keys.
        tokio::time::sleep(ASKED_EVERY).await;
        let before = Instant::now();
        let stranger = self::token(&Signer::ed(), "x");
        assert_eq!(judge(&issuer, &stranger, 0).await, UNKNOWN);
        assert_eq!(before.elapsed(), PATIENCE);
    }
}
