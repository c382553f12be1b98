//! Tokens: for clients that insist on one.

use hyper::StatusCode;

use super::{
    super::{Failed, Problem, Reply, json::ObjectWriter, page},
    asked::{Asked, presented, token},
    envelope,
    envelope::{Parts, TOKEN},
    fields::{self, Fields, ListField},
};
use crate::{
    model::{Bearer, Invalid, Timestamp, Token, policy::DEFAULT_POLICY},
    service::{ByRole, Error, FreshToken, KnownBy, KnownToken, TokenRequest},
};

const NAME_MAX: usize = 128;
const NOT_OF_ROLE: Invalid = Invalid(
    "invalid certificate: there is a role of this name, and your certificate does not fit it",
);
const NO_SUCH_ROLE: Invalid = Invalid(
    "there is no role of this name: name one of the domain's roles, or none for all that your certificate may do",
);
const NO_ROLES: &str = "the domain has no roles, so that the name has no effect: the token has what the certificate has";

/// How a request names the token that it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    /// It is the one that comes along.
    Own,
    /// By its text, in the body.
    Token,
    /// By its accessor, in the body.
    Accessor,
}

impl Named {
    const fn known_by(self) -> KnownBy {
        match self {
            Self::Own | Self::Token => KnownBy::Text,
            Self::Accessor => KnownBy::Accessor,
        }
    }
}

pub(super) async fn login(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    // Every certificate of the domain may log in. By the name of a role it has that role's policies; a name
    // that is no role's must not give more, but that some clients send one, where nobody has made roles.
    // vaultrs calls it cert_name.
    let (name, alias) = (fields.text("name")?, fields.text("cert_name")?);
    let role = name.filter(|name| !name.is_empty()).or(alias).unwrap_or_default();
    check_name(&role)?;
    let mut warnings = fields.warnings();
    let peer = permit.subject().certificate().ok_or(Problem::PermissionDenied)?;
    let serial = peer.serial().to_decimal();
    let rule = if role.is_empty() {
        None
    } else {
        match context.service.access.role(permit, &role).await? {
            ByRole::Fits(rule) => Some(rule),
            ByRole::DoesNotFit => return Err(NOT_OF_ROLE.into()),
            ByRole::Unknown => return Err(NO_SUCH_ROLE.into()),
            ByRole::NoRoles => {
                warnings.push(NO_ROLES.to_owned());
                None
            }
        }
    };
    let terms = rule.as_ref().and_then(|rule| rule.role.clone()).unwrap_or_default();
    let wished = |seconds: u64| Some(seconds).filter(|seconds| *seconds > 0);
    let (life_seconds, most_seconds) =
        (context.token_life)().of(wished(terms.ttl_seconds), wished(terms.max_ttl_seconds));
    let name = [&terms.display_name, &role, &serial].into_iter().find(|name| !name.is_empty());
    let display_name = format!("cert-{}", name.unwrap_or(&serial));
    let bearer = rule.map(|rule| Bearer::of_policies(rule.policies)).unwrap_or_default();
    let request = TokenRequest {
        key_sha256: Some(*peer.public_key_sha256()),
        life_seconds,
        most_seconds,
        is_renewable: true,
        path: "auth/cert/login".to_owned(),
        display_name,
        meta: vec![("cert_name".to_owned(), role), ("serial_number".to_owned(), serial)],
        bearer,
    };
    let fresh = context.service.tokens.create(permit, request, call.now).await?;
    Ok(login_reply(asked, &warnings, &fresh))
}

