//! The few policies of a domain, read all at once.
//!
//! Always holds: one that is damaged hides no other.

use crate::{
    model::{Invalid, POLICIES_MAX},
    service::{
        Error,
        cursor::{FORGED, Page},
        records::{Reader, keys_of, open},
    },
    store::{engine::Read, kinds::Kind},
};

/// All records of a kind in a range, by their ids.
pub(super) async fn all<K: Kind, I: std::fmt::Display>(
    reader: &Reader<'_>,
    range: (Vec<u8>, Vec<u8>),
    id: impl Fn(&[u8]) -> Option<I>,
) -> Result<Vec<(I, K)>, Error> {
    let names = keys_of(reader.snapshot, K::SPACE, range).await?;
    let parts: Vec<_> = names.iter().map(|key| Read::Key(K::SPACE, key)).collect();
    let found = reader.snapshot.read(&parts).await?;
    let mut all = Vec::with_capacity(names.len());
    for (key, found) in names.iter().zip(found) {
        let (Some(id), opened) = (id(key), found.map_err(Error::from)) else { continue };
        let opened = opened.and_then(|found| {
            found.map(|found| open(reader.keys, key, &found.record.bytes)).transpose()
        });
        match opened {
            Ok(policy) => all.extend(policy.map(|policy| (id, policy))),
            Err(Error::Corrupt(error)) => {
                let domain = reader.keys.id();
                tracing::error!(%domain, policy = %id, error, "a policy is damaged; remove it");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// Goes on where a domain that has so many policies may have one more.
pub(super) fn has_room(number: usize) -> Result<(), Error> {
    if number < POLICIES_MAX {
        return Ok(());
    }
    Err(Invalid("a domain has at most 100 policies of a kind; change one, or remove some").into())
}

/// A page of what is sorted by its ids, and the cursor after it.
pub(super) fn page<I: Ord + std::str::FromStr + ToString, K>(
    all: Vec<(I, K)>,
    cursor: Option<&[u8]>,
    limit: usize,
) -> Result<Page<(I, K)>, Error> {
    let after = cursor.map(|cursor| std::str::from_utf8(cursor).ok()?.parse::<I>().ok());
    let after = after.map(|after| after.ok_or(FORGED)).transpose()?;
    let mut rest: Vec<_> =
        all.into_iter().filter(|(id, _)| after.as_ref().is_none_or(|after| id > after)).collect();
    let has_more = rest.len() > limit;
    rest.truncate(limit);
    let last = rest.last().filter(|_| has_more).map(|(id, _)| id.to_string().into_bytes());
    Ok((rest, last))
}
