//! Policies, and the rules that say which certificates have them.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::{
    Call, Context, Reply,
    json::{self, Object, ObjectWriter, Writer},
    page, query,
};
use crate::{
    auth::{Action, Permit, Whom},
    model::{
        CertRule, Circumstances, Condition, IamPolicy, Invalid, ResourcePattern, RuleIssuer,
        SecretPath, Timestamp, When,
        condition::{DEPTH_MAX, Expression, Operator},
        text,
    },
    service::Error,
};

/// What rules call the region's own authority.
const REGION: &str = "region";
const LIST: Invalid = Invalid("what a policy or a rule lists is an array of texts");

pub(super) async fn list_policies(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let (policies, next) = context.service.access.policies(permit, cursor, size).await?;
    let body = Writer::array(&policies, |(id, policy), out| {
        if let Some(policy) = policy {
            write_policy(out, context, permit, id, policy);
        } else {
            out.display("id", Uuid::from_bytes(*id));
            out.boolean("isDamaged", true);
        }
    });
    Ok(page::with_next(Reply::json(body), next))
}

pub(super) async fn get_policy(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let id = id(call);
    let policy = context.service.access.policy(permit, &id).await?;
    Ok(policy_reply(context, permit, &id, &policy))
}

pub(super) async fn create_policy(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let policy = parse_policy(context, permit, call)?;
    let (id, policy) = context.service.access.create_policy(permit, policy, call.now).await?;
    Ok(policy_reply(context, permit, &id, &policy))
}

pub(super) async fn put_policy(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let id = id(call);
    let policy = parse_policy(context, permit, call)?;
    let policy = context.service.access.update_policy(permit, &id, policy, call.now).await?;
    Ok(policy_reply(context, permit, &id, &policy))
}

