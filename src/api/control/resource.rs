//! Domains and access certificates.

use super::super::{
    Call, Context, Reply,
    json::{self, Object, ObjectWriter, Writer},
    okms::render,
    page,
};
use crate::{
    auth::{Permit, RegionPermit},
    model::Invalid,
    service::{CredentialRequest, Domain, Error, KeyKind, KeySource},
};

/// How many days an access certificate lives where nobody says otherwise, as in the central API.
const DAYS: u32 = 365;

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
    let domain = context.service.tenants.create(permit, &name, call.now).await?;
    Ok(domain_reply(context, &domain, &body))
}

pub(super) async fn get_domain(
    context: &Context,
    permit: &Permit,
    _: &Call,
) -> Result<Reply, Error> {
    let domain = context.service.tenants.get(permit).await?;
    Ok(Reply::json(Writer::object(|out| resource(out, context, &domain))))
}

pub(super) async fn create_credential(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    const NO_NAME: Invalid = Invalid("name is required: the certificate's display name as text");
    const CSR: Invalid = Invalid("csr must be a PKCS#10 request in PEM, as text");
    const KIND: Invalid = Invalid("certificateType must be ECDSA or RSA");
    const DAYS_WRONG: Invalid = Invalid("validity must be a whole number of days");
    let mut body = Object::from_body(&call.body)?;
    let name = json::text(json::non_null(body.take(&["name"])?).ok_or(NO_NAME)?, NO_NAME)?;
    let csr = json::non_null(body.take(&["csr"])?).map(|raw| json::text(raw, CSR)).transpose()?;
    let kind = json::non_null(body.take(&["certificateType"])?)
        .map(|raw| json::text(raw, KIND))
        .transpose()?;
    let days = json::non_null(body.take(&["validity"])?)
        .map(|raw| json::number(raw, DAYS_WRONG))
        .transpose()?;
    let (key, kind) = match (csr, kind.as_deref()) {
        (Some(csr), None) => (KeySource::Request(csr), None),
        (Some(_), Some(_)) => {
            return Err(Invalid("csr brings its own key; leave certificateType out").into());
        }
        (None, None | Some("ECDSA")) => (KeySource::Fresh(KeyKind::P256), Some("ECDSA")),
        (None, Some("RSA")) => (KeySource::Fresh(KeyKind::Rsa2048), Some("RSA")),
        (None, Some(_)) => return Err(KIND.into()),
    };
    let request = CredentialRequest { name: name.clone(), key, days: days.unwrap_or(DAYS) };
    let issued = context.service.credentials.issue(permit, request, call.machine_now).await?;
    Ok(Reply::json(Writer::object_sized(4096, |out| {
        out.text("certificatePEM", &issued.certificate_pem);
        if let Some(kind) = kind {
            out.text("certificateType", kind);
        }
        out.text("createdAt", &call.machine_now.to_rfc3339_seconds());
        out.text("expiredAt", &issued.expires_at.to_rfc3339_seconds());
        out.boolean("fromCSR", issued.key.is_none());
        out.text("name", &name);
        if let Some(key) = &issued.key {
            // Shown this once, to the operator who asked for it.
            out.text("privateKeyPEM", key.expose());
        }
        out.text("status", "READY");
        unknown(out, &body);
    })))
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
    out.text("region", &context.region);
    out.text("restEndpoint", &context.endpoint);
    out.text("swaggerEndpoint", &format!("{}/swagger/", context.endpoint));
}

fn unknown(out: &mut ObjectWriter<'_>, body: &Object<'_>) {
    if body.has_unknown() {
        render::warnings(out, &[render::IGNORED_FIELDS]);
    }
}
