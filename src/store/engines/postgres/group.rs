//! A group of batches that are committed together, in its form for the database. Pure.

use tokio_postgres::types::{ToSql, Type};

use super::{spaces::Spaces, touched};
use crate::store::{
    engine::{Batch, Expect},
    engines::groups::fold,
};

/// The types of what `okms.commit` takes, behind the name of the group, a salt for its revisions and the moment.
pub(super) const TYPES: [Type; 18] = [
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT8_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::INT4_ARRAY,
    Type::INT2_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BYTEA_ARRAY,
    Type::BOOL_ARRAY,
];

/// A group as `okms.commit` takes it: columns, of which the first says of which batch, counted from 1.
#[derive(Default)]
pub(super) struct Columns<'a> {
    touched: Vec<Vec<u8>>,
    if_batch: Vec<i32>,
    if_space: Vec<i16>,
    if_key: Vec<&'a [u8]>,
    if_rev: Vec<Option<i64>>,
    if_upto: Vec<Option<&'a [u8]>>,
    cut_batch: Vec<i32>,
    cut_space: Vec<i16>,
    cut_from: Vec<&'a [u8]>,
    cut_to: Vec<&'a [u8]>,
    del_batch: Vec<i32>,
    del_space: Vec<i16>,
    del_key: Vec<&'a [u8]>,
    put_batch: Vec<i32>,
    put_space: Vec<i16>,
    put_key: Vec<&'a [u8]>,
    put_value: Vec<&'a [u8]>,
    put_appended: Vec<bool>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(batches: impl Iterator<Item = &'a Batch>, spaces: &Spaces) -> Self {
        let mut columns = Self::default();
        for (number, batch) in (1..).zip(batches) {
            columns.add(number, batch, spaces);
        }
        columns
    }

    fn add(&mut self, number: i32, batch: &'a Batch, spaces: &Spaces) {
        self.touched.push(touched::encode(batch, spaces));
        for (space, key, expect) in &batch.preconditions {
            self.if_batch.push(number);
            self.if_space.push(spaces.number(*space));
            self.if_key.push(key);
            self.if_rev.push(match expect {
                // No record has one that does not fit.
                Expect::At(revision) => Some(i64::try_from(revision.0).unwrap_or(-1)),
                Expect::Absent | Expect::EmptyTo(_) => None,
            });
            self.if_upto.push(match expect {
                Expect::EmptyTo(to) => Some(to),
                Expect::Absent | Expect::At(_) => None,
            });
        }
        let folded = fold(&batch.ops);
        for (space, from, to) in folded.cuts {
            self.cut_batch.push(number);
            self.cut_space.push(spaces.number(space));
            self.cut_from.push(from);
            self.cut_to.push(to);
        }
        for ((space, key), value) in folded.records {
            if let Some(value) = value {
                self.put(number, spaces.number(space), key, value, false);
            } else {
                self.del_batch.push(number);
                self.del_space.push(spaces.number(space));
                self.del_key.push(key);
            }
        }
        for append in &batch.appended {
            self.put(
                number,
                spaces.number(append.space),
                &append.prefix,
                append.value.as_ref(),
                true,
            );
        }
    }

    fn put(&mut self, number: i32, space: i16, key: &'a [u8], value: &'a [u8], appended: bool) {
        self.put_batch.push(number);
        self.put_space.push(space);
        self.put_key.push(key);
        self.put_value.push(value);
        self.put_appended.push(appended);
    }

    /// Them, in the order of [`TYPES`].
    pub(super) fn parameters(&self) -> [&(dyn ToSql + Sync); 18] {
        [
            &self.touched,
            &self.if_batch,
            &self.if_space,
            &self.if_key,
            &self.if_rev,
            &self.if_upto,
            &self.cut_batch,
            &self.cut_space,
            &self.cut_from,
            &self.cut_to,
            &self.del_batch,
            &self.del_space,
            &self.del_key,
            &self.put_batch,
            &self.put_space,
            &self.put_key,
            &self.put_value,
            &self.put_appended,
        ]
    }

    /// How many changes there are.
    pub(super) fn operations(&self) -> usize {
        self.cut_batch.len() + self.del_batch.len() + self.put_batch.len()
    }
}