pub(super) async fn create(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, own } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let ttl = seconds(fields.seconds("ttl")?)?;
    // The old name of the field.
    let ttl = ttl.or(seconds(fields.seconds("lease")?)?).filter(|seconds| *seconds > 0);
    let max = seconds(fields.seconds("explicit_max_ttl")?)?;
    let is_renewable = fields.flag("renewable")?.unwrap_or(true);
    let name = fields.text("display_name")?.unwrap_or_default();
    check_name(&name)?;
    if fields.int("num_uses")?.is_some_and(|uses| uses != 0) {
        return Err(
            Invalid("num_uses is not served: a token lives until it ends or is revoked").into()
        );
    }
    let kind = fields.text("type")?.unwrap_or_default();
    if !matches!(kind.as_str(), "" | "service" | "default" | "default-service") {
        return Err(Invalid("only tokens of type service are made here").into());
    }
    let meta =
        fields.take("meta")?.map(|raw| fields::map(raw, "meta")).transpose()?.unwrap_or_default();
    let meta = meta.into_iter().map(|(key, raw)| {
        check_name(&key)?;
        let text = fields::weak_text(raw).ok_or_else(|| fields::wrong("meta", "expected texts"))?;
        check_name(&text)?;
        Ok((key, text))
    });
    let meta = meta.collect::<Result<Vec<_>, Failed>>()?;
    if meta.len() > 64 {
        return Err(Invalid("meta can hold at most 64 entries").into());
    }
    let names = fields.texts(ListField::POLICIES)?;
    let bearer = own.map(|own| own.token.bearer.clone()).unwrap_or_default().child(names)?;
    // What has no meaning without parents is taken and has none.
    for known in ["no_parent", "no_default_policy", "entity_alias"] {
        fields.take(known)?;
    }
    if seconds(fields.seconds("period")?)?.is_some_and(|period| period > 0) {
        return Err(Invalid(
            "period is not served: a token is renewed until its end, and not beyond it",
        )
        .into());
    }
    if fields.text("id")?.is_some_and(|id| !id.is_empty()) {
        return Err(Invalid("id is not served: tokens are random").into());
    }
    // What stands for a user or a role, or is narrowed, makes nothing that lives longer: its own end
    // would mean nothing.
    let bounded = own.filter(|own| own.token.bearer != Bearer::default());
    let left = bounded.map(|own| {
        let left = own.token.ends_at.unix_seconds().saturating_sub(call.now.unix_seconds());
        u64::try_from(left).unwrap_or_default().max(1)
    });
    let max = match (max.filter(|max| *max > 0), left) {
        (Some(max), Some(left)) => Some(max.min(left)),
        (max, left) => max.or(left),
    };
    let (life_seconds, most_seconds) = (context.token_life)().of(ttl, max);
    let mut warnings = fields.warnings();
    warnings.extend(cap_warning(ttl, most_seconds));
    let request = TokenRequest {
        // Where there is none, its parent is a user's and bound to none, and so is this.
        key_sha256: presented(context, permit).key_sha256.copied(),
        life_seconds,
        most_seconds,
        is_renewable,
        path: "auth/token/create".to_owned(),
        display_name: if name.is_empty() { "token".to_owned() } else { format!("token-{name}") },
        meta,
        bearer,
    };
    let fresh = context.service.tokens.create(permit, request, call.now).await?;
    Ok(login_reply(asked, &warnings, &fresh))
}

pub(super) async fn lookup_self(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { call, own, .. } = *asked;
    let own = own.ok_or(Problem::PermissionDenied)?;
    let text = token(&call.head.headers).unwrap_or_default();
    Ok(lookup_reply(asked, own, text))
}

pub(super) async fn lookup(asked: &Asked<'_>, named: Named) -> Result<Reply, Failed> {
    let (known, text) = find(asked, named, &mut Fields::parse(&fields::body(asked.call)?)?).await?;
    Ok(lookup_reply(asked, &known, &text))
}

pub(super) async fn renew(asked: &Asked<'_>, named: Named) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let increment = seconds(fields.seconds("increment")?)?;
    let (known, text) = find(asked, named, &mut fields).await?;
    let (tokens, life) = (&context.service.tokens, (context.token_life)());
    let (of, own) = ((&*known.accessor, named.known_by()), asked.own_accessor());
    let renewed = tokens.renew(permit, of, own, (increment, life), call.now).await?;
    let warnings: Vec<_> =
        cap_warning(increment, renewed.token.left_seconds(call.now)).into_iter().collect();
    Ok(auth_reply(asked, &warnings, &renewed, &text))
}

/// The warning about a life that is shorter than the one that was asked for.
fn cap_warning(wished: Option<u64>, most: u64) -> Option<String> {
    let (wished, most) =
        (fields::go_seconds(wished.filter(|wished| *wished > most)?), fields::go_seconds(most));
    Some(format!(
        "TTL of \"{wished}\" exceeded the effective max_ttl of \"{most}\"; TTL value is capped accordingly"
    ))
}

