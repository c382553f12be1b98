//! The last durable state of a disk, readable while the disk takes no writes.
//!
//! redb writes to its header whenever it opens a database. An [`Overlay`] puts the header of the
//! last durable commit over the file and keeps all further writes in memory. That is sound because
//! redb never overwrites a page which the last durable commit can reach: only the header changes in
//! place.
//!
//! Always holds: nothing is ever written to the disk from here. Never does: follow what the disk
//! becomes later.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use redb::StorageBackend;

use super::{
    backend::{Disk, Fence},
    pages::HEAD,
};

/// The last durable state of the disk, with changes that go to memory only.
pub(super) struct Overlay {
    disk: Arc<Disk>,
    fence: Fence,
    pages: Mutex<Pages>,
}

/// A way of reading the disk.
type ReadAt = fn(&Disk, u64, &mut [u8]) -> io::Result<()>;

struct Pages {
    len: u64,
    /// Pages of `HEAD` bytes by their offset. redb writes its header and little else when it opens
    /// a database.
    written: BTreeMap<u64, Vec<u8>>,
}

impl fmt::Debug for Overlay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Overlay")
    }
}

impl Overlay {
    pub(super) fn new(disk: &Arc<Disk>) -> io::Result<(Self, Fence)> {
        let (head, len) = disk.last_durable();
        // A failed commit may have cut the file already. What it cut was free, and reads as zeros.
        let pages = Pages { len: len.max(disk.len()?), written: BTreeMap::from([(0, head)]) };
        let fence = Fence::default();
        Ok((Self { disk: Arc::clone(disk), fence: fence.clone(), pages: Mutex::new(pages) }, fence))
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the disk has there; zeros behind its end.
    fn read_disk(&self, offset: u64, out: &mut [u8], read: ReadAt) -> io::Result<()> {
        let present = self.disk.len()?.saturating_sub(offset);
        let present = usize::try_from(present).unwrap_or(usize::MAX).min(out.len());
        out.fill(0);
        match out.get_mut(..present) {
            Some(out) if !out.is_empty() => read(&self.disk, offset, out),
            _ => Ok(()),
        }
    }
}

/// Copies `from`, which begins at `from_offset`, over the part of `to` that it covers.
fn patch(to: &mut [u8], to_offset: u64, from: &[u8], from_offset: u64) {
    let skip = |ahead: u64| usize::try_from(ahead).unwrap_or(usize::MAX);
    let to = to.get_mut(skip(from_offset.saturating_sub(to_offset))..).unwrap_or_default();
    let from = from.get(skip(to_offset.saturating_sub(from_offset))..).unwrap_or_default();
    to.iter_mut().zip(from).for_each(|(old, new)| *old = *new);
}

/// The offsets of the pages that `len` bytes at `offset` touch.
fn pages_of(offset: u64, len: usize) -> impl Iterator<Item = u64> {
    let first = offset - offset % HEAD as u64;
    (first..offset.saturating_add(len as u64)).step_by(HEAD)
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.pages().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.pages().len < offset.saturating_add(out.len() as u64) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.fence.pass(|| self.read_disk(offset, out, Disk::read))?;
        let pages = self.pages();
        for page in pages_of(offset, out.len()) {
            if let Some(written) = pages.written.get(&page) {
                patch(out, offset, written, page);
            }
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.pages().len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        for page in pages_of(offset, data.len()) {
            let known = self.pages().written.get(&page).cloned();
            let mut bytes = if let Some(known) = known {
                known
            } else {
                let mut bytes = vec![0; HEAD];
                self.fence.pass(|| self.read_disk(page, &mut bytes, Disk::read_part))?;
                bytes
            };
            patch(&mut bytes, page, data, offset);
            self.pages().written.insert(page, bytes);
        }
        Ok(())
    }
}
