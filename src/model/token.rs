//! Tokens: for clients that insist on one. A token is bound to the key of the certificate that
//! asked for it, so that it is worth nothing without that key (RFC 8705). One of a user who has
//! logged in without a certificate is bound to none.

use super::Timestamp;

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

/// What whoever brings a token may do: at most what its maker may.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bearer {
    /// The user for whom it stands, whose policies count in the place of the certificate's.
    pub user: Option<String>,
    /// The names of the policies to which it is narrowed: what these do not allow as well is not
    /// allowed.
    pub policies: Option<Vec<String>>,
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