pub(super) async fn delete_policy(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    context.service.access.delete_policy(permit, &id(call)).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Whether somebody may do something, and which policies say so.
pub(super) async fn test_policy(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    const NO_MOMENT: Invalid = Invalid("at is a moment like 2026-12-31T23:59:59Z");
    const NO_ADDRESS: Invalid = Invalid("address is an IP address like 192.0.2.1 or 2001:db8::1");
    const NO_ACTION: Invalid = Invalid("action must be the name of an action, without a star");
    let mut body = Object::from_body(&call.body)?;
    let action = word(&mut body, "action")?.ok_or(NO_ACTION)?;
    let action = Action::ALL.iter().find(|known| known.name() == action).ok_or(NO_ACTION)?;
    let path = word(&mut body, "path")?.map(|path| path.parse::<SecretPath>()).transpose()?;
    let (rule, user) = (word(&mut body, "rule")?, word(&mut body, "user")?);
    let at = word(&mut body, "at")?.map(|at| Timestamp::from_rfc3339(&at).ok_or(NO_MOMENT));
    let address =
        word(&mut body, "address")?.map(|address| address.parse().map_err(|_| NO_ADDRESS));
    let (at, address) = (at.transpose()?, address.transpose()?);
    if body.has_unknown() {
        return Err(UNKNOWN.into());
    }
    let whom = match (&rule, &user) {
        (None, None) => Whom::Oneself,
        (Some(rule), None) => Whom::Rule(rule),
        (None, Some(user)) => Whom::User(user),
        (Some(_), Some(_)) => return Err(Invalid("name a rule or a user, not both").into()),
    };
    // Where somebody else would ask from, nobody has said.
    let here = call.client.filter(|_| matches!(whom, Whom::Oneself));
    let circumstances = Circumstances::new(at.unwrap_or(call.now), address.or(here));
    let asked = (*action, path.as_ref());
    let told = context.service.access.explain(permit, &whom, asked, circumstances).await?;
    Ok(Reply::json(Writer::object(|out| {
        out.text("action", action.name());
        out.objects("decidedBy", &told.words, |word, out| {
            if let Some(block) = &word.block {
                out.text("block", block);
            }
            out.text("policy", &word.policy);
            out.text("says", if word.denies { "deny" } else { "allow" });
        });
        out.texts("identities", told.identities.iter().map(String::as_str));
        out.boolean("isAllowed", told.is_allowed);
        if let Some(path) = &path {
            out.text("path", path.as_str());
        }
        out.texts("rules", told.rules.iter().map(String::as_str));
        out.texts("unmetConditions", told.unmet.iter().map(String::as_str));
    })))
}

pub(super) async fn list_rules(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let (rules, next) = context.service.access.rules(permit, cursor, size).await?;
    let body = Writer::array(&rules, |(name, rule), out| {
        if let Some(rule) = rule {
            write_rule(out, name, rule);
        } else {
            out.boolean("isDamaged", true);
            out.text("name", name);
        }
    });
    Ok(page::with_next(Reply::json(body), next))
}

pub(super) async fn get_rule(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let name = name(call)?;
    let rule = context.service.access.rule(permit, &name).await?;
    Ok(Reply::json(Writer::object(|out| write_rule(out, &name, &rule))))
}

pub(super) async fn put_rule(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let name = name(call)?;
    let mut body = Object::from_body(&call.body)?;
    let rule = CertRule {
        identity: word(&mut body, "identity")?.unwrap_or_default(),
        policies: texts(&mut body, "policies")?,
        common_names: texts(&mut body, "commonNames")?,
        dns_names: texts(&mut body, "dnsNames")?,
        emails: texts(&mut body, "emails")?,
        uris: texts(&mut body, "uris")?,
        names: texts(&mut body, "names")?,
        upns: texts(&mut body, "userPrincipalNames")?,
        organizations: texts(&mut body, "organizations")?,
        organizational_units: texts(&mut body, "organizationalUnits")?,
        subject: lists(&mut body, "subject")?,
        other_names: lists(&mut body, "otherNames")?,
        required_extensions: texts(&mut body, "requiredExtensions")?,
        issuers: texts(&mut body, "issuers")?
            .iter()
            .map(|text| issuer(text))
            .collect::<Result<_, _>>()?,
        metadata: metadata(&mut body)?,
        keys: texts(&mut body, "publicKeySHA256")?
            .iter()
            .map(|text| fingerprint(text))
            .collect::<Result<_, _>>()?,
        role: None,
    };
    // A name of the rule's own would contradict the address, and a list that nobody knows would
    // make it wider than its author thinks.
    body.take(&["name"])?;
    if body.has_unknown() {
        return Err(UNKNOWN.into());
    }
    context.service.access.put_rule(permit, &name, &rule).await?;
    Ok(Reply::json(Writer::object(|out| write_rule(out, &name, &rule))))
}

pub(super) async fn delete_rule(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    context.service.access.delete_rule(permit, &name(call)?).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

const UNKNOWN: Invalid = Invalid(
    "the body has a member that a rule or a policy does not know; without it the rest would say something else",
);

/// The policy's id; the nil one, which no policy has, for what is none: whether the domain is there is
/// told first.
fn id(call: &Call) -> [u8; 16] {
    let id = call.params.name.as_deref().and_then(|text| Uuid::parse_str(text).ok());
    id.unwrap_or_default().into_bytes()
}

fn name(call: &Call) -> Result<String, Error> {
    let name = query::decode(call.params.name.as_deref().unwrap_or_default())?.into_owned();
    crate::model::policy::known_name(&name)?;
    Ok(name)
}

/// A policy in its published shape: what is not known is refused, as a policy without its condition
/// would be another one.
fn parse_policy(context: &Context, permit: &Permit, call: &Call) -> Result<IamPolicy, Error> {
    const NO_NAME: Invalid = Invalid("name is required: the policy's name as text");
    const SHAPE: Invalid = Invalid("permissions is an object of the lists allow, except and deny");
    let mut body = Object::from_body(&call.body)?;
    let name = word(&mut body, "name")?.ok_or(NO_NAME)?;
    let description = word(&mut body, "description")?.unwrap_or_default();
    let identities = texts(&mut body, "identities")?;
    let resources = items(&mut body, "resources", "urn")?
        .iter()
        .map(|urn| resource(context, permit, urn))
        .collect::<Result<_, _>>()?;
    let permissions = json::non_null(body.take(&["permissions"])?);
    let (mut allow, mut except, mut deny) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(permissions) = permissions {
        let mut lists = json::object(permissions, SHAPE)?;
        allow = items(&mut lists, "allow", "action")?;
        except = items(&mut lists, "except", "action")?;
        deny = items(&mut lists, "deny", "action")?;
        if lists.has_unknown() {
            return Err(UNKNOWN.into());
        }
    }
    let when = When { condition: condition(&mut body)?, expires_at: expires_at(&mut body)? };
    // What we tell ourselves may come back.
    for told in ["id", "createdAt", "updatedAt", "readOnly"] {
        body.take(&[told])?;
    }
    if body.has_unknown() {
        return Err(UNKNOWN.into());
    }
    let epoch = Timestamp::from_unix_seconds(0);
    Ok(IamPolicy {
        name,
        description,
        identities,
        resources,
        allow,
        except,
        deny,
        when,
        created_at: epoch,
        updated_at: epoch,
    })
}

fn condition(body: &mut Object<'_>) -> Result<Option<Condition>, Invalid> {
    let Some(raw) = json::non_null(body.take(&["conditions"])?) else { return Ok(None) };
    Condition::new(expression(raw, DEPTH_MAX)?).map(Some)
}

/// A condition in its published shape, with at most so many more within each other.
fn expression(raw: &RawValue, depth: usize) -> Result<Expression, Invalid> {
    const SHAPE: Invalid = Invalid(
        "conditions is an object: its operator is AND, OR, NOT or MATCH, the values of MATCH are an object of texts, and \
         the conditions of the others an array of such objects",
    );
    const TOO_DEEP: Invalid = Invalid("at most 8 conditions are within each other");
    let depth = depth.checked_sub(1).ok_or(TOO_DEEP)?;
    let mut object = json::object(raw, SHAPE)?;
    let operator = json::text(object.take(&["operator"])?.ok_or(SHAPE)?, SHAPE)?;
    let mut known = Operator::ALL.into_iter();
    let operator = known.find(|known| known.name() == operator).ok_or(SHAPE)?;
    let values = match json::non_null(object.take(&["values"])?) {
        None => Vec::new(),
        Some(raw) => {
            let members = json::object(raw, SHAPE)?.into_members().into_iter();
            members
                .map(|(key, raw)| Ok((key, json::text(raw, SHAPE)?)))
                .collect::<Result<_, _>>()?
        }
    };
    let conditions = match json::non_null(object.take(&["conditions"])?) {
        None => Vec::new(),
        Some(raw) => {
            let parts: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|_| SHAPE)?;
            parts.into_iter().map(|part| expression(part, depth)).collect::<Result<_, _>>()?
        }
    };
    if object.has_unknown() {
        return Err(SHAPE);
    }
    Ok(Expression { operator, values, conditions })
}

fn expires_at(body: &mut Object<'_>) -> Result<Option<Timestamp>, Invalid> {
    const WRONG: Invalid = Invalid("expiredAt is a moment like 2026-12-31T23:59:59Z");
    let Some(raw) = json::non_null(body.take(&["expiredAt"])?) else { return Ok(None) };
    Timestamp::from_rfc3339(&json::text(raw, WRONG)?).map(Some).ok_or(WRONG)
}

/// The domain as a whole, by its URN or as `*`; secrets of it by theirs, or by their paths.
fn resource(context: &Context, permit: &Permit, text: &str) -> Result<ResourcePattern, Invalid> {
    let urn = context.domain_urn(permit.okms_id()).to_string();
    if text == "*" || text == urn {
        return Ok(ResourcePattern::Domain);
    }
    let path = match text.strip_prefix(&urn) {
        Some(rest) => rest.strip_prefix("/secret/"),
        None => (!text.starts_with("urn:")).then_some(text),
    };
    let path = path.filter(|path| !path.is_empty()).ok_or(Invalid(
        "a resource is the domain's own URN, that followed by /secret/ and a path, or a path; * stands for any text in a path",
    ))?;
    Ok(ResourcePattern::Secrets(path.to_owned()))
}

fn policy_reply(context: &Context, permit: &Permit, id: &[u8; 16], policy: &IamPolicy) -> Reply {
    Reply::json(Writer::object(|out| write_policy(out, context, permit, id, policy)))
}

fn write_policy(
    out: &mut ObjectWriter<'_>,
    context: &Context,
    permit: &Permit,
    id: &[u8; 16],
    policy: &IamPolicy,
) {
    let actions = |out: &mut ObjectWriter<'_>, name: &str, actions: &[String]| {
        out.objects(name, actions, |action, out| out.text("action", action));
    };
    if let Some(condition) = &policy.when.condition {
        out.object("conditions", |out| write_expression(out, condition.written()));
    }
    out.text("createdAt", &policy.created_at.to_rfc3339_seconds());
    out.text("description", &policy.description);
    if let Some(end) = policy.when.expires_at {
        out.text("expiredAt", &end.to_rfc3339_nanos());
    }
    out.display("id", Uuid::from_bytes(*id));
    out.texts("identities", policy.identities.iter().map(String::as_str));
    out.text("name", &policy.name);
    out.object("permissions", |out| {
        actions(out, "allow", &policy.allow);
        actions(out, "except", &policy.except);
        actions(out, "deny", &policy.deny);
    });
    out.objects("resources", &policy.resources, |resource, out| {
        let urn = context.domain_urn(permit.okms_id());
        match resource {
            ResourcePattern::Domain => out.display("urn", urn),
            ResourcePattern::Secrets(path) => out.text("urn", &format!("{urn}/secret/{path}")),
        }
    });
    out.text("updatedAt", &policy.updated_at.to_rfc3339_seconds());
}

