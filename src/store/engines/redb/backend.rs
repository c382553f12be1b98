//! What lies between redb and the storage: one disk, lent to one database after the other.
//!
//! redb refuses everything after a failed operation until it is opened anew, also reads. So the storage outlives
//! the database: a [`Disk`] gives out a [`Lease`] to each database that writes. The disk remembers the database
//! header as it was when the last commit was known to be durable, for a reader that must not see what came later.
//!
//! Always holds: once a [`Fence`] is closed, no operation behind it reaches the disk any more, not even one that
//! had begun. Never does: interpret what redb writes.

use std::{
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use redb::StorageBackend;

/// The first page of the file. The header is in it, and nothing else.
pub(super) const HEAD: usize = 4096;

/// The storage beneath every database of one engine.
pub(super) struct Disk {
    inner: Box<dyn StorageBackend>,
    head: Mutex<Head>,
}

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
        Ok(Arc::new(Self {
            inner,
            head: Mutex::new(Head { durable: now.clone(), now, now_len: len, durable_len: len }),
        }))
    }

    /// Takes the present header for durable. To be called when redb has said so, and before the next write.
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

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    /// Gives the storage back to the operating system, locks included.
    pub(super) fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)?;
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
        // Every change of the head is whole when its lock is given up, so a poisoned lock loses nothing.
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

    /// Runs `operation` unless the fence is closed. The lock is held meanwhile: a read that began before the
    /// fence closed must not see what the next database writes over the page.
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
