//! What has happened to a domain's secrets, a record for each commit that has changed some. The key is the domain's
//! id and the commit's revision (8 bytes, big-endian), so that they are in the order of commits. As the revision is
//! not known before, a record is sealed for the domain's id alone.
//!
//! Under the revision 0, which no commit has, is the floor: the revision (8 bytes, big-endian) up to which events were
//! forgotten.

use minicbor::{Decode, Encode};

use super::kind::{self, Malformed};
use crate::{
    crypto::Sealed,
    model::{Happening, OkmsId, SecretEvent, Timestamp},
    store::engine::{Append, Op, Revision, Space},
};

/// Where these records are.
pub const SPACE: Space = Space::new("event");

/// What the keys of a domain's events begin with, and for what they are sealed.
#[must_use]
pub fn prefix(id: OkmsId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// The range of a domain's events from a revision on, which is not 0.
#[must_use]
pub fn from(id: OkmsId, revision: Revision) -> (Vec<u8>, Vec<u8>) {
    let first = Append::key(id.as_bytes(), Revision(revision.0.max(1)));
    (first, Append::key(id.as_bytes(), Revision(u64::MAX)))
}

/// Whose an event is, and of which commit.
#[must_use]
pub fn parse(key: &[u8]) -> Option<(OkmsId, Revision)> {
    let (id, revision) = key.split_first_chunk()?;
    let revision = u64::from_be_bytes(revision.try_into().ok()?);
    Some((OkmsId::from_bytes(*id).ok()?, Revision(revision)))
}

/// The least key behind all of a domain's.
#[must_use]
pub fn behind(id: OkmsId) -> Vec<u8> {
    [id.as_bytes().as_slice(), &[u8::MAX; 9]].concat()
}

/// The key of the floor.
#[must_use]
pub fn floor_key(id: OkmsId) -> Vec<u8> {
    Append::key(id.as_bytes(), Revision(0))
}

/// What forgets the events of a domain up to a revision.
#[must_use]
pub fn forget(id: OkmsId, up_to: Revision) -> [Op; 2] {
    let (first, _) = from(id, Revision(1));
    let end = Append::key(id.as_bytes(), Revision(up_to.0.saturating_add(1)));
    let floor = Sealed::public(up_to.0.to_be_bytes().to_vec());
    [Op::DeleteRange(SPACE, first, end), Op::Put(SPACE, floor_key(id), floor)]
}

/// The revision in a floor.
#[must_use]
pub fn floor(bytes: &[u8]) -> Option<Revision> {
    Some(Revision(u64::from_be_bytes(bytes.try_into().ok()?)))
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    events: Vec<Event<'a>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Event<'a> {
    #[n(0)]
    happening: u8,
    #[b(1)]
    path: &'a str,
    #[n(2)]
    version: u32,
    #[n(3)]
    at: i64,
}

/// The byte form of what a commit has done.
///
/// # Errors
/// `Malformed` where it has none.
pub fn encode(events: &[SecretEvent]) -> Result<Vec<u8>, Malformed> {
    let events = events.iter().map(|event| Event {
        happening: event.happening.number(),
        path: &event.path,
        version: event.version,
        at: event.at.unix_nanos(),
    });
    kind::encode(&Fields { events: events.collect() })
}

/// What a commit has done; what this program does not know of it is left out.
///
/// # Errors
/// `Malformed` for bytes that [`encode`] does not make.
pub fn decode(bytes: &[u8]) -> Result<Vec<SecretEvent>, Malformed> {
    let Fields { events } = kind::decode(bytes)?;
    let event = |event: Event<'_>| {
        Some(SecretEvent {
            happening: Happening::of(event.happening)?,
            path: event.path.into(),
            version: event.version,
            at: Timestamp::from_unix_nanos(event.at),
        })
    };
    Ok(events.into_iter().filter_map(event).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_back_and_keys_are_in_the_order_of_commits() {
        let id = OkmsId::from_bytes([7; 16]).unwrap();
        let event = |happening, version| SecretEvent {
            happening,
            path: "a/b".into(),
            version,
            at: Timestamp::from_unix_nanos(1_234),
        };
        let events = [event(Happening::Created, 1), event(Happening::Destroyed, 0)];
        assert_eq!(decode(&encode(&events).unwrap()).unwrap(), events);
        let key = |revision| Append::key(&prefix(id), Revision(revision));
        assert!(key(1) < key(255) && key(255) < key(256) && key(u64::MAX) < behind(id));
        assert_eq!(parse(&key(300)), Some((id, Revision(300))));
        let (first, end) = from(id, Revision(0));
        assert!(floor_key(id) < first && first == key(1) && key(300) < end);
        let [Op::DeleteRange(_, gone, to), Op::Put(_, at, value)] = forget(id, Revision(300))
        else {
            panic!("it is a range and a floor")
        };
        assert!(gone == key(1) && key(300) < to && to <= key(301) && at == floor_key(id));
        assert_eq!(floor(value.as_ref()), Some(Revision(300)));
    }
}
