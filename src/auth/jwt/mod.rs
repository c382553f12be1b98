//! JWTs: what a token says that somebody else has signed, whether it counts here, and for how much.
//!
//! Always holds: [`Claims`] are those of a token whose signature was verified, by a key of the issuer that is
//! for its algorithm, and whose time, issuer, audience and certificate are right; nothing of a token is in a
//! [`Refused`]. Never does: I/O; keys and the moment go in. What a header says of keys (`jwk`, `jku`, `x5u`,
//! `x5c`) counts for nothing.
//!
//! Where the standards leave a choice, the narrow one is taken: a `kid` must lead to one key, and without one
//! the algorithm must; a name that stands twice in an object, padding and another `typ` than that of access
//! tokens are refused; so is a token that is bound (`cnf`) in a way which is not checked here.

mod jwks;
mod scopes;

use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use self::jwks::{Algorithm, Unfit};
pub use self::{
    jwks::{KeySet, KeySetFault, SET_BYTES_MAX},
    scopes::{Scope, Scopes},
};
use super::object::Object;
use crate::model::{OkmsId, Timestamp};

/// The longest token, in bytes.
const TOKEN_BYTES_MAX: usize = 8 << 10;
/// The longest text of a claim that is kept, in bytes.
const CLAIM_BYTES_MAX: usize = 255;
/// How many audiences are kept.
const AUDIENCES_MAX: usize = 16;
/// What subjects are called that are no JWT's: a token must not pass for one of these.
const OTHERS: [&str; 2] = ["cert:", "user:"];

/// By which rules tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Who must have signed them.
    pub issuer: String,
    /// For whom they may be.
    pub audience: Vec<String>,
    /// Whether they must say for whom they are.
    pub requires_audience: bool,
    /// The claim that names the tenant.
    pub tenant_claim: String,
    /// Whether they must be bound to a certificate.
    pub requires_binding: bool,
    /// Whether they count without a certificate.
    pub stand_alone: bool,
    /// So far clocks may be apart, in seconds.
    pub leeway_seconds: i64,
}

/// What a token says that counts.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whom it is about.
    pub subject: String,
    /// The tenant, by its id or its alias.
    pub tenant: Option<String>,
    /// What it allows.
    pub scopes: Scopes,
    /// For whom it is.
    pub audience: Vec<String>,
    /// The client that has got it.
    pub client_id: Option<String>,
    /// Its own id.
    pub id: Option<String>,
    /// Whether it is bound to the certificate.
    pub is_bound: bool,
    /// Until when it counts, the leeway included, in seconds of Unix time.
    until: i64,
}

/// Names of people are not for logs.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims").field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

/// A good token, and the tenant that it is for.
#[derive(Debug)]
pub struct Token {
    issuer: String,
    claims: Claims,
    tenant: Option<OkmsId>,
}

impl Token {
    /// That of these claims, which name this tenant, if they name one.
    #[must_use]
    pub const fn new(issuer: String, claims: Claims, tenant: Option<OkmsId>) -> Self {
        Self { issuer, claims, tenant }
    }

    /// Who has signed it.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// What it says.
    #[must_use]
    pub const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// For which tenant it is, if for one.
    #[must_use]
    pub const fn tenant(&self) -> Option<OkmsId> {
        self.tenant
    }

    /// What whoever it is about is known by, among all keys and whatever issuers say (SHA-256).
    #[must_use]
    pub fn key(&self) -> [u8; 32] {
        let text = ["jwt", &*self.issuer, &*self.claims.subject].join("\0");
        let mut key = [0; 32];
        key.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        key
    }

    /// Whether it is about the client itself that has got it (RFC 9068, 2.2).
    #[must_use]
    pub fn is_of_client(&self) -> bool {
        self.claims.client_id.as_deref() == Some(&*self.claims.subject)
    }

    /// Goes on if it is not over at `now`.
    ///
    /// # Errors
    /// [`Refused::Expired`] if it is.
    pub const fn lives(&self, now: Timestamp) -> Result<(), Refused> {
        if now.unix_seconds() < self.claims.until { Ok(()) } else { Err(Refused::Expired) }
    }
}

