//! Where secrets are found otherwise than by their paths: keys with nothing under them, each made of
//! what a header says, and changed in the header's own commit.
//!
//! | key | which secrets |
//! | --- | --- |
//! | okmsId, 1, minute, path | those whose current version ends, with its secret or alone, in that minute |
//! | okmsId, 3, mark of a trait (16 bytes), path | those with that tag, owner, or type other than the usual one |
//! | okmsId, 4, a rotation policy's id, 0, minute of the anchor, path | those that it is attached to |
//! | zeros, 2, minute, okmsId, path | those that were removed, and are gone for good in that minute |
//! | zeros, 5, okmsId, a rotation policy's id | those that the server rotates by itself: their policy |
//!
//! The last two are the region's order, so that a look for what is over, or due, costs what is over or due,
//! and not a look at each domain.
//! Minutes count from 1970, in 4 bytes, big-endian. A mark tells nobody without the domain's keys
//! what it is of. The header is what counts: who reads an entry asks it whether that is so.

use crate::{
    model::{OkmsId, RotationPolicyId, SecretPath, Timestamp},
    store::engine::Space,
};

/// Where these keys are.
pub const SPACE: Space = Space::new("secret_index");

/// The nil id is no tenant's.
const REGION: [u8; 16] = [0; 16];

const ENDS: u8 = 1;
const PURGES: u8 = 2;
const TRAIT: u8 = 3;
const ROTATES: u8 = 4;
const AUTOMATIC: u8 = 5;

/// Which secrets a part of the index has, in the order in which it has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Those that end, by minute.
    Ends,
    /// Those with the tag, owner or type of this mark, by path.
    Trait(&'a [u8; 16]),
    /// Those with this rotation policy, by the minute of their anchors.
    Rotates(&'a str),
}

/// An entry, read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The minute by which it is in its place; 0 where it is not by one.
    pub minute: u32,
    /// The secret.
    pub path: SecretPath,
}

impl Part<'_> {
    /// What all its keys begin with.
    fn prefix(self, id: OkmsId) -> Vec<u8> {
        let id = id.as_bytes().as_slice();
        match self {
            Self::Ends => [id, &[ENDS]].concat(),
            Self::Trait(mark) => [id, &[TRAIT], mark].concat(),
            Self::Rotates(policy) => [id, &[ROTATES], policy.as_bytes(), &[0]].concat(),
        }
    }

    const fn is_by_minute(self) -> bool {
        !matches!(self, Self::Trait(_))
    }

    /// The key of a secret in it.
    #[must_use]
    pub fn key(self, id: OkmsId, at: Timestamp, path: &SecretPath) -> Vec<u8> {
        let mut key = self.prefix(id);
        if self.is_by_minute() {
            key.extend(minute(at).to_be_bytes());
        }
        key.extend(path.as_str().as_bytes());
        key
    }

    /// The range of all that is in it.
    #[must_use]
    pub fn all(self, id: OkmsId) -> (Vec<u8>, Vec<u8>) {
        let from = self.prefix(id);
        let to = [from.as_slice(), &[0xff; 5]].concat();
        (from, to)
    }

    /// The range of what is in it up to the minute of a moment, that included.
    #[must_use]
    pub fn up_to(self, id: OkmsId, last: Timestamp) -> (Vec<u8>, Vec<u8>) {
        let from = self.prefix(id);
        let to = [&*from, &minute(last).saturating_add(1).to_be_bytes()].concat();
        (from, to)
    }

    /// The range of what is in it by path, of the secrets whose paths begin so.
    #[must_use]
    pub fn below(self, id: OkmsId, prefix: &str) -> (Vec<u8>, Vec<u8>) {
        let from = [&*self.prefix(id), prefix.as_bytes()].concat();
        let to = [from.as_slice(), &[0xff]].concat();
        (from, to)
    }

    /// The least key of what is in it by minute, from the minute of a moment on.
    #[must_use]
    pub fn from(self, id: OkmsId, first: Timestamp) -> Vec<u8> {
        [&*self.prefix(id), &minute(first).to_be_bytes()].concat()
    }

    /// The range of what comes after a secret in it.
    #[must_use]
    pub fn after(self, id: OkmsId, at: Timestamp, path: &SecretPath) -> (Vec<u8>, Vec<u8>) {
        ([self.key(id, at, path).as_slice(), &[0]].concat(), self.all(id).1)
    }

    /// What a key of this part says.
    #[must_use]
    pub fn parse(self, id: OkmsId, key: &[u8]) -> Option<Entry> {
        let rest = key.strip_prefix(self.prefix(id).as_slice())?;
        let (minute, path) = match rest.split_first_chunk() {
            Some((minute, path)) if self.is_by_minute() => (u32::from_be_bytes(*minute), path),
            _ if self.is_by_minute() => return None,
            _ => (0, rest),
        };
        Some(Entry { minute, path: std::str::from_utf8(path).ok()?.parse().ok()? })
    }
}

