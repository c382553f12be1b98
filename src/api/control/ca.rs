//! Authorities of customers, whose certificates reach one domain.

use hyper::StatusCode;

use super::super::{
    Call, Context, Reply,
    json::{self, Object, ObjectWriter, Writer},
    page, query,
};
use crate::{
    auth::Permit,
    model::{AddedBy, Invalid, Timestamp, text},
    service::{CaRequest, Error, KnownCa},
};

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let (found, next) = context.service.customer_cas.list(permit, cursor, size).await?;
    let body = Writer::array(&found, |known, out| shown(out, known, call.machine_now));
    Ok(page::with_next(Reply::json(body), next))
}

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let known = context.service.customer_cas.get(permit, &name(call)?).await?;
    Ok(whole(&known, call))
}

pub(super) async fn put(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    const NO_CERTIFICATE: Invalid =
        Invalid("certificatePEM is required: the authority's certificate in PEM, as text");
    const WRONG: Invalid = Invalid("certificatePEM, proofPEM and description are texts");
    const UNKNOWN: Invalid = Invalid(
        "the body has a member that an authority does not have; it has certificatePEM, proofPEM and description",
    );
    let name = name(call)?;
    let mut body = Object::from_body(&call.body)?;
    let mut word =
        |name| json::non_null(body.take(&[name])?).map(|raw| json::text(raw, WRONG)).transpose();
    let request = CaRequest {
        certificate: word("certificatePEM")?.ok_or(NO_CERTIFICATE)?,
        description: word("description")?.unwrap_or_default(),
        proof: word("proofPEM")?,
    };
    // What we tell ourselves may come back.
    for told in TOLD {
        body.take(&[told])?;
    }
    if body.has_unknown() {
        return Err(UNKNOWN.into());
    }
    let known = context.service.customer_cas.put(permit, &name, &request, call.machine_now).await?;
    Ok(whole(&known, call))
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    context.service.customer_cas.delete(permit, &name(call)?).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// What is told beside what was said.
const TOLD: [&str; 9] = [
    "name",
    "subject",
    "publicKeySHA256",
    "managedBy",
    "status",
    "validFrom",
    "expiredAt",
    "createdAt",
    "updatedAt",
];

pub(super) fn name(call: &Call) -> Result<String, Error> {
    let name = query::decode(call.params.name.as_deref().unwrap_or_default())?.into_owned();
    crate::model::policy::known_name(&name)?;
    Ok(name)
}

fn whole(known: &KnownCa, call: &Call) -> Reply {
    Reply::json(Writer::object_sized(4096, |out| {
        out.text("certificatePEM", &known.certificate_pem());
        shown(out, known, call.machine_now);
    }))
}

/// What is told of an authority wherever it is shown.
fn shown(out: &mut ObjectWriter<'_>, known: &KnownCa, now: Timestamp) {
    let date = |seconds| Timestamp::from_unix_seconds(seconds).to_rfc3339_seconds();
    if let Some(kept) = &known.kept {
        out.text("createdAt", &kept.created_at.to_rfc3339_seconds());
        out.text("description", &kept.description);
    }
    let validity = known.validity();
    if let Some(validity) = validity {
        out.text("expiredAt", &date(validity.not_after));
    }
    out.text(
        "managedBy",
        match known.kept.as_ref().map(|kept| kept.added_by) {
            Some(AddedBy::Operator) => "operator",
            Some(AddedBy::Domain) => "domain",
            None => "configuration",
        },
    );
    if let Some(name) = &known.name {
        out.text("name", name);
    }
    if let Some(key) = known.key_sha256() {
        out.text("publicKeySHA256", &text::hex(&key));
    }
    let is_over = validity.is_none_or(|validity| validity.has_expired(now));
    out.text("status", if is_over { "EXPIRED" } else { "READY" });
    out.text("subject", &known.subject().unwrap_or_default());
    if let Some(kept) = &known.kept {
        out.text("updatedAt", &kept.updated_at.to_rfc3339_seconds());
    }
    if let Some(validity) = validity {
        out.text("validFrom", &date(validity.not_before));
    }
}
