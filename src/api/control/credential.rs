//! Access certificates: issued, listed, shown, renewed, revoked; and what of that everybody may
//! know.

use hyper::StatusCode;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{
    super::{
        Call, Context, Failed, Reply,
        json::{self, Object, ObjectWriter, Writer},
        page, query,
    },
    resource::unknown,
};
use crate::{
    auth::{Permit, RegionPermit},
    model::{DeactivateAfter, Invalid, Revocation, RevocationReason, Timestamp},
    service::{
        CredentialRequest, Error, IssuedCredential, KeyKind, KeySource, KnownCredential, Renewal,
        Serial,
    },
};

/// How many days an access certificate lives where nobody says otherwise, as in the central API.
const DAYS: u32 = 365;

pub(super) async fn list(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    const WITHIN: Invalid = Invalid("endingWithin must be a time such as 14d or 12h");
    let (cursor, size) = (page::cursor(call)?, page::size(call)?);
    let (credentials, now) = (&context.service.credentials, call.machine_now);
    let (found, next) = match query::parameter(call.query(), "endingWithin")? {
        Some(within) => {
            let seconds = within.parse::<DeactivateAfter>().map_err(|_| WITHIN)?.limit_seconds();
            let span = (now, seconds.ok_or(WITHIN)?);
            credentials.list_ending(permit, span, cursor, size).await?
        }
        None => credentials.list(permit, cursor, size).await?,
    };
    let body = Writer::array(&found, |known, out| shown(out, known, call.machine_now));
    Ok(page::with_next(Reply::json(body), next))
}

pub(super) async fn create(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    const NO_NAME: Invalid = Invalid("name is required: the certificate's display name as text");
    const DESCRIPTION: Invalid = Invalid("description must be text");
    const IDENTITIES: Invalid = Invalid("identityURNs must be an array of texts");
    let mut body = Object::from_body(&call.body)?;
    let name = json::text(json::non_null(body.take(&["name"])?).ok_or(NO_NAME)?, NO_NAME)?;
    let description = json::non_null(body.take(&["description"])?);
    let description = description.map(|raw| json::text(raw, DESCRIPTION)).transpose()?;
    let identities = json::non_null(body.take(&["identityURNs", "identityUrns"])?);
    let identities = identities.map(|raw| json::texts(raw, IDENTITIES)).transpose()?;
    let (key, kind) = key(&mut body)?;
    let request = CredentialRequest {
        name,
        description: description.unwrap_or_default(),
        identities: identities.unwrap_or_default(),
        key,
        days: days(&mut body)?.unwrap_or(DAYS),
    };
    let issued = context.service.credentials.issue(permit, request, call.machine_now).await?;
    Ok(new(&issued, kind, &body, call))
}

pub(super) async fn renew(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    const REVOKE: Invalid = Invalid("revokeOld must be true or false");
    let whole: &[u8] = if call.body.trim_ascii().is_empty() { b"{}" } else { &call.body };
    let mut body = Object::from_body(whole)?;
    let (key, kind) = key(&mut body)?;
    let revokes_old = json::non_null(body.take(&["revokeOld"])?);
    let revokes_old = revokes_old.map(|raw| json::boolean(raw, REVOKE)).transpose()?;
    let days = days(&mut body)?;
    let renewal = Renewal { key, days, revokes_old: revokes_old.unwrap_or_default() };
    let issued = context.service.credentials.renew(permit, renewal, call.machine_now).await?;
    Ok(new(&issued, kind, &body, call))
}

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let known = context.service.credentials.get(permit, id(call)?).await?;
    let body = Writer::object_sized(2048, |out| {
        if let Some(pem) = known.certificate_pem() {
            out.text("certificatePEM", &pem);
        }
        shown(out, &known, call.machine_now);
    });
    Ok(Reply::json(body))
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    let asked = query::parameter(call.query(), "reason")?;
    let asked = asked.map(|text| text.parse()).transpose()?;
    let reason = match (asked, call.body.trim_ascii().is_empty()) {
        (Some(_), false) => {
            return Err(Invalid("give the reason once: in the query or in the body").into());
        }
        (None, false) => reason(Object::from_body(&call.body)?.take(&["reason"])?)?,
        (asked, true) => asked,
    };
    let (id, now) = (id(call)?, call.machine_now);
    context.service.credentials.revoke(permit, id, reason.unwrap_or_default(), now).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// Revokes by serial number, for what no domain's list shows: an operator's certificate, or one
/// that was issued elsewhere with the authority's key.
pub(super) async fn revoke_serial(
    context: &Context,
    permit: &RegionPermit,
    call: &Call,
) -> Result<Reply, Error> {
    const NO_SERIAL: Invalid =
        Invalid("serial is required: the certificate's serial number in hexadecimal, as text");
    let mut body = Object::from_body(&call.body)?;
    let serial = json::non_null(body.take(&["serial"])?).ok_or(NO_SERIAL)?;
    let serial: Serial = json::text(serial, NO_SERIAL)?.parse()?;
    let reason = reason(body.take(&["reason"])?)?.unwrap_or_default();
    let revocations = &context.service.revocations;
    let revocation = revocations.revoke(permit, serial, reason, call.machine_now).await?;
    Ok(Reply::json(Writer::object(|out| {
        status(out, serial, Some(revocation));
        unknown(out, &body);
    })))
}

