//! The file beside the store that says how far each trail has come.
//!
//! Always holds: a record that it names was durable before the file was; the file is replaced whole,
//! so that a crash leaves the one before or the new one. Never does: go back in a chain.

use std::{
    fs, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use crate::{
    audit::{ChainId, Head},
    config::Config,
    crypto::VerifyingKey,
    durable,
};

/// So many chains are kept in mind, the newest first.
const CHAINS: usize = 64;

/// How far trails have come.
pub struct Heads {
    path: PathBuf,
    known: Mutex<Vec<Head>>,
}

impl Heads {
    /// What the file beside the config's store says. Whatever the key has not signed says nothing.
    ///
    /// # Errors
    /// The system's, with the file's name, where it cannot be read.
    pub fn load(config: &Config, key: VerifyingKey) -> io::Result<Self> {
        let path = durable::behind(&config.store.path, "-audit");
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
            Ok(text) => text,
        };
        let known = text.lines().filter_map(|line| Head::parse(line, key)).collect();
        Ok(Self { path, known: Mutex::new(known) })
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

    /// Keeps a head, whose record is durable. Blocks until it is.
    pub(super) fn keep(&self, head: Head) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_of_it = |known: &Head| known.at.chain == head.at.chain;
        if known.iter().any(|known| is_of_it(known) && known.at.seq > head.at.seq) {
            return;
        }
        known.retain(|known| !is_of_it(known));
        known.insert(0, head);
        known.truncate(CHAINS);
        let text: String = known.iter().flat_map(|head| [head.as_str(), "\n"]).collect();
        if let Err(error) = durable::replace(&self.path, text.as_bytes(), 0o600) {
            tracing::error!(
                file = %self.path.display(), %error,
                "how far the audit trail has come cannot be kept; it is tried again"
            );
        }
    }
}
