//! Tokens: for clients that insist on one. A token is bound to the key of the certificate that
//! asked for it, so that it is worth nothing without that key (RFC 8705). One of a user who has
//! logged in without a certificate is bound to none.

use super::{
    Invalid, Timestamp,
    policy::{self, DEFAULT_POLICY},
};

/// How long an answer is wrapped at most.
pub const WRAPPING_LIFE_SECONDS: u64 = 768 * 3600;

/// How long tokens live, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenLife {
    /// One whose maker asks for nothing.
    pub default: u64,
    /// Any at most, renewed or not.
    pub max: u64,
}

impl TokenLife {
    /// The life of a token whose maker asks for `ttl` now and for `max` in all; nothing and 0 are
    /// no wish. The second number is the limit in force.
    #[must_use]
    pub fn of(self, ttl: Option<u64>, max: Option<u64>) -> (u64, u64) {
        let wished = |seconds: Option<u64>| seconds.filter(|seconds| *seconds > 0);
        let most = wished(max).unwrap_or(self.max).min(self.max);
        (wished(ttl).unwrap_or(self.default).min(most), most)
    }
}

/// The most policies that a token names.
const POLICIES_MAX: usize = 32;
/// To so many sets of policies one is narrowed at most, its own and those of its makers.
const NARROWED_MAX: usize = 8;

/// What whoever brings a token may do: at most what its maker may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The user for whom it stands, whose policies count in the place of the certificate's.
    pub user: Option<String>,
    /// The sets of policies to which it is narrowed, by their names: its own first, and then those of
    /// the tokens that it was made with, as far as they are others. What one of the sets does not allow
    /// is not allowed, whatever the others say: a policy that denies, and is in a maker's set alone,
    /// denies. None where it is not narrowed.
    pub narrowed_to: Vec<Vec<String>>,
}

impl Bearer {
    /// That of a user who has logged in.
    #[must_use]
    pub const fn of_user(name: String) -> Self {
        Self { user: Some(name), narrowed_to: Vec::new() }
    }

    /// That of a certificate, narrowed to these policies.
    #[must_use]
    pub fn of_policies(names: Vec<String>) -> Self {
        Self { user: None, narrowed_to: vec![in_order(names)] }
    }

    /// The names of the policies to which it is narrowed itself, if it is.
    #[must_use]
    pub fn policies(&self) -> Option<&[String]> {
        self.narrowed_to.first().map(Vec::as_slice)
    }

    /// That of a token which is made with one of this bearer: it may do what this one may and, where
    /// some policies are named, what those allow as well.
    ///
    /// # Errors
    /// `Invalid` where it names policies that this one does not, or too many, or would be narrowed too
    /// often.
    pub fn child(&self, names: Vec<String>) -> Result<Self, Invalid> {
        const BEYOND: Invalid = Invalid("child policies must be subset of parent");
        const TOO_MANY: Invalid = Invalid("a token names at most 32 policies");
        const TOO_DEEP: Invalid = Invalid(
            "a token is narrowed at most 8 times, by itself and by those that it is made with; make it with one that is \
             narrowed less often",
        );
        let names = in_order(names);
        names.iter().try_for_each(|name| policy::name(name))?;
        if names.len() > POLICIES_MAX {
            return Err(TOO_MANY);
        }
        if names.is_empty() {
            return Ok(self.clone());
        }
        let own = self.policies();
        let is_beyond =
            |name: &String| name != DEFAULT_POLICY && own.is_some_and(|own| !own.contains(name));
        if names.iter().any(is_beyond) {
            return Err(BEYOND);
        }
        let others = self.narrowed_to.iter().filter(|set| **set != names).cloned();
        let narrowed_to: Vec<_> = std::iter::once(names.clone()).chain(others).collect();
        if narrowed_to.len() > NARROWED_MAX {
            return Err(TOO_DEEP);
        }
        Ok(Self { user: self.user.clone(), narrowed_to })
    }
}

/// Names in their order, each once.
fn in_order(mut names: Vec<String>) -> Vec<String> {
    names.sort_unstable();
    names.dedup();
    names
}

/// A token, apart from its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// SHA-256 of the token's text.
    pub secret_sha256: [u8; 32],
    /// SHA-256 of the public key that it is bound to, if it is bound.
    pub key_sha256: Option<[u8; 32]>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was renewed last.
    pub renewed_at: Option<Timestamp>,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The life that it was made with, in seconds; a renewal gives as much again.
    pub ttl_seconds: u64,
    /// When it ends at the latest.
    pub ends_at: Timestamp,
    /// Whether it can be renewed.
    pub is_renewable: bool,
    /// The path of the operation that made it.
    pub path: String,
    /// What shows who has it.
    pub display_name: String,
    /// More about the holder: names and texts.
    pub meta: Vec<(String, String)>,
    /// What its bearer may do.
    pub bearer: Bearer,
}

impl Token {
    /// Whether it is over at `now`.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }

    /// Its life from `now` on, in whole seconds.
    #[must_use]
    pub fn left_seconds(&self, now: Timestamp) -> u64 {
        u64::try_from(self.expires_at.unix_seconds() - now.unix_seconds()).unwrap_or(0)
    }

