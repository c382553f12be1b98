//! `auth/userpass`: users, who log in with a password over a connection with the domain's certificate.

use std::collections::BTreeMap;

use hyper::StatusCode;

use super::{
    super::{Failed, Problem, Reply},
    asked::Asked,
    auth::{self, seconds},
    envelope::{self, Parts, USERPASS},
    fields::{self, Fields, ListField},
};
use crate::{
    model::{Bearer, Invalid},
    service::{Error, LoginSource, Password, TokenRequest, UserPatch},
};

/// The names of the users; as Vault has it, a list of nothing is not there.
pub(super) async fn list(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let names = context.service.users.list(permit).await?;
    if names.is_empty() {
        return Err(Error::SecretNotFound.into());
    }
    let warnings = fields::warn_of_ignored(call, &["list"]);
    let bytes = names.iter().map(|name| name.len() + 4).sum();
    Ok(envelope::data(call, USERPASS, &Parts { bytes, warnings: &warnings }, |out| {
        out.texts("keys", names.iter().map(String::as_str));
    }))
}

/// What is said of a user: nothing of its password.
pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let user = context.service.users.get(permit, asked.name()).await?;
    let policies = || user.policies.iter().map(String::as_str);
    Ok(envelope::data(call, USERPASS, &Parts { bytes: 1024, ..Parts::default() }, |out| {
        out.number("max_ttl", user.token_max_ttl);
        out.object("metadata", |out| {
            for (name, text) in &user.metadata {
                out.text(name, text);
            }
        });
        out.texts("policies", policies());
        out.texts("token_bound_cidrs", []);
        out.number("token_explicit_max_ttl", 0u32);
        out.number("token_max_ttl", user.token_max_ttl);
        out.boolean("token_no_default_policy", false);
        out.number("token_num_uses", 0u32);
        out.number("token_period", 0u32);
        out.texts("token_policies", policies());
        out.number("token_ttl", user.token_ttl);
        out.text("token_type", "default");
        out.number("ttl", user.token_ttl);
    }))
}

/// A new user, or another password, other policies, metadata or lives of tokens for one that there is.
pub(super) async fn write(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let patch = UserPatch {
        password: new_password(&mut fields)?,
        policies: policies(&mut fields)?,
        metadata: metadata(&mut fields)?,
        token_ttl: seconds(fields.seconds("token_ttl")?)?.or(seconds(fields.seconds("ttl")?)?),
        token_max_ttl: seconds(fields.seconds("token_max_ttl")?)?
            .or(seconds(fields.seconds("max_ttl")?)?),
    };
    let no_effect = refuse_what_is_not_served(&mut fields)?;
    let warnings: Vec<_> = fields.warnings().into_iter().chain(no_effect).collect();
    context.service.users.put(permit, asked.name(), patch, call.now).await?;
    Ok(envelope::nothing(call, USERPASS, &warnings))
}

pub(super) async fn set_password(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let body = fields::body(asked.call)?;
    let mut fields = Fields::parse(&body)?;
    let password = new_password(&mut fields)?.ok_or(Problem::NoPassword)?;
    let patch = UserPatch { password: Some(password), ..UserPatch::default() };
    update(asked, fields, patch).await
}

pub(super) async fn set_policies(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let body = fields::body(asked.call)?;
    let mut fields = Fields::parse(&body)?;
    let policies = Some(policies(&mut fields)?.unwrap_or_default());
    update(asked, fields, UserPatch { policies, ..UserPatch::default() }).await
}

async fn update(asked: &Asked<'_>, fields: Fields<'_>, patch: UserPatch) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    match context.service.users.update(permit, asked.name(), patch, call.now).await {
        Err(Error::UserNotFound) => Err(Problem::NoUser.into()),
        done => Ok(done.map(|()| envelope::nothing(call, USERPASS, &fields.warnings()))?),
    }
}