/// Why a token does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is larger than any honest one.
    #[error("it is larger than 8 KiB")]
    TooLarge,
    /// It cannot be read.
    #[error(
        "it is no signed JWT: three parts in base64url without padding, of which the first two are JSON objects that name \
         nothing twice"
    )]
    Malformed,
    /// Among those that are not: `none`, and whatever has a secret in common.
    #[error("its algorithm is not RS256, PS256, ES256, ES384 or EdDSA")]
    Algorithm,
    /// It is none for access.
    #[error("its header says that it is of another kind (typ) than an access token")]
    Kind,
    /// Something must be understood that is not.
    #[error("its header asks for extensions (crit) that are not known here")]
    Extensions,
    /// Nobody has such a key, as far as is known.
    #[error("its issuer has no key of this kid")]
    UnknownKey,
    /// The key is for something else, or it does not say which one it is.
    #[error("its kid leads to no one key of the issuer that is for its algorithm")]
    OtherKey,
    /// Somebody else has signed it, or something else was signed.
    #[error("its signature is not the issuer's")]
    Signature,
    /// Somebody else's.
    #[error("its issuer (iss) is not the one that is taken here")]
    Issuer,
    /// It is for somebody else.
    #[error("its audience (aud) is not this server's")]
    Audience,
    /// It counts for ever.
    #[error("it has no end (exp), or none that is a number")]
    NoEnd,
    /// It is over.
    #[error("it has expired; get a new one")]
    Expired,
    /// It does not count yet.
    #[error("it is of a time to come (nbf or iat); check the clocks")]
    Early,
    /// It is about nobody.
    #[error(
        "it has no subject (sub) that can be kept: 1 to 255 bytes without control characters, and not one of this \
         server's own, which begin with cert: or user: or are called system:rotation and system:retention"
    )]
    Subject,
    /// A claim is not what it should be.
    #[error(
        "a claim of it has another type than it should: scope, scp, aud, cnf or the one that names the tenant"
    )]
    Claims,
    /// It must be bound.
    #[error("it is not bound to a certificate (cnf, x5t#S256), as it must be here")]
    Unbound,
    /// It was taken from somebody.
    #[error(
        "it is bound (cnf) to another certificate than this connection's, or in another way than by x5t#S256"
    )]
    BoundElsewhere,
    /// Nobody knows whose it is.
    #[error("it names no tenant, as it must where there is no certificate")]
    NoTenant,
    /// It does not stand for a certificate.
    #[error("it counts here beside a client certificate alone; connect with yours")]
    Alone,
}

/// What `token` says, if it counts at `now` on a connection on which a certificate of this thumbprint (SHA-256)
/// was shown, or none.
///
/// # Errors
/// [`Refused`] says why it does not count.
pub fn verify(
    token: &[u8],
    keys: &KeySet,
    terms: &Terms,
    shown: Option<&[u8; 32]>,
    now: Timestamp,
) -> Result<Claims, Refused> {
    let (header, payload, signature, signed) = parts(token)?;
    let header = Object::read(&header).ok_or(Refused::Malformed)?;
    let text = |name| header.text(name).map_err(|_| Refused::Malformed);
    let algorithm = text("alg")?.ok_or(Refused::Malformed)?;
    let algorithm = Algorithm::named(&algorithm).ok_or(Refused::Algorithm)?;
    if header.has("crit") {
        return Err(Refused::Extensions);
    }
    if text("typ")?.is_some_and(|typ| !is_for_access(&typ)) {
        return Err(Refused::Kind);
    }
    let key = keys.one(text("kid")?.as_deref(), algorithm).map_err(|unfit| match unfit {
        Unfit::Unknown => Refused::UnknownKey,
        Unfit::NotOne => Refused::OtherKey,
    })?;
    if !key.has_signed(algorithm, signed, &signature) {
        return Err(Refused::Signature);
    }
    let claims = Object::read(&payload).ok_or(Refused::Malformed)?;
    judged(&claims, terms, shown, now.unix_seconds())
}

/// A token's header, payload and signature, and what was signed.
type Parts<'t> = (Vec<u8>, Vec<u8>, Vec<u8>, &'t [u8]);

fn parts(token: &[u8]) -> Result<Parts<'_>, Refused> {
    if token.len() > TOKEN_BYTES_MAX {
        return Err(Refused::TooLarge);
    }
    let dots = token.iter().enumerate().filter(|(_, byte)| **byte == b'.');
    let dots: Vec<_> = dots.map(|(at, _)| at).take(3).collect();
    let [first, second] = dots[..] else { return Err(Refused::Malformed) };
    let part = |part: Option<&[u8]>| {
        let part = part.filter(|part| !part.is_empty())?;
        URL_SAFE_NO_PAD.decode(part).ok()
    };
    let all = (
        part(token.get(..first)),
        part(token.get(first + 1..second)),
        part(token.get(second + 1..)),
        token.get(..second),
    );
    match all {
        (Some(header), Some(payload), Some(signature), Some(signed)) => {
            Ok((header, payload, signature, signed))
        }
        _ => Err(Refused::Malformed),
    }
}

