//! `sys/tools`: what Vault does for its clients without keeping anything.

use base64::{Engine, engine::general_purpose::STANDARD};

use super::{
    super::{Failed, Problem, Reply},
    asked::Asked,
    envelope,
    envelope::{Parts, SYSTEM},
    fields::{self, Fields},
};
use crate::model::{Invalid, text::hex};

/// How many bytes there are where nobody says.
const BYTES: i64 = 32;
/// The most, as Vault has it.
const BYTES_MAX: i64 = 128 << 10;

/// Random bytes. Their number is in the path or in the body, and where they come from does not
/// matter: there is one source.
pub(super) async fn random(asked: &Asked<'_>) -> Result<Reply, Failed> {
    let Asked { context, call, .. } = *asked;
    let body = fields::body(call)?;
    let mut fields = Fields::parse(&body)?;
    let in_body = fields
        .raw("bytes")?
        .map(|raw| fields::int(raw).ok_or(fields::wrong("bytes", "expected a number")));
    let in_path = in_path(asked.name())?;
    let bytes = match in_path {
        Some(bytes) => bytes,
        None => in_body.transpose()?.unwrap_or(BYTES),
    };
    let bytes = match bytes {
        ..1 => return Err(Problem::TooFewBytes.into()),
        1..=BYTES_MAX => usize::try_from(bytes).unwrap_or_default(),
        _ => return Err(Problem::TooManyBytes.into()),
    };
    let encode = match fields.text("format")?.as_deref() {
        None | Some("base64") => |bytes: &[u8]| STANDARD.encode(bytes),
        Some("hex") => hex,
        Some(_) => return Err(Problem::BadFormat.into()),
    };
    fields.take("source")?;
    let warnings = fields.warnings();
    let text = encode(context.service.random(bytes)?.expose());
    Ok(envelope::data(call, SYSTEM, &Parts { warnings: &warnings, bytes: text.len() }, |out| {
        out.text("random_bytes", &text);
    }))
}

/// The number in `random/{source}/{bytes}`, either part of which may be missing.
fn in_path(rest: &str) -> Result<Option<i64>, Failed> {
    let (source, bytes) =
        rest.split_once('/').map_or((rest, None), |(source, bytes)| (source, Some(bytes)));
    let number = match (source, bytes) {
        ("" | "platform" | "seal" | "all", bytes) => bytes,
        (bytes, None) => Some(bytes),
        _ => {
            return Err(Invalid(
                "unsupported entropy source; must be \"platform\" or \"seal\", or \"all\"",
            )
            .into());
        }
    };
    let number = number.filter(|number| !number.is_empty()).map(str::parse).transpose();
    Ok(number.map_err(|_| Invalid("the number of bytes in the path must be a whole number"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_paths() {
        for (path, expected) in [
            ("", None),
            ("8", Some(8)),
            ("platform", None),
            ("all/16", Some(16)),
            ("seal/", None),
            ("-1", Some(-1)),
        ] {
            assert_eq!(in_path(path).unwrap(), expected, "{path}");
        }
        for wrong in ["x", "platform/x", "moon/8", "8/8", "platform/8/8"] {
            assert!(in_path(wrong).is_err(), "{wrong}");
        }
        assert_eq!(hex(&[0, 15, 255]), "000fff");
    }
}
