//! What every kind of record has: a space, a key and a byte form.
//!
//! The byte form is the form's number, one byte, and a CBOR map of numbered fields. A field that is
//! new and harmless to those who do not know it gets the next number: older programs pass over it,
//! and newer ones take its absence for the default. One that nobody may pass over raises the form's
//! number, and whoever does not know that refuses the record. Bytes that follow the map are
//! refused.

use minicbor::{Decode, Decoder, Encode};

use crate::{model::OkmsId, store::engine::Space};

/// A kind of record of a tenant.
pub trait Kind: Sized {
    /// Where its records are.
    const SPACE: Space;

    /// What tells one of them from the others of its tenant.
    type Name<'a>;

    /// Under which key it lies.
    fn key(id: OkmsId, name: Self::Name<'_>) -> Vec<u8>;

    /// Its bytes, to be sealed.
    ///
    /// # Errors
    /// `Malformed` where it has no byte form.
    fn encode(&self) -> Result<Vec<u8>, Malformed>;

    /// The record in these bytes.
    ///
    /// # Errors
    /// `Malformed` where the bytes are not what [`Kind::encode`] makes, or break a rule of the
    /// record.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
}

/// Bytes that are not of the form that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is not of a known form")]
pub struct Malformed;

impl From<crate::model::Invalid> for Malformed {
    fn from(_: crate::model::Invalid) -> Self {
        Self
    }
}

impl From<crate::model::Faults> for Malformed {
    fn from(_: crate::model::Faults) -> Self {
        Self
    }
}

/// The form that this program writes, and the highest that it reads, of most kinds.
pub(super) const FORM: u8 = 1;

/// The byte form of these fields.
///
/// # Errors
/// `Malformed` where they have none.
pub fn encode(fields: &impl Encode<()>) -> Result<Vec<u8>, Malformed> {
    encode_as(FORM, fields)
}

/// The byte form of these fields, which whoever does not know this form must refuse.
///
/// # Errors
/// `Malformed` where they have none.
pub(super) fn encode_as(form: u8, fields: &impl Encode<()>) -> Result<Vec<u8>, Malformed> {
    let mut bytes = Vec::with_capacity(96);
    bytes.push(form);
    minicbor::encode(fields, &mut bytes).map_err(|_| Malformed)?;
    Ok(bytes)
}

/// The fields in these bytes.
///
/// # Errors
/// `Malformed` for bytes of an unknown form, and for any beyond the end.
pub fn decode<'b, T: Decode<'b, ()>>(bytes: &'b [u8]) -> Result<T, Malformed> {
    decode_up_to(FORM, bytes)
}

/// The fields in these bytes, of any form up to this one.
///
/// # Errors
/// As [`decode`].
pub(super) fn decode_up_to<'b, T: Decode<'b, ()>>(
    form: u8,
    bytes: &'b [u8],
) -> Result<T, Malformed> {
    let (found, fields) = bytes.split_first().ok_or(Malformed)?;
    if !(FORM..=form).contains(found) {
        return Err(Malformed);
    }
    let mut input = Decoder::new(fields);
    let found = input.decode().map_err(|_| Malformed)?;
    if input.position() == fields.len() { Ok(found) } else { Err(Malformed) }
}
