//! The revocation lists that a domain gives for its authorities.

use hyper::StatusCode;

use super::{
    super::{
        Call, Context, Reply,
        json::{self, Object, Writer},
    },
    ca::name,
};
use crate::{
    auth::Permit,
    model::{Invalid, Timestamp},
    service::{CaListRequest, Error, KnownCaList},
};

/// What goes on when the next list is overdue, as the configuration says it of its own.
const STALE: [(&str, bool); 2] = [("refuse", false), ("accept", true)];

pub(super) async fn get(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    let known = context.service.customer_cas.list_of(permit, &name(call)?).await?;
    Ok(shown(&known, call.machine_now))
}

pub(super) async fn put(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    const NO_LIST: Invalid = Invalid(
        "crlPEM is required: the authority's revocation list in PEM, or its DER in base64, as text",
    );
    const WRONG: Invalid = Invalid("crlPEM and stale are texts");
    const NOT_STALE: Invalid = Invalid(
        "stale says what is done when the list is past its end (nextUpdate): refuse, or accept",
    );
    const UNKNOWN: Invalid = Invalid(
        "the body has a member that a revocation list does not have; it has crlPEM and stale",
    );
    let name = name(call)?;
    let mut body = Object::from_body(&call.body)?;
    let mut word =
        |name| json::non_null(body.take(&[name])?).map(|raw| json::text(raw, WRONG)).transpose();
    let list = word("crlPEM")?.ok_or(NO_LIST)?;
    let stale = word("stale")?;
    let said = |text: String| STALE.iter().find(|(name, _)| *name == text).ok_or(NOT_STALE);
    let is_lenient = stale.map(said).transpose()?.is_some_and(|(_, is_lenient)| *is_lenient);
    // What we tell ourselves may come back.
    for told in TOLD {
        body.take(&[told])?;
    }
    if body.has_unknown() {
        return Err(UNKNOWN.into());
    }
    let request = CaListRequest { list, is_lenient };
    let cas = &context.service.customer_cas;
    let known = cas.put_list(permit, &name, &request, call.machine_now).await?;
    Ok(shown(&known, call.machine_now))
}

pub(super) async fn delete(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    context.service.customer_cas.delete_list(permit, &name(call)?).await?;
    Ok(Reply::empty(StatusCode::NO_CONTENT))
}

/// What is told beside what was said.
const TOLD: [&str; 6] = ["nextUpdate", "number", "revoked", "status", "thisUpdate", "updatedAt"];

fn shown(known: &KnownCaList, now: Timestamp) -> Reply {
    let date = |seconds| Timestamp::from_unix_seconds(seconds).to_rfc3339_seconds();
    let (kept, pem) = (&known.kept, known.pem());
    Reply::json(Writer::object_sized(pem.len() + 512, |out| {
        out.text("crlPEM", &pem);
        out.text("nextUpdate", &date(kept.next_update));
        if let Some(number) = known.number() {
            out.text("number", &number);
        }
        out.number("revoked", kept.revoked);
        let stale = STALE.iter().find(|(_, is_lenient)| *is_lenient == kept.is_lenient);
        out.text("stale", stale.map_or("refuse", |(name, _)| name));
        let is_over = kept.next_update < now.unix_seconds();
        out.text("status", if is_over { "EXPIRED" } else { "READY" });
        out.text("thisUpdate", &date(kept.this_update));
        out.text("updatedAt", &kept.updated_at.to_rfc3339_seconds());
    }))
}
