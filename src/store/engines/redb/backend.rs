//! What lies between redb and the storage: one disk, lent to one database after the other.
//!
//! redb refuses everything after a failed operation until it is opened anew, also reads. So the
//! storage outlives the database: a [`Disk`] gives out a [`Lease`] to each database that writes.
//! The disk remembers the database header as it was when the last commit was known to be durable,
//! for a reader that must not see what came later.
//!
//! Always holds: once a [`Fence`] is closed, no operation behind it reaches the disk any more, not
//! even one that had begun; a page that is not what was written never reaches redb, see [`Pages`].
//! Never does: decide what a damaged page costs.

use std::{
    collections::BTreeSet,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use redb::StorageBackend;

use super::{
    guard::{self, DamagedPage},
    pages::{HEAD, Pages},
};

const PAGE: u64 = HEAD as u64;

/// The storage beneath every database of one engine.
pub(super) struct Disk {
    inner: Box<dyn StorageBackend>,
    head: Mutex<Head>,
    pages: Pages,
    /// Damaged pages that the log tells of, as far as they are not too many.
    damaged: Mutex<BTreeSet<u64>>,
}

/// So many damaged pages have a line in the log.
const DAMAGED_TOLD: usize = 256;

#[derive(Default)]
struct Head {
    /// The first page as last written.
    now: Vec<u8>,
    /// The first page when the last commit was known to be durable.
    durable: Vec<u8>,
    /// The length of the storage, now and then.
    now_len: u64,
    durable_len: u64,
}

impl Disk {
    pub(super) fn new(inner: Box<dyn StorageBackend>) -> io::Result<Arc<Self>> {
        let len = inner.len()?;
        let mut now = vec![0; HEAD];
        let present = usize::try_from(len).unwrap_or(HEAD).min(HEAD);
        if let Some(out) = now.get_mut(..present) {
            inner.read(0, out)?;
        }
        let pages = Pages::default();
        pages.learn(&now);
        Ok(Arc::new(Self {
            inner,
            pages,
            damaged: Mutex::default(),
            head: Mutex::new(Head { durable: now.clone(), now, now_len: len, durable_len: len }),
        }))
    }

    /// Takes the present header for durable. To be called when redb has said so, and before the
    /// next write.
    pub(super) fn mark_durable(&self) {
        let mut head = self.head();
        let Head { now, durable, now_len, durable_len } = &mut *head;
        durable.clone_from(now);
        *durable_len = *now_len;
    }

    /// Access for a database that writes.
    pub(super) fn lease(self: &Arc<Self>) -> (Lease, Fence) {
        let fence = Fence::default();
        (Lease { disk: Arc::clone(self), fence: fence.clone() }, fence)
    }

    /// The first page and the length of the storage when the last commit was known to be durable.
    pub(super) fn last_durable(&self) -> (Vec<u8>, u64) {
        let head = self.head();
        (head.durable.clone(), head.durable_len)
    }

    pub(super) fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    /// Reads a page, or whatever else. Does not return from a page that is damaged: see
    /// [`guard::leave`]. One that cannot be read while others can is damaged, too: most disks check
    /// by themselves what they read.
    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        match self.inner.read(offset, out) {
            Ok(()) if self.pages.check(offset, out) => Ok(()),
            Ok(()) => self.leave(DamagedPage { offset }, None),
            Err(error) if offset >= PAGE && self.inner.read(0, &mut [0; HEAD]).is_ok() => {
                self.leave(DamagedPage { offset }, Some(&error))
            }
            Err(error) => Err(error),
        }
    }

    /// Reads a part of a page, of which nobody can say whether it is sound.
    pub(super) fn read_part(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn leave(&self, page: DamagedPage, error: Option<&io::Error>) -> ! {
        {
            let mut damaged = self.damaged.lock().unwrap_or_else(PoisonError::into_inner);
            if damaged.len() < DAMAGED_TOLD && damaged.insert(page.offset) {
                let error = error.map(ToString::to_string);
                tracing::error!(
                    error,
                    "{page}; what lies there cannot be read, and everything else goes on"
                );
            }
        }
        guard::leave(page)
    }

    /// Gives the storage back to the operating system, locks included.
    pub(super) fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.pages.forget(offset, data.len());
        self.inner.write(offset, data)?;
        self.pages.note_write(offset, data);
        if let Ok(start @ ..HEAD) = usize::try_from(offset) {
            let mut head = self.head();
            if let Some(under) = head.now.get_mut(start..) {
                under.iter_mut().zip(data).for_each(|(old, new)| *old = *new);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)?;
        self.head().now_len = len;
        Ok(())
    }

    fn head(&self) -> MutexGuard<'_, Head> {
        // Every change of the head is whole when its lock is given up, so a poisoned lock loses
        // nothing.
        self.head.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Cuts a database off from the disk.
#[derive(Clone, Default)]
pub(super) struct Fence {
    closed: Arc<RwLock<bool>>,
}

impl Fence {
    /// Waits for what is under way and lets nothing through afterwards.
    pub(super) fn close(&self) {
        *self.closed.write().unwrap_or_else(PoisonError::into_inner) = true;
    }

    /// Runs `operation` unless the fence is closed. The lock is held meanwhile: a read that began
    /// before the fence closed must not see what the next database writes over the page.
    pub(super) fn pass<T>(&self, operation: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let closed = self.closed.read().unwrap_or_else(PoisonError::into_inner);
        if *closed {
            return Err(io::Error::other("the database was replaced after a failure"));
        }
        operation()
    }
}

/// A database's access to the disk.
pub(super) struct Lease {
    disk: Arc<Disk>,
    fence: Fence,
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease")
    }
}

impl StorageBackend for Lease {
    fn len(&self) -> io::Result<u64> {
        self.fence.pass(|| self.disk.len())
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.fence.pass(|| self.disk.read(offset, out))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.fence.pass(|| self.disk.set_len(len))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.fence.pass(|| self.disk.inner.sync_data())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.fence.pass(|| self.disk.write(offset, data))
    }

    fn close(&self) -> io::Result<()> {
        // The disk stays open for the next lease; see `Disk::close`.
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        crypto::Sealed,
        store::{
            engine::{Batch, Engine, Observer, Op},
            engines::redb::{
                RedbEngine, RedbOptions, recent::Direction, stored::decode, tables::Generation,
            },
            kinds::{self, header, value},
        },
    };

    struct Nobody;

    impl Observer for Nobody {
        fn committed(&self, _: usize, _: usize, _: std::time::Duration) {}
        fn commit_failed(&self, _: usize) {}
    }

    /// Storage in memory that remembers which pages were read.
    #[derive(Clone, Debug, Default)]
    struct Memory {
        image: Arc<Mutex<Vec<u8>>>,
        read: Arc<Mutex<BTreeSet<(u64, usize)>>>,
    }

    impl StorageBackend for Memory {
        fn len(&self) -> io::Result<u64> {
            Ok(self.image.lock().unwrap().len() as u64)
        }

        fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
            self.read.lock().unwrap().insert((offset, out.len()));
            let start = usize::try_from(offset).unwrap();
            out.copy_from_slice(&self.image.lock().unwrap()[start..start + out.len()]);
            Ok(())
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.image.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
            Ok(())
        }

        fn sync_data(&self) -> io::Result<()> {
            Ok(())
        }

        fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
            let start = usize::try_from(offset).unwrap();
            self.image.lock().unwrap()[start..start + data.len()].copy_from_slice(data);
            Ok(())
        }
    }

    /// Pages are compared with their checksums by knowledge of redb's format. Should that change,
    /// damage would go unnoticed: so every page that is read of a store that was opened must be one
    /// of which the checksum is known.
    #[tokio::test]
    async fn every_page_that_is_read_can_be_compared() {
        let memory = Memory::default();
        let engine = RedbEngine::open_backend(
            memory.clone(),
            Memory::default(),
            &RedbOptions::new(""),
            Arc::new(Nobody),
        )
        .unwrap();
        for round in 0..6_u8 {
            let put = |n: usize| {
                let key = format!("{n:04}").into_bytes();
                let bytes = vec![round; [10, 300, 5_000, 70_000][n % 4]];
                [header::SPACE, value::SPACE]
                    .map(|space| Op::Put(space, key.clone(), Sealed::public(bytes.clone())))
            };
            let ops = (0..200).flat_map(put).collect();
            engine.commit(Batch::of(ops)).await.unwrap();
        }
        drop(engine);
        memory.read.lock().unwrap().clear();
        let disk = Disk::new(Box::new(memory.clone())).unwrap();
        let (lease, fence) = disk.lease();
        let database = Generation::open(lease, fence, 0, 0, &kinds::SPACES).unwrap();
        let base = database.base().unwrap();
        for space in kinds::SPACES {
            for entry in base.entries(space, b"", &[0xff; 8], Direction::Up, decode) {
                entry.unwrap();
            }
        }
        let read = memory.read.lock().unwrap().clone();
        let pages: Vec<_> = read.iter().filter(|(offset, _)| *offset >= HEAD as u64).collect();
        assert!(pages.len() > 200, "{} pages", pages.len());
        for (offset, length) in pages {
            assert!(
                disk.pages.is_known(*offset, *length),
                "nothing is known of the {length} bytes at {offset}"
            );
        }
    }
}
