//! The file beside the store that says how far each trail has come.
//!
//! Always holds: a record that it names was durable before the file was; the file is replaced whole,
//! so that a crash leaves the one before or the new one. Whoever replaces it, of several processes, has
//! read what the others have written, and is alone meanwhile. Never does: go back in a chain.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

use crate::{
    audit::{ChainId, Head},
    config::Config,
    crypto::VerifyingKey,
    durable,
};

/// So many chains are kept in mind, the newest first.
const CHAINS: usize = 64;

/// So often it is looked whether another process has written the file, and so long in between.
const LOOKS: u32 = 200;
const LOOK: Duration = Duration::from_millis(10);

/// How far trails have come.
pub struct Heads {
    path: PathBuf,
    key: VerifyingKey,
    known: Mutex<Vec<Head>>,
}

impl Heads {
    /// What the file beside the config's store says.
    ///
    /// # Errors
    /// The system's, with the file's name, where it cannot be read.
    pub fn load(config: &Config, key: VerifyingKey) -> io::Result<Self> {
        let path = durable::behind(&config.store.path, "-audit");
        let known = read(&path, key).map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}", path.display()))
        })?;
        Ok(Self { path, key, known: Mutex::new(known) })
    }

    /// All that are known, the newest first.
    #[must_use]
    pub fn all(&self) -> Vec<Head> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Of this chain.
    pub(super) fn of(&self, chain: ChainId) -> Option<Head> {
        self.all().into_iter().find(|head| head.at.chain == chain)
    }

    /// Keeps a head, whose record is durable. Blocks until it is. Whether it could be.
    pub(super) fn keep(&self, head: Head) -> bool {
        let kept = self.replace(head);
        if let Err(error) = &kept {
            tracing::error!(
                file = %self.path.display(), %error,
                "how far the audit trail has come cannot be kept; it is tried again with the next checkpoint"
            );
        }
        kept.is_ok()
    }

    fn replace(&self, head: Head) -> io::Result<()> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let _alone = alone(&self.path)?;
        let mut all = vec![head];
        for other in read(&self.path, self.key)?.into_iter().chain(known.drain(..)) {
            match all.iter_mut().find(|one| one.at.chain == other.at.chain) {
                Some(one) if one.at.seq >= other.at.seq => {}
                Some(one) => *one = other,
                None => all.push(other),
            }
        }
        all.truncate(CHAINS);
        let text: String = all.iter().flat_map(|head| [head.as_str(), "\n"]).collect();
        // Known even if it cannot be written: it is no less true.
        *known = all;
        durable::replace(&self.path, text.as_bytes(), 0o600)
    }
}

/// What the file says. Whatever the key has not signed says nothing.
fn read(path: &Path, key: VerifyingKey) -> io::Result<Vec<Head>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    Ok(text.lines().filter_map(|line| Head::parse(line, key)).collect())
}

/// Waits until no other process writes the file, and keeps the others waiting until this is dropped: by
/// its folder, as the file is another one each time.
fn alone(path: &Path) -> io::Result<File> {
    let folder = File::open(durable::folder(path).unwrap_or(Path::new(".")))?;
    for _ in 0..LOOKS {
        match folder.try_lock() {
            Ok(()) => return Ok(folder),
            Err(TryLockError::WouldBlock) => thread::sleep(LOOK),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}
