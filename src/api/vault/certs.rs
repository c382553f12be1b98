//! `auth/cert/certs`: the mapping rules of a domain, in the words of Vault's certificate method.
//!
//! A role is a rule of the same name, and counts as one: for every certificate that fits it, whether
//! it logs in or not. What Vault asks and a rule does not is refused where it would have narrowed the
//! role, and warned of where it would have made another difference. A field that is not named stays as it is.

use hyper::StatusCode;

use super::{
    super::{Failed, Reply, json::ObjectWriter},
    asked::Asked,
    envelope,
    envelope::{Parts, TOKEN},
    fields::{self, Fields, ListField},
};
use crate::{
    model::{CertRole, CertRule, Invalid},
    service::{Error, RoleCertificate},
};

/// One of a rule's lists.
type List = fn(&mut CertRule) -> &mut Vec<String>;

/// The lists of a rule, by the names that Vault has for them.
const LISTS: [(ListField, List); 7] = [
    (ListField::ALLOWED_COMMON_NAMES, |rule| &mut rule.common_names),
    (ListField::ALLOWED_DNS_SANS, |rule| &mut rule.dns_names),
    (ListField::ALLOWED_EMAIL_SANS, |rule| &mut rule.emails),
    (ListField::ALLOWED_NAMES, |rule| &mut rule.names),
    (ListField::ALLOWED_ORGANIZATIONAL_UNITS, |rule| &mut rule.organizational_units),
    (ListField::ALLOWED_URI_SANS, |rule| &mut rule.uris),
    (ListField::REQUIRED_EXTENSIONS, |rule| &mut rule.required_extensions),
];
const OF_EVERYBODY: Invalid =
    Invalid("a role asks for a certificate or for names; without, it would be everybody's");
/// A role that counted from some addresses alone would leave its certificates, from others, to what
/// whoever fits no role may.
const BOUND: Invalid = Invalid(
    "token_bound_cidrs and bound_cidrs are not served: tokens are bound to a key; give the policies of the role, in IAM's \
     words, a condition on request.IP, which is judged for each request",
);
/// What would narrow a role otherwise than a rule can.
const NOT_SERVED: [(&str, Invalid); 7] = [
    (
        "ocsp_enabled",
        Invalid(
            "ocsp_enabled is not served: no OCSP responder is asked here, so that who was revoked would come in; leave it \
             out, and give the authority a revocation list",
        ),
    ),
    ("token_explicit_max_ttl", Invalid("token_explicit_max_ttl is not served; use token_max_ttl")),
    ("token_bound_cidrs", BOUND),
    ("bound_cidrs", BOUND),
    ("token_num_uses", Invalid("token_num_uses is not served: a token lives until it ends")),
    ("token_period", Invalid("token_period is not served: a token is renewed until its end")),
    ("period", Invalid("period is not served: a token is renewed until its end")),
];
const NO_OCSP: &str = "no OCSP responder is asked here; give the authority a revocation list";
/// What makes no difference here, and why.
const OF_NO_EFFECT: [(&str, &str); 8] = [
    (
        "allowed_metadata_extensions",
        "a certificate's extensions are not put into metadata; give the rule of this name metadata of its own",
    ),
    ("ocsp_ca_certificates", NO_OCSP),
    ("ocsp_fail_open", NO_OCSP),
    ("ocsp_max_retries", NO_OCSP),
    ("ocsp_query_all_servers", NO_OCSP),
    ("ocsp_servers_override", NO_OCSP),
    ("ocsp_this_update_max_age", NO_OCSP),
    ("token_no_default_policy", "what default allows, every certificate of the domain may do"),
];

pub(super) async fn list(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let names = context.service.access.rule_names(permit).await?;
    if names.is_empty() {
        return Err(Error::RuleNotFound.into());
    }
    let parts = Parts { bytes: 32 * names.len(), ..Parts::default() };
    Ok(envelope::data(call, TOKEN, &parts, |out| {
        out.texts("keys", names.iter().map(String::as_str));
    }))
}

pub(super) async fn read(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let mut rule = context.service.access.rule(permit, asked.name()).await?;
    let warnings = unseen(&rule);
    let parts = Parts { bytes: 1024, warnings: &warnings };
    Ok(envelope::data(call, TOKEN, &parts, |out| write_role(out, &mut rule)))
}