/// The place of a secret that was removed among all of the region, by when it is gone.
#[must_use]
pub fn purge(id: OkmsId, until: Timestamp, path: &SecretPath) -> Vec<u8> {
    let (minute, path) = (minute(until).to_be_bytes(), path.as_str().as_bytes());
    [REGION.as_slice(), &[PURGES], &minute, id.as_bytes(), path].concat()
}

/// The range of what is gone in the minute of a moment, or before.
#[must_use]
pub fn purges_up_to(last: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let from = [REGION.as_slice(), &[PURGES]].concat();
    let to = [&*from, &minute(last).saturating_add(1).to_be_bytes()].concat();
    (from, to)
}

/// The secret in a key of [`purge`].
#[must_use]
pub fn parse_purge(key: &[u8]) -> Option<(OkmsId, SecretPath)> {
    let rest = key.strip_prefix(REGION.as_slice())?.strip_prefix(&[PURGES])?.get(4..)?;
    let (id, path) = rest.split_first_chunk()?;
    Some((OkmsId::from_bytes(*id).ok()?, std::str::from_utf8(path).ok()?.parse().ok()?))
}

/// The place of a policy by which the server rotates by itself, among all of the region.
#[must_use]
pub fn automatic(id: OkmsId, policy: &RotationPolicyId) -> Vec<u8> {
    [REGION.as_slice(), &[AUTOMATIC], id.as_bytes(), policy.as_str().as_bytes()].concat()
}

/// The range of all those policies.
#[must_use]
pub fn all_automatic() -> (Vec<u8>, Vec<u8>) {
    let range = |end| [REGION.as_slice(), &[end]].concat();
    (range(AUTOMATIC), range(AUTOMATIC + 1))
}

/// The policy in a key of [`automatic`].
#[must_use]
pub fn parse_automatic(key: &[u8]) -> Option<(OkmsId, RotationPolicyId)> {
    let rest = key.strip_prefix(REGION.as_slice())?.strip_prefix(&[AUTOMATIC])?;
    let (id, policy) = rest.split_first_chunk()?;
    Some((OkmsId::from_bytes(*id).ok()?, std::str::from_utf8(policy).ok()?.parse().ok()?))
}

/// The secret of an entry of a domain, whatever part that is in.
#[must_use]
pub fn path(id: OkmsId, key: &[u8]) -> Option<SecretPath> {
    let (part, rest) = key.strip_prefix(id.as_bytes().as_slice())?.split_first()?;
    let path = match *part {
        ENDS => rest.get(4..)?,
        TRAIT => rest.get(16..)?,
        ROTATES => rest.get(rest.iter().position(|byte| *byte == 0)? + 5..)?,
        _ => return None,
    };
    std::str::from_utf8(path).ok()?.parse().ok()
}

/// The range of all entries of a domain.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    (id.as_bytes().to_vec(), [id.as_bytes().as_slice(), &[0xff]].concat())
}

/// The minute of a moment; of one before 1970, and of one after some 8,000 years, the next there is.
#[must_use]
pub fn minute(moment: Timestamp) -> u32 {
    u32::try_from(moment.unix_seconds().max(0) / 60).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_sort_by_their_minutes() {
        let id = OkmsId::from_bytes([7; 16]).unwrap();
        let path: SecretPath = "a/b".parse().unwrap();
        let at = Timestamp::from_unix_seconds(125);
        for (part, minute) in
            [(Part::Ends, 2), (Part::Trait(&[9; 16]), 0), (Part::Rotates("rot_a"), 2)]
        {
            let key = part.key(id, at, &path);
            assert_eq!(part.parse(id, &key), Some(Entry { minute, path: path.clone() }));
            assert_eq!(super::path(id, &key), Some(path.clone()));
            let (from, to) = part.all(id);
            assert!(from <= key && key < to && part.after(id, at, &path).0 > key);
            assert!(all(id).0 <= key && key < all(id).1);
            if part.is_by_minute() {
                let within = |last| {
                    let (from, to) = part.up_to(id, Timestamp::from_unix_seconds(last));
                    from <= key && key < to
                };
                assert!(within(120) && within(179) && !within(119));
            }
            for other in [Part::Ends, Part::Trait(&[8; 16]), Part::Rotates("rot_")] {
                assert_eq!(other.parse(id, &key).is_some(), other == part, "{other:?}");
            }
        }
        let key = purge(id, at, &path);
        assert_eq!(parse_purge(&key), Some((id, path)));
        let within = |last| {
            let (from, to) = purges_up_to(Timestamp::from_unix_seconds(last));
            from <= key && key < to
        };
        assert!(within(120) && !within(119));
        let policy = RotationPolicyId::of_name("a");
        let key = automatic(id, &policy);
        assert_eq!((parse_automatic(&key), parse_purge(&key)), (Some((id, policy)), None));
        let (from, to) = all_automatic();
        assert!(from <= key && key < to);
    }
}