/// The accessors of all tokens, in the order in which they end; by pages where the client wants
/// pages.
pub(super) async fn accessors(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    if call.head.method == hyper::Method::GET {
        return Err(Failed::unknown_method(&["LIST"]));
    }
    let limit = fields::query_int(call, "limit")?
        .and_then(|limit| usize::try_from(limit).ok())
        .filter(|n| *n > 0);
    let has = |name| call.head.headers.contains_key(name);
    let is_page = has("x-pagination-size") || has("x-pagination-cursor");
    let size =
        if is_page { Some(limit.unwrap_or(usize::MAX).min(page::size(call)?)) } else { limit };
    let cursor = page::cursor(call)?;
    let listed =
        context.service.tokens.accessors(permit, cursor.as_deref(), size, call.now).await?;
    if listed.accessors.is_empty() {
        return Err(Error::SecretNotFound.into());
    }
    let warnings = fields::warn_of_ignored(call, &["list", "limit"]);
    let parts = Parts { bytes: 32 * listed.accessors.len(), warnings: &warnings };
    let reply = envelope::data(call, TOKEN, &parts, |out| {
        out.texts("keys", listed.accessors.iter().map(String::as_str));
    });
    Ok(page::with_next(reply, listed.next.filter(|_| is_page)))
}

/// The token that the request is about, if it is good.
pub(super) async fn named(
    asked: &Asked<'_>,
    named: Named,
    fields: &mut Fields<'_>,
) -> Result<KnownToken, Failed> {
    Ok(find(asked, named, fields).await?.0)
}

/// Ends a token, or what is wrapped under one: who has the wrapping token needs no right for that.
pub(super) async fn revoke(asked: &Asked<'_>, named: Named) -> Result<Reply, Failed> {
    let Asked { context, permit, call, own } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let (tokens, wrapping) = (&context.service.tokens, &context.service.wrapping);
    let ended = match named {
        Named::Own => {
            let accessor = &own.ok_or(Problem::PermissionDenied)?.accessor;
            let of = (&**accessor, named.known_by());
            tokens.revoke(permit, of, Some(accessor), call.now).await
        }
        Named::Token => {
            let text = token_in(&mut fields)?.ok_or(Problem::NoToken)?;
            match tokens.lookup(permit, &text, call.now).await {
                Ok(known) => {
                    let of = (&*known.accessor, named.known_by());
                    tokens.revoke(permit, of, asked.own_accessor(), call.now).await
                }
                Err(Error::TokenInvalid) => wrapping.end(permit, &text, call.now).await,
                Err(error) => Err(error),
            }
        }
        Named::Accessor => {
            let accessor = accessor_in(&mut fields)?;
            let of = (&*accessor, named.known_by());
            match tokens.revoke(permit, of, asked.own_accessor(), call.now).await {
                Err(Error::TokenInvalid) => {
                    wrapping.end_by_accessor(permit, &accessor, call.now).await
                }
                ended => ended,
            }
        }
    };
    match ended {
        // As Vault has it: an accessor must be one; a token that is none is revoked.
        Err(Error::NothingWrapped) if named == Named::Accessor => Err(Problem::BadAccessor.into()),
        Ok(()) | Err(Error::TokenInvalid | Error::NothingWrapped) => {
            Ok(Reply::empty(StatusCode::NO_CONTENT))
        }
        Err(error) => Err(error.into()),
    }
}

fn token_in(fields: &mut Fields<'_>) -> Result<Option<String>, Failed> {
    Ok(fields.text("token")?.filter(|text| !text.is_empty()))
}

fn accessor_in(fields: &mut Fields<'_>) -> Result<String, Failed> {
    let accessor = fields.text("accessor")?.filter(|text| !text.is_empty());
    Ok(accessor.ok_or(Invalid("missing accessor: name the token in the field accessor"))?)
}

/// The token that the request is about, and its text where that is known.
async fn find(
    asked: &Asked<'_>,
    named: Named,
    fields: &mut Fields<'_>,
) -> Result<(KnownToken, String), Failed> {
    let Asked { context, permit, call, own } = *asked;
    let (tokens, own_text) =
        (&context.service.tokens, token(&call.head.headers).unwrap_or_default());
    match named {
        Named::Own => Ok((own.ok_or(Problem::PermissionDenied)?.clone(), own_text.to_owned())),
        Named::Token => {
            let text = match token_in(fields)? {
                Some(text) => text,
                None if call.head.method == hyper::Method::GET && own.is_some() => {
                    own_text.to_owned()
                }
                None => return Err(Problem::NoToken.into()),
            };
            // A token tells itself, and goes on, for its own key alone.
            match tokens.check(permit, &text, presented(context, permit), call.now).await {
                Ok(known) => Ok((known, text)),
                Err(Error::TokenInvalid) => Err(Problem::BadToken.into()),
                Err(error) => Err(error.into()),
            }
        }
        Named::Accessor => {
            match tokens.by_accessor(permit, &accessor_in(fields)?, call.now).await {
                // Who has the accessor alone is not told the token.
                Ok(known) => Ok((known, String::new())),
                Err(Error::TokenInvalid) => Err(Problem::BadAccessor.into()),
                Err(error) => Err(error.into()),
            }
        }
    }
}

