//! Opening a database of whatever layout: a new one is made whole, an earlier one is brought up.
//!
//! Always holds: all of it is one commit, so that whoever is interrupted finds the database as it
//! was. Never does: know what an earlier layout had in its records.

use bytes::Bytes;
use redb::{ReadTransaction, ReadableDatabase, ReadableTable, WriteTransaction};

use uuid::Uuid;

use super::{
    checkpoint,
    guard::guarded,
    stored::{decode, split},
    tables::{
        FORMAT, FORMAT_NOW, FORMAT_WITHOUT_ENDS, FORMAT_WITHOUT_LOG, Generation, Layout,
        LayoutError, SpaceView, Standing, definition, open_for_write, standing, write_engine,
    },
};
use crate::store::{
    engine::{ReadError, Revision, Source, Space},
    past::{self, Upgrade},
};

impl Generation {
    /// Makes what the database lacks, and brings up one of an earlier layout: all of it in one
    /// commit, so that whoever is interrupted finds it as it was.
    pub(super) fn prepare(&self, upgrade: Option<&dyn Upgrade>) -> Result<(), LayoutError> {
        let layout = self.layout()?;
        let reading = self.database.begin_read().map_err(redb::Error::from)?;
        if layout == Layout::Now && self.spaces.iter().all(|space| is_there(&reading, *space)) {
            return Ok(());
        }
        let writing = self.begin()?;
        drop(open_for_write(&writing, &self.spaces).map_err(redb::Error::from)?);
        match (layout, upgrade) {
            (Layout::Now | Layout::Past(FORMAT_WITHOUT_ENDS), _) => {}
            (Layout::New | Layout::Past(FORMAT_WITHOUT_LOG), _) => {
                born(standing(&reading)?).write(&writing)?;
            }
            (Layout::Past(format), None) => return Err(LayoutError::Format(format)),
            (Layout::Past(format), Some(upgrade)) => {
                let before = standing(&reading)?;
                let revision = Revision(before.revision.0 + 1);
                guarded(|| self.upgrade(&Former(&reading), &writing, revision, upgrade))
                    .unwrap_or_else(|panicked| Err(panicked.into()))
                    .map_err(|error| LayoutError::Upgrade(format, error))?;
                born(Standing { revision, ..before }).write(&writing)?;
            }
        }
        write_engine(&writing, FORMAT, FORMAT_NOW)?;
        writing.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    fn upgrade(
        &self,
        former: &Former<'_>,
        writing: &WriteTransaction,
        revision: Revision,
        upgrade: &dyn Upgrade,
    ) -> Result<(), Source> {
        let mut spaces = open_for_write(writing, &self.spaces)?;
        upgrade.upgrade(former, &mut |op| {
            checkpoint::change(&mut spaces, &op, revision)?;
            Ok(())
        })
    }
}

/// A store that begins to have a log, and a number of its own.
fn born(standing: Standing) -> Standing {
    Standing { store: Uuid::new_v4().as_u128(), is_closed: true, ..standing }
}

/// Whether there is such a space. One whose first page is damaged is there.
fn is_there(reading: &ReadTransaction, space: Space) -> bool {
    let opened = guarded(|| reading.open_table(definition(space)).map(drop));
    !matches!(opened, Ok(Err(redb::TableError::TableDoesNotExist(_))))
}

/// A database of an earlier layout, as it was before anything of it was brought up.
struct Former<'a>(&'a ReadTransaction);

