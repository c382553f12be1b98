//! The settings within a header and a config.

use minicbor::{Decode, Encode};

use super::kind::Malformed;
use crate::model::{DeactivateAfter, MaxVersions, Settings};

#[derive(Encode, Decode)]
#[cbor(map)]
pub(super) struct Fields<'a> {
    #[n(0)]
    cas_required: bool,
    #[n(1)]
    metadata_cas_required: bool,
    #[n(2)]
    max_versions: u32,
    #[b(3)]
    deactivate_after: Option<&'a str>,
}

impl<'a> From<&'a Settings> for Fields<'a> {
    fn from(settings: &'a Settings) -> Self {
        Self {
            cas_required: settings.cas_required,
            metadata_cas_required: settings.metadata_cas_required,
            max_versions: settings.max_versions.get(),
            deactivate_after: settings.deactivate_after.as_ref().map(DeactivateAfter::as_typed),
        }
    }
}

impl TryFrom<Fields<'_>> for Settings {
    type Error = Malformed;

    fn try_from(fields: Fields<'_>) -> Result<Self, Malformed> {
        Ok(Self {
            cas_required: fields.cas_required,
            metadata_cas_required: fields.metadata_cas_required,
            max_versions: MaxVersions::new(fields.max_versions)?,
            deactivate_after: fields
                .deactivate_after
                .map(DeactivateAfter::from_stored)
                .transpose()?,
        })
    }
}