/// A token that was just made.
pub(super) fn login_reply(asked: &Asked<'_>, warnings: &[String], fresh: &FreshToken) -> Reply {
    auth_reply(asked, warnings, &fresh.known, &fresh.text)
}

fn auth_reply(asked: &Asked<'_>, warnings: &[String], known: &KnownToken, text: &str) -> Reply {
    let policies = policies(asked, &known.token);
    envelope::auth(asked.call, warnings, |out| auth(out, known, text, &policies, asked.call.now))
}

/// The names of the policies that a token has. One that has what its certificate has tells none but
/// that of everybody, as it has none of its own: its certificate's may change.
fn policies(asked: &Asked<'_>, token: &Token) -> Vec<String> {
    let Asked { context, permit, .. } = *asked;
    let mut names = match (token.bearer.policies(), &token.bearer.user) {
        (Some(names), _) => names.to_vec(),
        (None, Some(user)) => {
            context.service.access.directory().policies_of_user(permit.okms_id(), user)
        }
        (None, None) => Vec::new(),
    };
    names.push(DEFAULT_POLICY.to_owned());
    names.sort_unstable();
    names.dedup();
    names
}

fn auth(
    out: &mut ObjectWriter<'_>,
    known: &KnownToken,
    text: &str,
    policies: &[String],
    now: Timestamp,
) {
    let token = &known.token;
    out.text("accessor", &known.accessor);
    out.text("client_token", text);
    out.text("entity_id", "");
    out.texts("identity_policies", []);
    out.number("lease_duration", token.left_seconds(now));
    out.object("metadata", |out| meta(out, token));
    out.null("mfa_requirement");
    out.number("num_uses", 0u32);
    out.boolean("orphan", true);
    out.texts("policies", policies.iter().map(String::as_str));
    out.boolean("renewable", token.is_renewable);
    out.texts("token_policies", policies.iter().map(String::as_str));
    out.text("token_type", "service");
}

/// What a lookup tells.
fn lookup_reply(asked: &Asked<'_>, known: &KnownToken, text: &str) -> Reply {
    let Asked { context, call, .. } = *asked;
    let KnownToken { accessor, token } = known;
    let policies = policies(asked, token);
    let seconds = |moment: Timestamp| u64::try_from(moment.unix_seconds()).unwrap_or_default();
    envelope::data(call, TOKEN, &Parts { bytes: 1024, ..Parts::default() }, |out| {
        out.text("accessor", accessor);
        out.number("creation_time", seconds(token.created_at));
        out.number("creation_ttl", token.ttl_seconds);
        out.text("display_name", &token.display_name);
        out.text("entity_id", "");
        out.text("expire_time", &token.expires_at.to_rfc3339_nanos());
        out.number("explicit_max_ttl", token.own_limit_seconds((context.token_life)()));
        out.text("id", text);
        out.text("issue_time", &token.created_at.to_rfc3339_nanos());
        if let Some(renewed) = token.renewed_at {
            out.text("last_renewal", &renewed.to_rfc3339_nanos());
            out.number("last_renewal_time", seconds(renewed));
        }
        out.object("meta", |out| meta(out, token));
        out.number("num_uses", 0u32);
        out.boolean("orphan", true);
        out.text("path", &token.path);
        out.texts("policies", policies.iter().map(String::as_str));
        out.boolean("renewable", token.is_renewable);
        out.number("ttl", token.left_seconds(call.now));
        out.text("type", "service");
    })
}

fn meta(out: &mut ObjectWriter<'_>, token: &Token) {
    for (key, text) in &token.meta {
        out.text(key, text);
    }
}

/// A span of time that is one.
pub(super) fn seconds(given: Option<i64>) -> Result<Option<u64>, Failed> {
    const NEGATIVE: Invalid = Invalid("a span of time is not negative");
    Ok(given.map(|given| u64::try_from(given).map_err(|_| NEGATIVE)).transpose()?)
}

/// A name that is kept with a token.
fn check_name(name: &str) -> Result<(), Failed> {
    if name.len() > NAME_MAX || !crate::model::text::is_printable(name) {
        return Err(Invalid("a name has at most 128 bytes of printable text").into());
    }
    Ok(())
}