fn write_expression(out: &mut ObjectWriter<'_>, written: &Expression) {
    if !written.conditions.is_empty() {
        out.objects("conditions", &written.conditions, |one, out| write_expression(out, one));
    }
    out.text("operator", written.operator.name());
    if !written.values.is_empty() {
        out.object("values", |out| {
            for (key, value) in &written.values {
                out.text(key, value);
            }
        });
    }
}

fn write_rule(out: &mut ObjectWriter<'_>, name: &str, rule: &CertRule) {
    let keys: Vec<_> = rule.keys.iter().map(|key| text::hex(key)).collect();
    let issuers: Vec<_> = rule
        .issuers
        .iter()
        .map(|issuer| match issuer {
            RuleIssuer::Region => REGION.to_owned(),
            RuleIssuer::Key(key) => text::hex(key),
        })
        .collect();
    out.text("identity", if rule.identity.is_empty() { name } else { &rule.identity });
    out.object("metadata", |out| {
        for (name, value) in &rule.metadata {
            out.text(name, value);
        }
    });
    out.text("name", name);
    for (member, lists) in [("otherNames", &rule.other_names), ("subject", &rule.subject)] {
        out.object(member, |out| {
            for (name, texts) in lists {
                out.texts(name, texts.iter().map(String::as_str));
            }
        });
    }
    for (member, texts) in [
        ("commonNames", &rule.common_names),
        ("dnsNames", &rule.dns_names),
        ("emails", &rule.emails),
        ("issuers", &issuers),
        ("names", &rule.names),
        ("organizationalUnits", &rule.organizational_units),
        ("organizations", &rule.organizations),
        ("policies", &rule.policies),
        ("publicKeySHA256", &keys),
        ("requiredExtensions", &rule.required_extensions),
        ("uris", &rule.uris),
        ("userPrincipalNames", &rule.upns),
    ] {
        out.texts(member, texts.iter().map(String::as_str));
    }
}