pub(super) async fn write(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let mut lists = Vec::new();
    for (field, of) in LISTS {
        if let Some(texts) = fields.list(field)? {
            lists.push((of, texts));
        }
    }
    let (policies, older) =
        (fields.list(ListField::TOKEN_POLICIES)?, fields.list(ListField::POLICIES)?);
    let policies = policies.or(older);
    let certificate = fields.text("certificate")?.filter(|text| !text.is_empty());
    let certificate = certificate.map(|text| RoleCertificate::parse(&text)).transpose()?;
    let display_name = fields.text("display_name")?;
    let mut seconds = |names: [&'static str; 3]| -> Result<Option<u64>, Failed> {
        let mut found = None;
        for name in names {
            let given = fields.seconds(name)?;
            found = found.or(given.and_then(|seconds| u64::try_from(seconds).ok()));
        }
        Ok(found)
    };
    let ttl = seconds(["token_ttl", "ttl", "lease"])?;
    let max_ttl = seconds(["token_max_ttl", "max_ttl", "max_lease"])?;
    for (name, fault) in NOT_SERVED {
        if says_something(&mut fields, name)? {
            return Err(fault.into());
        }
    }
    let kind = fields.text("token_type")?.unwrap_or_default();
    if !matches!(kind.as_str(), "" | "service" | "default" | "default-service") {
        return Err(Invalid("only tokens of type service are made here").into());
    }
    let mut warnings = Vec::new();
    for (name, why) in OF_NO_EFFECT {
        if says_something(&mut fields, name)? {
            warnings.push(format!("{name} has no effect: {why}"));
        }
    }
    let change = |before: Option<CertRule>| {
        let mut rule = before.unwrap_or_default();
        let mut role = rule.role.take().unwrap_or_default();
        for (of, texts) in &lists {
            of(&mut rule).clone_from(texts);
        }
        if let Some(policies) = &policies {
            rule.policies.clone_from(policies);
        }
        if let Some(certificate) = &certificate {
            role.certificate = certificate.narrow(&mut rule);
        }
        if let Some(name) = &display_name {
            role.display_name.clone_from(name);
        }
        let lists = LISTS.iter().any(|(_, of)| !of(&mut rule).is_empty());
        let others = !rule.upns.is_empty()
            || !rule.organizations.is_empty()
            || !rule.subject.is_empty()
            || !rule.other_names.is_empty();
        if !lists && !others && rule.keys.is_empty() && rule.issuers.is_empty() {
            return Err(OF_EVERYBODY.into());
        }
        role.ttl_seconds = ttl.unwrap_or(role.ttl_seconds);
        role.max_ttl_seconds = max_ttl.unwrap_or(role.max_ttl_seconds);
        Ok(CertRule { role: Some(role), ..rule })
    };
    context.service.access.change_rule(permit, asked.name(), change).await?;
    warnings.extend(fields.warnings());
    Ok(envelope::nothing(call, TOKEN, &warnings))
}

pub(super) async fn delete(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, permit, .. } = *asked;
    match context.service.access.delete_rule(permit, asked.name()).await {
        Ok(()) | Err(Error::RuleNotFound) => Ok(Reply::empty(StatusCode::NO_CONTENT)),
        Err(error) => Err(error.into()),
    }
}

/// Whether a field is there, and not what it would be if it were not.
fn says_something(fields: &mut Fields<'_>, name: &str) -> Result<bool, Failed> {
    let is_nothing = |text: &str| {
        let text = text.trim_matches('"');
        matches!(text, "" | "0" | "0s" | "[]" | "{}" | "false")
    };
    Ok(fields.take(name)?.is_some_and(|raw| !is_nothing(raw.get())))
}

/// A warning about what this address does not show of a rule.
fn unseen(rule: &CertRule) -> Vec<String> {
    let is_shown = rule.upns.is_empty()
        && rule.organizations.is_empty()
        && rule.subject.is_empty()
        && rule.other_names.is_empty()
        && rule.metadata.is_empty()
        && (rule.role.as_ref().is_some_and(|role| !role.certificate.is_empty())
            || rule.keys.is_empty() && rule.issuers.is_empty());
    let text =
        "the rule asks for more, or says more, than this address shows; see the rule of this name";
    if is_shown { Vec::new() } else { vec![text.to_owned()] }
}

fn write_role(out: &mut ObjectWriter<'_>, rule: &mut CertRule) {
    let role = rule.role.take().unwrap_or_default();
    let CertRole { certificate, display_name, ttl_seconds, max_ttl_seconds } = &role;
    for (field, of) in LISTS {
        out.texts(field.name(), of(rule).iter().map(String::as_str));
    }
    out.text("certificate", certificate);
    out.text("display_name", display_name);
    out.texts("policies", rule.policies.iter().map(String::as_str));
    out.texts("token_bound_cidrs", []);
    out.number("token_explicit_max_ttl", 0u32);
    out.number("token_max_ttl", *max_ttl_seconds);
    out.boolean("token_no_default_policy", false);
    out.number("token_num_uses", 0u32);
    out.number("token_period", 0u32);
    out.texts("token_policies", rule.policies.iter().map(String::as_str));
    out.number("token_ttl", *ttl_seconds);
    out.text("token_type", "default");
}
