//! Domains.

use super::super::{
    Call, Context, Reply,
    json::{self, Object, ObjectWriter, Writer},
    okms::render,
    page,
};
use crate::{
    auth::{Permit, RegionPermit},
    model::Invalid,
    service::{Domain, DomainPatch, Error},
};

pub(super) async fn list_domains(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Error> {
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let (domains, next) = context.service.tenants.list(permit, cursor, size).await?;
    let body = Writer::array(&domains, |domain, out| resource(out, context, domain));
    Ok(page::with_next(Reply::json(body), next))
}

pub(super) async fn create_domain(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Error> {
    const NO_NAME: Invalid = Invalid("name is required: the domain's name as text");
    let mut body = Object::from_body(&call.body)?;
    let name =
        json::text(json::non_null(body.take(&["name", "displayName"])?).ok_or(NO_NAME)?, NO_NAME)?;
    let patch = said(&mut body)?;
    let domain = context.service.tenants.create_with(permit, &name, &patch, call.now).await?;
    Ok(domain_reply(context, &domain, &body))
}

pub(super) async fn put_domain(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let mut body = Object::from_body(&call.body)?;
    let patch = said(&mut body)?;
    let domain = context.service.tenants.update(permit, &patch).await?;
    Ok(domain_reply(context, &domain, &body))
}

/// What a body says of a domain beside its name: a null clears.
fn said(body: &mut Object<'_>) -> Result<DomainPatch, Invalid> {
    const TENANT: Invalid = Invalid("tenant is text, or null for none");
    const PARTNER: Invalid =
        Invalid("partner is the okmsId or the tenant name of a domain, or null for none");
    let mut text = |name, wrong| {
        let raw = body.take(&[name])?;
        Ok::<_, Invalid>(raw.map(|raw| match raw.get() {
            "null" => Ok(None),
            _ => json::text(raw, wrong).map(Some),
        }))
    };
    let alias = text("tenant", TENANT)?.transpose()?;
    let alias = alias.map(|alias| alias.map(|alias| alias.parse()).transpose()).transpose()?;
    let partner = text("partner", PARTNER)?.transpose()?;
    Ok(DomainPatch { alias, partner })
}

pub(super) async fn get_domain(
    context: &Context,
    permit: &Permit,
    _: &Call,
) -> Result<Reply, Error> {
    let domain = context.service.tenants.get(permit).await?;
    Ok(Reply::json(Writer::object(|out| resource(out, context, &domain))))
}

fn domain_reply(context: &Context, domain: &Domain, body: &Object<'_>) -> Reply {
    Reply::json(Writer::object(|out| {
        resource(out, context, domain);
        unknown(out, body);
    }))
}

fn resource(out: &mut ObjectWriter<'_>, context: &Context, domain: &Domain) {
    let id = domain.id.to_string();
    out.text("createdAt", &domain.created_at.to_rfc3339_seconds());
    out.object("iam", |out| {
        out.text("displayName", &domain.name);
        out.text("id", &id);
        out.display("urn", context.domain_urn(domain.id));
    });
    out.text("id", &id);
    out.text("name", &domain.name);
    if let Some(partner) = domain.partner {
        out.text("partner", &partner.to_string());
    }
    out.text("region", &context.region);
    out.text("restEndpoint", &context.endpoint);
    out.text("swaggerEndpoint", &format!("{}/swagger/", context.endpoint));
    if let Some(alias) = &domain.alias {
        out.text("tenant", alias.as_str());
    }
}

pub(super) fn unknown(out: &mut ObjectWriter<'_>, body: &Object<'_>) {
    if body.has_unknown() {
        render::warnings(out, &[render::IGNORED_FIELDS]);
    }
}