    /// The limit of its life that it was made with, in seconds; 0 for that of all tokens.
    #[must_use]
    pub fn own_limit_seconds(&self, life: TokenLife) -> u64 {
        let most = u64::try_from(self.ends_at.unix_seconds() - self.created_at.unix_seconds())
            .unwrap_or(0);
        if most < life.max { most } else { 0 }
    }

    /// The token with a life of `increment` seconds from `now` on, or of its own measure, and not
    /// beyond its end, nor beyond the one that it would have if it were made under `life`.
    #[must_use]
    pub fn renew(self, increment: Option<u64>, life: TokenLife, now: Timestamp) -> Self {
        let seconds = increment.filter(|seconds| *seconds > 0).unwrap_or(self.ttl_seconds);
        let ends_at = self.ends_at.min(self.created_at.plus_seconds(life.max));
        Self { renewed_at: Some(now), expires_at: now.plus_seconds(seconds).min(ends_at), ..self }
    }
}

/// An answer that is kept for whoever brings its token, once; apart from its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    /// SHA-256 of the token's text.
    pub secret_sha256: [u8; 32],
    /// When it was wrapped.
    pub created_at: Timestamp,
    /// How long it is kept, in seconds.
    pub ttl_seconds: u64,
    /// The path of the request that it answers.
    pub path: String,
    /// Its status.
    pub status: u16,
    /// SHA-256 of the public key of who has it wrapped; not known of what was wrapped before that
    /// was kept.
    pub key_sha256: Option<[u8; 32]>,
}

impl Wrapped {
    /// When it is over.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.created_at.plus_seconds(self.ttl_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wished_is_bounded() {
        let life = TokenLife { default: 100, max: 1_000 };
        for (ttl, max, expected) in [
            (None, None, (100, 1_000)),
            (Some(0), Some(0), (100, 1_000)),
            (Some(50), None, (50, 1_000)),
            (Some(5_000), None, (1_000, 1_000)),
            (None, Some(60), (60, 60)),
            (Some(70), Some(60), (60, 60)),
            (Some(70), Some(5_000), (70, 1_000)),
        ] {
            assert_eq!(life.of(ttl, max), expected, "{ttl:?} {max:?}");
        }
    }

    /// A child forgot the sets of its makers, so that what a policy in one of them denied was allowed.
    #[test]
    fn what_is_narrowed_stays_narrowed() {
        let names = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let ann = Bearer::of_user("ann".to_owned());
        assert_eq!(ann.child(Vec::new()), Ok(ann.clone()));
        let both = ann.child(names(&["team", "no-prod", "team"])).unwrap();
        assert_eq!(both.policies(), Some(&*names(&["no-prod", "team"])));
        let one = both.child(names(&["team"])).unwrap();
        assert_eq!(one.user, ann.user);
        assert_eq!(one.narrowed_to, [names(&["team"]), names(&["no-prod", "team"])]);
        // What a maker has already is kept once.
        assert_eq!(one.child(names(&["team"])), Ok(one.clone()));
        assert_eq!(one.child(Vec::new()), Ok(one.clone()));
        assert!(one.child(names(&["no-prod"])).is_err(), "it does not name it itself");
        let least = one.child(names(&["default"])).unwrap();
        assert_eq!(least.narrowed_to.len(), 3);
        let many: Vec<_> = (0..POLICIES_MAX).map(|n| format!("p{n}")).collect();
        let mut deep = Bearer::of_policies(many.clone());
        for kept in (POLICIES_MAX - NARROWED_MAX + 1..POLICIES_MAX).rev() {
            deep = deep.child(many[..kept].to_vec()).unwrap();
        }
        assert_eq!(deep.narrowed_to.len(), NARROWED_MAX);
        assert!(deep.child(many[..1].to_vec()).is_err());
        assert!(deep.child(Vec::new()).is_ok());
        let wide = [many, names(&["one more"])].concat();
        assert!(Bearer::default().child(wide).is_err());
    }

    #[test]
    fn renewal_stops_at_the_end() {
        let at = Timestamp::from_unix_seconds;
        let token = Token {
            secret_sha256: [1; 32],
            key_sha256: Some([2; 32]),
            created_at: at(1_000),
            renewed_at: None,
            expires_at: at(1_100),
            ttl_seconds: 100,
            ends_at: at(1_250),
            is_renewable: true,
            path: String::new(),
            display_name: String::new(),
            meta: Vec::new(),
            bearer: Bearer::default(),
        };
        assert!(!token.has_expired(at(1_099)) && token.has_expired(at(1_100)));
        let life = TokenLife { default: 500, max: 1_000 };
        assert_eq!(token.own_limit_seconds(life), 250);
        assert_eq!(token.own_limit_seconds(TokenLife { max: 250, ..life }), 0);
        assert_eq!((token.left_seconds(at(1_040)), token.left_seconds(at(2_000))), (60, 0));
        assert_eq!(token.clone().renew(None, life, at(1_050)).expires_at, at(1_150));
        assert_eq!(token.clone().renew(Some(10), life, at(1_050)).expires_at, at(1_060));
        assert_eq!(token.clone().renew(Some(0), life, at(1_050)).expires_at, at(1_150));
        // A limit that was lowered meanwhile counts.
        let lower = TokenLife { default: 10, max: 200 };
        assert_eq!(token.clone().renew(Some(1_000), lower, at(1_090)).expires_at, at(1_200));
        assert_eq!(token.renew(Some(1_000), life, at(1_090)).expires_at, at(1_250));
    }
}