/// RFC 9068, 2.1, and what issuers have said before; RFC 8725, 3.11, why others are none.
fn is_for_access(typ: &str) -> bool {
    let typ = typ
        .get(..12)
        .filter(|it| it.eq_ignore_ascii_case("application/"))
        .map_or(typ, |_| typ.get(12..).unwrap_or_default());
    typ.eq_ignore_ascii_case("jwt") || typ.eq_ignore_ascii_case("at+jwt")
}

fn judged(
    claims: &Object,
    terms: &Terms,
    shown: Option<&[u8; 32]>,
    now: i64,
) -> Result<Claims, Refused> {
    let leeway = terms.leeway_seconds;
    if claims.text("iss").ok().flatten().as_deref() != Some(&*terms.issuer) {
        return Err(Refused::Issuer);
    }
    let end = claims.moment("exp").ok().flatten().ok_or(Refused::NoEnd)?;
    let until = end.saturating_add(leeway);
    if now >= until {
        return Err(Refused::Expired);
    }
    for beginning in ["nbf", "iat"] {
        let from = claims.moment(beginning).map_err(|_| Refused::Early)?;
        if from.is_some_and(|from| from > now.saturating_add(leeway)) {
            return Err(Refused::Early);
        }
    }
    let audience = claims.texts("aud").map_err(|_| Refused::Claims)?;
    let is_for_us = |audience: &[String]| audience.iter().any(|one| terms.audience.contains(one));
    if !audience.as_deref().map_or(!terms.requires_audience, is_for_us) {
        return Err(Refused::Audience);
    }
    let is_bound = is_bound(claims, shown)?;
    if terms.requires_binding && !is_bound {
        return Err(Refused::Unbound);
    }
    let subject = claims.text("sub").ok().flatten().filter(|it| is_subject(it));
    let tenant = claims.text(&terms.tenant_claim).map_err(|_| Refused::Claims)?;
    if shown.is_none() && tenant.is_none() {
        return Err(Refused::NoTenant);
    }
    let scopes = ["scope", "scp"].map(|name| claims.texts(name).map_err(|_| Refused::Claims));
    let [scope, scp] = scopes;
    let words: Vec<_> = scope?.into_iter().chain(scp?).flatten().collect();
    let kept = |name| claims.text(name).ok().flatten().filter(|it| is_kept(it));
    let mut audience = audience.unwrap_or_default();
    audience.retain(|one| is_kept(one));
    audience.truncate(AUDIENCES_MAX);
    Ok(Claims {
        subject: subject.ok_or(Refused::Subject)?,
        tenant,
        scopes: words.iter().flat_map(|words| words.split(' ')).collect(),
        audience,
        client_id: kept("client_id").or_else(|| kept("azp")),
        id: kept("jti"),
        is_bound,
        until,
    })
}

/// RFC 8705, 3.1. Whoever binds a token in another way relies on it that this is checked.
fn is_bound(claims: &Object, shown: Option<&[u8; 32]>) -> Result<bool, Refused> {
    let Some(bound) = claims.object("cnf").map_err(|_| Refused::Claims)? else { return Ok(false) };
    let to = bound.text("x5t#S256").map_err(|_| Refused::Claims)?;
    let own = shown.map(|thumbprint| URL_SAFE_NO_PAD.encode(thumbprint));
    match (to, own) {
        (Some(to), Some(own)) if to == own && bound.len() == 1 => Ok(true),
        _ => Err(Refused::BoundElsewhere),
    }
}

fn is_subject(text: &str) -> bool {
    let is_anothers = OTHERS.iter().any(|other| text.starts_with(other))
        || super::system::System::ALL.iter().any(|system| system.name() == text);
    is_kept(text) && !is_anothers
}

fn is_kept(text: &str) -> bool {
    (1..=CLAIM_BYTES_MAX).contains(&text.len()) && !text.chars().any(char::is_control)
}

#[cfg(test)]
#[path = "../../../tests/support/tokens.rs"]
pub(crate) mod tokens;

#[cfg(test)]
mod tests;