/// Whether the certificate with a serial number was revoked, for everybody.
pub(super) fn serial_status(context: &Context, call: &Call) -> Result<Reply, Failed> {
    let serial: Serial = call.params.name.as_deref().unwrap_or_default().parse()?;
    let revocation = context.service.revocations.revoked().get(serial);
    Ok(Reply::json(Writer::object(|out| status(out, serial, revocation))))
}

/// The list of what was revoked, for everybody.
pub(super) async fn revocation_list(context: &Context, call: &Call) -> Result<Reply, Failed> {
    let list = context.service.revocations.list(call.machine_now).await?;
    Ok(Reply::ok("application/pkix-crl", list))
}

fn status(out: &mut ObjectWriter<'_>, serial: Serial, revocation: Option<Revocation>) {
    if let Some(Revocation { at, reason, .. }) = revocation {
        out.text("reason", reason.name());
        out.text("revokedAt", &at.to_rfc3339_seconds());
    }
    out.display("serial", serial);
    out.text("status", if revocation.is_some() { "REVOKED" } else { "NOT_REVOKED" });
}

/// The id in the address. What is no id is nobody's.
fn id(call: &Call) -> Result<Uuid, Error> {
    let text = call.params.name.as_deref().unwrap_or_default();
    Uuid::try_parse(text).ok().filter(|_| text.len() == 36).ok_or(Error::CredentialNotFound)
}

fn reason(raw: Option<&RawValue>) -> Result<Option<RevocationReason>, Invalid> {
    const WRONG: Invalid = Invalid("reason must be text, such as superseded");
    json::non_null(raw).map(|raw| json::text(raw, WRONG)?.parse()).transpose()
}

fn days(body: &mut Object<'_>) -> Result<Option<u32>, Invalid> {
    const WRONG: Invalid = Invalid("validity must be a whole number of days");
    json::non_null(body.take(&["validity"])?).map(|raw| json::number(raw, WRONG)).transpose()
}

/// Whose key, and of which kind where it is made here.
fn key(body: &mut Object<'_>) -> Result<(KeySource, Option<&'static str>), Invalid> {
    const CSR: Invalid = Invalid("csr must be a PKCS#10 request in PEM, as text");
    const KIND: Invalid = Invalid("certificateType must be ECDSA or RSA");
    let csr = json::non_null(body.take(&["csr"])?).map(|raw| json::text(raw, CSR)).transpose()?;
    let kind = json::non_null(body.take(&["certificateType"])?)
        .map(|raw| json::text(raw, KIND))
        .transpose()?;
    match (csr, kind.as_deref()) {
        (Some(csr), None) => Ok((KeySource::Request(csr), None)),
        (Some(_), Some(_)) => Err(Invalid("csr brings its own key; leave certificateType out")),
        (None, None | Some("ECDSA")) => Ok((KeySource::Fresh(KeyKind::P256), Some("ECDSA"))),
        (None, Some("RSA")) => Ok((KeySource::Fresh(KeyKind::Rsa2048), Some("RSA"))),
        (None, Some(_)) => Err(KIND),
    }
}

/// The answer that brings a new certificate.
fn new(
    issued: &IssuedCredential,
    kind: Option<&'static str>,
    body: &Object<'_>,
    call: &Call,
) -> Reply {
    Reply::json(Writer::object_sized(4096, |out| {
        out.text("certificatePEM", &issued.certificate_pem);
        if let Some(kind) = kind {
            out.text("certificateType", kind);
        }
        if let Some(key) = &issued.key {
            // Shown this once, to whoever asked for it.
            out.text("privateKeyPEM", key.expose());
        }
        shown(out, &issued.known, call.machine_now);
        unknown(out, body);
    }))
}

/// What is told of a certificate wherever it is shown.
fn shown(out: &mut ObjectWriter<'_>, known: &KnownCredential, now: Timestamp) {
    let KnownCredential { id, credential, revocation } = known;
    out.text("createdAt", &credential.issued_at.to_rfc3339_seconds());
    out.text("description", &credential.description);
    out.text("expiredAt", &credential.ends_at.to_rfc3339_seconds());
    out.boolean("fromCSR", credential.is_from_request);
    out.display("id", id);
    out.texts("identityURNs", credential.identities.iter().map(String::as_str));
    out.text("name", &credential.name);
    if let Some(renewed) = credential.renews {
        out.display("renewedFrom", Uuid::from_bytes(renewed));
    }
    if let Some(Revocation { at, reason, .. }) = revocation {
        out.text("revocationReason", reason.name());
        out.text("revokedAt", &at.to_rfc3339_seconds());
    }
    if let Some(serial) = known.serial() {
        out.text("serial", &serial);
    }
    out.text(
        "status",
        match revocation {
            Some(_) => "REVOKED",
            None if now.unix_seconds() > credential.ends_at.unix_seconds() => "EXPIRED",
            None => "READY",
        },
    );
}
