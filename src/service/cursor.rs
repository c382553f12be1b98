//! Cursors: where a list goes on, sealed by the domain so that nobody else can make, move or read
//! one.

use crate::{
    crypto::{Binding, DomainKeys},
    model::{Invalid, OkmsId, SecretPath, VersionNumber},
    service::Error,
};

/// A page of a list, and the cursor after it unless the list ends there.
pub(super) type Page<T> = (Vec<T>, Option<Vec<u8>>);

/// What is said of a cursor that is not ours.
pub const FORGED: Invalid =
    Invalid("the page cursor is not one of this list; repeat without X-Pagination-Cursor");

/// Cursors after a secret are as long as a multiple of this, so that one after a secret that may
/// not be seen does not tell how long its path is.
pub(super) const PADDED_TO: usize = 256;
/// The longest cursor of a record, in bytes.
const CURSOR_MAX: usize = 256;

/// A list that is shown by pages.
#[derive(Clone, Copy)]
pub(super) enum Listing<'a> {
    /// A domain's secrets.
    Secrets,
    /// A secret's versions.
    Versions(&'a SecretPath),
    /// A domain's access certificates.
    Credentials,
    /// Those of them that end soon.
    Endings,
    /// Secrets that are looked for.
    Search,
    /// Secrets that end.
    Ends,
    /// Secrets that are due.
    Due,
    /// What has become of rotations.
    Rotations,
    /// What has happened to secrets.
    Events,
}

impl Listing<'_> {
    /// What its cursors are sealed for: no place in a store, as no space has this name.
    fn place(self) -> Binding {
        match self {
            Self::Secrets => Binding::to("cursor", b""),
            // No path is empty, and none has a NUL.
            Self::Credentials => Binding::to("cursor", b"\0credentials"),
            Self::Endings => Binding::to("cursor", b"\0endings"),
            Self::Search => Binding::to("cursor", b"\0search"),
            Self::Ends => Binding::to("cursor", b"\0ends"),
            Self::Due => Binding::to("cursor", b"\0due"),
            Self::Rotations => Binding::to("cursor", b"\0rotations"),
            Self::Events => Binding::to("cursor", b"\0events"),
            Self::Versions(path) => Binding::to("cursor", path.as_str().as_bytes()),
        }
    }
}

/// A cursor after a tenant, for operators, who may know every id: it needs no seal.
pub(super) fn after_tenant(id: OkmsId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// The id in a cursor of [`after_tenant`].
pub(super) fn parse_tenant(cursor: &[u8]) -> Result<OkmsId, Error> {
    let id = cursor.try_into().map_err(|_| FORGED)?;
    Ok(OkmsId::from_bytes(id).map_err(|_| FORGED)?)
}

/// A cursor after a record of a tenant, for those who may see all of its kind: it needs no seal.
pub(super) fn after_record(id: OkmsId, key: &[u8]) -> Option<Vec<u8>> {
    key.strip_prefix(id.as_bytes()).map(<[u8]>::to_vec)
}

/// The least key behind a cursor of [`after_record`], in the range that begins with `first`.
pub(super) fn parse_record(first: &[u8], cursor: &[u8]) -> Result<Vec<u8>, Error> {
    let id = first.get(..16).ok_or(FORGED)?;
    let key = [id, cursor, &[0]].concat();
    if cursor.len() > CURSOR_MAX || key.as_slice() < first {
        return Err(FORGED.into());
    }
    Ok(key)
}

/// A cursor after the secret at `path`.
pub(super) fn after_secret(keys: &DomainKeys, path: &SecretPath) -> Result<Vec<u8>, Error> {
    let mut position = path.as_str().as_bytes().to_vec();
    // No path has a NUL.
    position.resize(position.len().next_multiple_of(PADDED_TO), 0);
    seal(keys, Listing::Secrets, &position)
}

/// The path in a cursor of [`after_secret`].
pub(super) fn parse_secret(keys: &DomainKeys, cursor: &[u8]) -> Result<SecretPath, Error> {
    let plain = open(keys, Listing::Secrets, cursor)?;
    let path = std::str::from_utf8(&plain).map_err(|_| FORGED)?;
    Ok(path.trim_end_matches('\0').parse().map_err(|_| FORGED)?)
}

/// A cursor after version `number` of the secret at `path`.
pub(super) fn after_version(
    keys: &DomainKeys,
    path: &SecretPath,
    number: VersionNumber,
) -> Result<Vec<u8>, Error> {
    seal(keys, Listing::Versions(path), &number.get().to_be_bytes())
}

/// The number in a cursor of [`after_version`] for the same path.
pub(super) fn parse_version(
    keys: &DomainKeys,
    path: &SecretPath,
    cursor: &[u8],
) -> Result<VersionNumber, Error> {
    let plain = open(keys, Listing::Versions(path), cursor)?;
    let number = plain.try_into().map(u32::from_be_bytes).map_err(|_| FORGED)?;
    Ok(VersionNumber::new(number).map_err(|_| FORGED)?)
}

/// A cursor after the access certificate with this id.
pub(super) fn after_credential(keys: &DomainKeys, id: &[u8; 16]) -> Result<Vec<u8>, Error> {
    seal(keys, Listing::Credentials, id)
}

/// The id in a cursor of [`after_credential`].
pub(super) fn parse_credential(keys: &DomainKeys, cursor: &[u8]) -> Result<[u8; 16], Error> {
    Ok(open(keys, Listing::Credentials, cursor)?.try_into().map_err(|_| FORGED)?)
}

/// A cursor after an access certificate at this place among those that end.
pub(super) fn after_ending(keys: &DomainKeys, place: &[u8]) -> Result<Vec<u8>, Error> {
    seal(keys, Listing::Endings, place)
}

/// The place in a cursor of [`after_ending`].
pub(super) fn parse_ending(keys: &DomainKeys, cursor: &[u8]) -> Result<Vec<u8>, Error> {
    open(keys, Listing::Endings, cursor)
}

/// A cursor at a position of a list.
pub(super) fn seal(
    keys: &DomainKeys,
    listing: Listing<'_>,
    position: &[u8],
) -> Result<Vec<u8>, Error> {
    Ok(keys.seal(&listing.place(), position)?.into_bytes().into())
}

/// The position in a cursor of [`seal`] for the same list.
pub(super) fn open(
    keys: &DomainKeys,
    listing: Listing<'_>,
    cursor: &[u8],
) -> Result<Vec<u8>, Error> {
    // Whatever does not open came from the client, so it is the client's mistake, never damage of
    // ours.
    keys.open(&listing.place(), cursor).map_err(|_| FORGED.into())
}