pub(super) async fn delete(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, .. } = *asked;
    match context.service.users.delete(permit, asked.name()).await {
        // As Vault has it: what is not there is deleted.
        Ok(()) | Err(Error::UserNotFound) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

/// A token of the user, for the connection's certificate; where there is none, for whoever has it.
pub(super) async fn login(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let (body, name) = (fields::body(call)?, asked.name());
    let mut fields = Fields::parse(&body)?;
    let password = fields.text("password")?.filter(|password| !password.is_empty());
    let password = Password::new(password.ok_or(Problem::NoPassword)?)?;
    let warnings = fields.warnings();
    let key = permit.subject().certificate().map(|own| *own.public_key_sha256());
    let source = match (context.service.credentials.first_key(permit).await?, call.client) {
        (Some(first), _) => LoginSource::Key(first),
        (None, client) => LoginSource::at(client.ok_or(Problem::PermissionDenied)?),
    };
    let user = context.service.users.log_in(permit, &source, name, password, call.now).await?;
    let life = (context.token_life)();
    let (life_seconds, most_seconds) = life.of(Some(user.token_ttl), Some(user.token_max_ttl));
    let request = TokenRequest {
        key_sha256: key,
        life_seconds,
        most_seconds,
        is_renewable: true,
        path: format!("auth/userpass/login/{name}"),
        display_name: format!("userpass-{name}"),
        meta: vec![("username".to_owned(), name.to_owned())],
        bearer: Bearer::of_user(name.to_owned()),
    };
    let fresh = context.service.tokens.create(permit, request, call.now).await?;
    Ok(auth::login_reply(asked, &warnings, &fresh))
}

/// A password that is to be somebody's, if one is named.
fn new_password(fields: &mut Fields<'_>) -> Result<Option<Password>, Failed> {
    let Some(password) = fields.text("password")? else { return Ok(None) };
    if password.is_empty() {
        return Err(Problem::NoPassword.into());
    }
    Ok(Some(Password::new(password)?))
}

/// Names of policies, in order and each once, if any are named.
fn policies(fields: &mut Fields<'_>) -> Result<Option<Vec<String>>, Failed> {
    let (new, old) = (fields.list(ListField::TOKEN_POLICIES)?, fields.list(ListField::POLICIES)?);
    let Some(mut names) = new.or(old) else { return Ok(None) };
    names.sort_unstable();
    names.dedup();
    Ok(Some(names))
}

/// All that there is to know of a user beside, if it is told.
fn metadata(fields: &mut Fields<'_>) -> Result<Option<BTreeMap<String, String>>, Failed> {
    let Some(raw) = fields.take("metadata")? else { return Ok(None) };
    let text = |raw| {
        fields::weak_text(raw).ok_or_else(|| fields::wrong("metadata", "expected a map of texts"))
    };
    let texts = fields::map(raw, "metadata")?.into_iter();
    texts.map(|(name, raw)| Ok((name, text(raw)?))).collect::<Result<_, Failed>>().map(Some)
}

/// Takes what means nothing here, and refuses what would narrow a user or its tokens. What is taken
/// and changes nothing is told.
fn refuse_what_is_not_served(fields: &mut Fields<'_>) -> Result<Option<String>, Failed> {
    const USES: Invalid =
        Invalid("token_num_uses is not served: a token lives until it ends or is revoked");
    const PERIOD: Invalid =
        Invalid("token_period is not served: a token is renewed until its end, and not beyond it");
    const LIMIT: Invalid =
        Invalid("token_explicit_max_ttl is not served; token_max_ttl bounds a token's life");
    const NETWORKS: Invalid = Invalid(
        "token_bound_cidrs is not served: a token works with the key of its certificate alone",
    );
    const HASH: Invalid = Invalid("password_hash is not served; send the password");
    const KIND: Invalid = Invalid("only tokens of type service are made here");
    if fields.int("token_num_uses")?.is_some_and(|uses| uses != 0) {
        return Err(USES.into());
    }
    for (name, refusal) in [("token_period", PERIOD), ("token_explicit_max_ttl", LIMIT)] {
        if seconds(fields.seconds(name)?)?.is_some_and(|seconds| seconds > 0) {
            return Err(refusal.into());
        }
    }
    for field in [ListField::TOKEN_BOUND_CIDRS, ListField::BOUND_CIDRS] {
        if !fields.texts(field)?.is_empty() {
            return Err(NETWORKS.into());
        }
    }
    if fields.text("password_hash")?.is_some_and(|hash| !hash.is_empty()) {
        return Err(HASH.into());
    }
    let kind = fields.text("token_type")?.unwrap_or_default();
    if !matches!(kind.as_str(), "" | "default" | "default-service" | "service") {
        return Err(KIND.into());
    }
    let without_default = fields.flag("token_no_default_policy")?.unwrap_or_default();
    Ok(without_default.then(|| {
        "token_no_default_policy has no effect: what default allows, every certificate of the domain may do"
            .to_owned()
    }))
}
