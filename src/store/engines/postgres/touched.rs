//! What the log says that a commit has touched: a byte for what was done, the number of the space, and its keys, each
//! behind its length. Numbers are big-endian.

use super::spaces::Spaces;
use crate::store::engine::{Append, Batch, Op, Revision, Touched};

const PUT: u8 = 0;
const DELETED: u8 = 1;
const DELETED_RANGE: u8 = 2;
/// A key that the commit's revision follows.
const APPENDED: u8 = 3;

/// What a batch touches.
pub(super) fn encode(batch: &Batch, spaces: &Spaces) -> Vec<u8> {
    let mut out = Vec::new();
    let mut add = |what: u8, space, keys: &[&[u8]]| {
        out.push(what);
        out.extend(spaces.number(space).to_be_bytes());
        for key in keys {
            out.extend(u32::try_from(key.len()).unwrap_or(u32::MAX).to_be_bytes());
            out.extend_from_slice(key);
        }
    };
    for op in &batch.ops {
        match op {
            Op::Put(space, key, _) => add(PUT, *space, &[key]),
            Op::Delete(space, key) => add(DELETED, *space, &[key]),
            Op::DeleteRange(space, from, to) => add(DELETED_RANGE, *space, &[from, to]),
        }
    }
    for append in &batch.appended {
        add(APPENDED, append.space, &[&append.prefix]);
    }
    out
}

/// What a commit of this revision has touched; nothing where the bytes are of no known form. What is in spaces that
/// this program does not know is left out.
pub(super) fn decode(
    mut bytes: &[u8],
    revision: Revision,
    spaces: &Spaces,
) -> Option<Vec<Touched>> {
    let mut found = Vec::new();
    while let Some((what, rest)) = bytes.split_first() {
        let (number, mut rest) = rest.split_first_chunk()?;
        let space = spaces.space(i16::from_be_bytes(*number));
        let mut key = || {
            let (length, behind) = rest.split_first_chunk()?;
            let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            let (key, behind) = behind.split_at_checked(length)?;
            rest = behind;
            Some(key.to_vec())
        };
        // The keys are read in any case, to get behind them.
        let touched: Box<dyn FnOnce(_) -> Touched> = match *what {
            PUT => {
                let key = key()?;
                Box::new(|space| Touched::Put(space, key))
            }
            DELETED => {
                let key = key()?;
                Box::new(|space| Touched::Deleted(space, key))
            }
            DELETED_RANGE => {
                let (from, to) = (key()?, key()?);
                Box::new(|space| Touched::DeletedRange(space, from, to))
            }
            APPENDED => {
                let prefix = key()?;
                Box::new(move |space| Touched::Put(space, Append::key(&prefix, revision)))
            }
            _ => return None,
        };
        found.extend(space.map(touched));
        bytes = rest;
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        crypto::Sealed,
        store::kinds::{self, header, value},
    };

    fn spaces() -> Spaces {
        let rows = (1..).zip(kinds::SPACES.map(|space| space.name().to_owned()));
        Spaces::of(rows).ok().unwrap()
    }

    #[test]
    fn what_a_batch_touches_is_read_as_it_was_written() {
        let spaces = spaces();
        let ops = vec![
            Op::Put(header::SPACE, b"k".to_vec(), Sealed::public(vec![1])),
            Op::Delete(value::SPACE, vec![0; 300]),
            Op::DeleteRange(value::SPACE, Vec::new(), b"z".to_vec()),
        ];
        let append = Append {
            space: value::SPACE,
            prefix: b"p".to_vec(),
            value: Sealed::public(Vec::new()),
        };
        let batch = Batch { appended: vec![append], ..Batch::of(ops) };
        let bytes = encode(&batch, &spaces);
        let expected = vec![
            Touched::Put(header::SPACE, b"k".to_vec()),
            Touched::Deleted(value::SPACE, vec![0; 300]),
            Touched::DeletedRange(value::SPACE, Vec::new(), b"z".to_vec()),
            Touched::Put(value::SPACE, b"p\0\0\0\0\0\0\0\x07".to_vec()),
        ];
        assert_eq!(decode(&bytes, Revision(7), &spaces), Some(expected));
        // Cut anywhere but between two of them it is nothing.
        let whole: Vec<_> = (0..bytes.len())
            .filter(|n| decode(&bytes[..*n], Revision(7), &spaces).is_some())
            .collect();
        assert_eq!(whole.len(), 4);
        assert_eq!(decode(&[9, 0, 1, 0, 0, 0, 0], Revision(7), &spaces), None);
        let foreign = [&[PUT][..], &999_i16.to_be_bytes(), &[0, 0, 0, 1, 7], &bytes].concat();
        assert_eq!(decode(&foreign, Revision(7), &spaces).unwrap().len(), 4);
    }

    #[test]
    fn a_space_that_the_database_has_not_is_named() {
        let rows = (1..).zip(kinds::SPACES.map(|space| space.name().to_owned())).skip(1);
        assert_eq!(Spaces::of(rows).err(), Some(kinds::SPACES[0].name()));
    }
}