impl Former<'_> {
    /// A space; an earlier layout may not have had it.
    fn space(&self, space: Space) -> Result<Option<SpaceView>, Source> {
        match self.0.open_table(definition(space)) {
            Ok(table) => Ok(Some(table)),
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

impl past::Store for Former<'_> {
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError> {
        let read = || -> Result<_, Source> {
            let Some(table) = self.space(space)? else { return Ok(None) };
            let found = table.get(key)?.map(|found| decode(found.value())).transpose()?;
            Ok(found.map(|record| record.bytes))
        };
        match guarded(read) {
            Ok(found) => found.map_err(ReadError::Unavailable),
            Err(panicked) => Err(ReadError::Corrupt(panicked.into())),
        }
    }

    fn each(&self, space: Space, visit: &mut past::Visit<'_>) -> Result<(), Source> {
        let Some(table) = self.space(space)? else { return Ok(()) };
        for found in table.iter()? {
            let (key, stored) = found?;
            visit(key.value(), split(stored.value())?.1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{path::Path, sync::Arc};

    use redb::Database;

    use super::*;
    use crate::{
        crypto::Sealed,
        store::{
            engine::{Batch, Engine, Observer, Op},
            engines::redb::{OpenError, RedbEngine, RedbOptions, stored::encode, tables::REVISION},
            kinds::{self, header, token},
        },
    };

    struct Nobody;

    impl Observer for Nobody {
        fn committed(&self, _: usize, _: usize, _: std::time::Duration) {}
        fn commit_failed(&self, _: usize) {}
    }

    /// Doubles every header, and fails at the last one if it is to.
    #[derive(Debug)]
    struct Doubling {
        fails: bool,
    }

    impl Upgrade for Doubling {
        fn upgrade(
            &self,
            former: &dyn past::Store,
            write: &mut past::Write<'_>,
        ) -> Result<(), Source> {
            assert!(
                former.get(token::SPACE, b"any")?.is_none(),
                "a space that there was not has nothing in it"
            );
            former.each(token::SPACE, &mut |_, _| Err("it has".into()))?;
            former.each(header::SPACE, &mut |key, bytes| {
                assert_eq!(former.get(header::SPACE, key)?.as_deref(), Some(bytes));
                write(Op::Put(
                    header::SPACE,
                    key.to_vec(),
                    Sealed::public([bytes, bytes].concat()),
                ))?;
                // What is written is not read again.
                assert_eq!(former.get(header::SPACE, key)?.as_deref(), Some(bytes));
                if self.fails && key == b"z" { Err("not today".into()) } else { Ok(()) }
            })
        }
    }

    /// A store of the first layout, which had no table of tokens.
    fn old(path: &Path, format: u64) {
        let database = Database::create(path).unwrap();
        let writing = database.begin_write().unwrap();
        for space in kinds::SPACES.into_iter().filter(|space| *space != token::SPACE) {
            writing.open_table(definition(space)).unwrap();
        }
        for key in [b"a".as_slice(), b"z"] {
            let stored = encode(Revision(7), b"old");
            writing
                .open_table(definition(header::SPACE))
                .unwrap()
                .insert(key, stored.as_slice())
                .unwrap();
        }
        write_engine(&writing, FORMAT, format).unwrap();
        write_engine(&writing, REVISION, 7).unwrap();
        writing.commit().unwrap();
    }

    fn open(path: &Path, upgrade: Option<Doubling>) -> Result<RedbEngine, OpenError> {
        let mut options = RedbOptions::new(path);
        options.upgrade = upgrade.map(|upgrade| Arc::new(upgrade) as Arc<dyn Upgrade>);
        RedbEngine::open(&options, Arc::new(Nobody))
    }

    #[tokio::test]
    async fn an_earlier_layout_is_brought_up_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.redb");
        old(&path, 1);
        assert!(matches!(open(&path, None), Err(OpenError::Layout(1))));
        for _ in 0..2 {
            assert!(matches!(
                open(&path, Some(Doubling { fails: true })),
                Err(OpenError::Upgrade(1, _))
            ));
        }
        // Once, however often it is opened.
        for _ in 0..2 {
            let engine = open(&path, Some(Doubling { fails: false })).unwrap();
            let snapshot = engine.snapshot().await.unwrap();
            for key in [b"a", b"z"] {
                let found = snapshot.get(header::SPACE, key).await.unwrap().unwrap();
                assert_eq!(
                    (found.revision, found.bytes.as_ref()),
                    (Revision(8), b"oldold".as_slice())
                );
            }
        }
        let engine = open(&path, None).unwrap();
        let put = Op::Put(token::SPACE, b"token".to_vec(), Sealed::public("new"));
        assert_eq!(engine.commit(Batch::of(vec![put])).await.unwrap(), Revision(9));
    }

    /// Programs of before would have read what has ended: they are not to open the store any more.
    #[tokio::test]
    async fn a_layout_of_the_same_records_is_taken_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("same.redb");
        let put = |bytes| {
            Batch::of(vec![Op::Put(token::SPACE, b"token".to_vec(), Sealed::public(bytes))])
        };
        open(&path, None).unwrap().commit(put("first")).await.unwrap();
        for _ in 0..2 {
            let database = Database::create(&path).unwrap();
            let writing = database.begin_write().unwrap();
            write_engine(&writing, FORMAT, FORMAT_WITHOUT_ENDS).unwrap();
            writing.commit().unwrap();
            drop(database);
            let engine = open(&path, None).unwrap();
            let snapshot = engine.snapshot().await.unwrap();
            let found = snapshot.get(token::SPACE, b"token").await.unwrap().unwrap();
            assert_eq!((found.bytes.as_ref(), found.revision), (b"first".as_slice(), Revision(1)));
            drop((snapshot, engine));
            let reading = Database::open(&path).unwrap().begin_read().unwrap();
            assert!(is_there(&reading, token::SPACE));
        }
    }

    #[test]
    fn a_layout_to_come_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new.redb");
        old(&path, FORMAT_NOW + 1);
        let opened = open(&path, Some(Doubling { fails: false }));
        assert!(matches!(opened, Err(OpenError::Layout(found)) if found == FORMAT_NOW + 1));
    }
}