fn issuer(text: &str) -> Result<RuleIssuer, Invalid> {
    if text == REGION { Ok(RuleIssuer::Region) } else { fingerprint(text).map(RuleIssuer::Key) }
}

fn metadata(body: &mut Object<'_>) -> Result<BTreeMap<String, String>, Invalid> {
    const WRONG: Invalid = Invalid("metadata is an object of texts");
    let Some(raw) = json::non_null(body.take(&["metadata"])?) else { return Ok(BTreeMap::new()) };
    let members = json::object(raw, WRONG)?.into_members();
    members.into_iter().map(|(name, raw)| Ok((name, json::text(raw, WRONG)?))).collect()
}

fn fingerprint(text: &str) -> Result<[u8; 32], Invalid> {
    const WRONG: Invalid = Invalid(
        "publicKeySHA256 and issuers list SHA-256 of public keys, each 64 hexadecimal digits; issuers can have region, too",
    );
    text::sha256(text).ok_or(WRONG)
}

fn word(body: &mut Object<'_>, name: &str) -> Result<Option<String>, Invalid> {
    const WRONG: Invalid = Invalid("name, description and identity are texts");
    json::non_null(body.take(&[name])?).map(|raw| json::text(raw, WRONG)).transpose()
}

fn texts(body: &mut Object<'_>, name: &str) -> Result<Vec<String>, Invalid> {
    let Some(raw) = json::non_null(body.take(&[name])?) else { return Ok(Vec::new()) };
    json::texts(raw, LIST)
}

/// Lists by names of the client's choice.
fn lists(body: &mut Object<'_>, name: &str) -> Result<BTreeMap<String, Vec<String>>, Invalid> {
    const WRONG: Invalid = Invalid("subject and otherNames are objects of arrays of texts");
    let Some(raw) = json::non_null(body.take(&[name])?) else { return Ok(BTreeMap::new()) };
    let members = json::object(raw, WRONG)?.into_members();
    members.into_iter().map(|(name, raw)| Ok((name, json::texts(raw, WRONG)?))).collect()
}

/// What the member `of` of each object in a list says.
fn items(body: &mut Object<'_>, name: &str, of: &str) -> Result<Vec<String>, Invalid> {
    const SHAPE: Invalid = Invalid(
        "resources lists objects with an urn; allow, except and deny list objects with an action",
    );
    let Some(raw) = json::non_null(body.take(&[name])?) else { return Ok(Vec::new()) };
    let one = |raw| {
        let mut object = json::object(raw, SHAPE)?;
        let said = json::text(object.take(&[of])?.ok_or(SHAPE)?, SHAPE)?;
        if object.has_unknown() { Err(UNKNOWN) } else { Ok(said) }
    };
    list(raw)?.into_iter().map(one).collect()
}

fn list(raw: &RawValue) -> Result<Vec<&RawValue>, Invalid> {
    serde_json::from_str(raw.get()).map_err(|_| LIST)
}
