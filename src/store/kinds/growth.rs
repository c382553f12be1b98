//! What a commit adds to what a tenant has: a word to whoever counts, and no record. A commit removes
//! the key that says it, under which there never is anything, so that the feed tells it with the
//! commit, in its order and once.
//!
//! The key is the tenant's id, then 0 and the growth (secrets, bytes: 8 bytes each, big-endian), or 1
//! where nobody knows it, and all is to be counted anew.

use crate::{
    model::{Growth, OkmsId},
    store::engine::{Op, Space, Touched},
};

/// Where nothing lies.
pub const SPACE: Space = Space::new("growth");

/// What a commit says: how much it adds, or that this is not known.
pub type Told = Option<Growth>;

/// What says it in a commit.
#[must_use]
pub fn op(id: OkmsId, told: Told) -> Op {
    Op::Delete(SPACE, key(id, told))
}

fn key(id: OkmsId, told: Told) -> Vec<u8> {
    match told {
        Some(Growth { secrets, bytes }) => {
            [id.as_bytes().as_slice(), &[0], &secrets.to_be_bytes(), &bytes.to_be_bytes()].concat()
        }
        None => [id.as_bytes().as_slice(), &[1]].concat(),
    }
}

/// What a commit of these changes says.
#[must_use]
pub fn said(ops: &[Op]) -> Option<(OkmsId, Told)> {
    ops.iter().find_map(|op| match op {
        Op::Delete(space, key) if *space == SPACE => parse(key),
        _ => None,
    })
}

/// What a commit said that has touched this.
#[must_use]
pub fn told(touched: &[Touched]) -> Option<(OkmsId, Told)> {
    touched.iter().find_map(|touched| match touched {
        Touched::Deleted(space, key) if *space == SPACE => parse(key),
        _ => None,
    })
}

fn parse(key: &[u8]) -> Option<(OkmsId, Told)> {
    let (id, rest) = key.split_first_chunk()?;
    let id = OkmsId::from_bytes(*id).ok()?;
    match rest.split_first()? {
        (0, rest) => {
            let (secrets, rest) = rest.split_first_chunk()?;
            let bytes = i64::from_be_bytes(rest.try_into().ok()?);
            Some((id, Some(Growth { secrets: i64::from_be_bytes(*secrets), bytes })))
        }
        (1, []) => Some((id, None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_told() {
        let id = OkmsId::from_bytes([7; 16]).unwrap();
        for told in [
            None,
            Some(Growth::default()),
            Some(Growth { secrets: -1, bytes: i64::MIN }),
            Some(Growth { secrets: i64::MAX, bytes: 5 }),
        ] {
            let op = op(id, told);
            assert_eq!(said(std::slice::from_ref(&op)), Some((id, told)));
            let Op::Delete(space, key) = op else { panic!("it is a delete") };
            assert_eq!(super::told(&[Touched::Deleted(space, key.clone())]), Some((id, told)));
            for end in 0..key.len() {
                assert_eq!(parse(&key[..end]), None);
            }
            assert_eq!(parse(&[&*key, &[0]].concat()), None);
        }
    }
}
