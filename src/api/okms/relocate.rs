//! Secrets that go to another place, with their whole history.

use super::{
    super::{
        Call, Context, Reply,
        json::{self, Object, Writer},
    },
    render,
};
use crate::{
    auth::Permit,
    model::Invalid,
    service::{Error, Relocation, Way},
};

pub(super) async fn relocate(
    context: &Context,
    permit: &Permit,
    call: &Call,
) -> Result<Reply, Error> {
    answer(context, permit, call, true).await
}

pub(super) async fn copy(context: &Context, permit: &Permit, call: &Call) -> Result<Reply, Error> {
    answer(context, permit, call, false).await
}

async fn answer(
    context: &Context,
    permit: &Permit,
    call: &Call,
    moves: bool,
) -> Result<Reply, Error> {
    const FROM: Invalid =
        Invalid("from is missing: the path of a secret, or of a folder, which ends in a slash");
    const TO: Invalid = Invalid("to is missing: the path of a secret, or of a folder, as from is");
    const OVERWRITE: Invalid = Invalid("overwrite is true or false");
    let mut body = Object::from_body(&call.body)?;
    let mut text = |name, missing: Invalid| {
        let raw = json::non_null(body.take(&[name])?).ok_or(missing)?;
        json::text(raw, missing)
    };
    let (from, to) = (text("from", FROM)?, text("to", TO)?);
    let overwrites = match json::non_null(body.take(&["overwrite"])?) {
        Some(raw) => json::boolean(raw, OVERWRITE)?,
        None => false,
    };
    let way = Way::between(&from, &to)?;
    let how = Relocation { moves, overwrites, through: &[] };
    let gone = context.service.secrets.relocate(permit, &way, how, call.now).await?;
    let warnings: &[&str] = if body.has_unknown() { &[render::IGNORED_FIELDS] } else { &[] };
    Ok(Reply::json(Writer::object(|out| {
        out.text("from", &from);
        out.text("to", &to);
        out.number("secrets", gone.secrets);
        out.number("versions", gone.versions);
        render::warnings(out, warnings);
    })))
}
