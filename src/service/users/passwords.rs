//! What is made of passwords, away from the threads that serve many, and so much of it at once and no
//! more.

use std::sync::Arc;
#[cfg(test)]
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use crate::{
    crypto::{self, Password},
    fair::Weights,
    model::{OkmsId, PasswordHash},
    service::{
        Error,
        turns::{PASSWORDS, SharedTurn, SharedTurns},
    },
};

/// The turns of those who make something of a password.
pub(super) struct Passwords {
    turns: SharedTurns,
    /// How many have had one.
    #[cfg(test)]
    pub(super) taken: AtomicUsize,
}

/// A turn, for one password.
pub(super) struct PasswordTurn(SharedTurn);

impl Passwords {
    pub(super) fn new(weights: &Arc<Weights>) -> Self {
        Self {
            turns: SharedTurns::new(PASSWORDS, weights),
            #[cfg(test)]
            taken: AtomicUsize::new(0),
        }
    }

    /// Waits for a turn of the domain `id`.
    pub(super) async fn turn(&self, id: OkmsId) -> Result<PasswordTurn, Error> {
        let turn = self.turns.turn(id).await?;
        #[cfg(test)]
        self.taken.fetch_add(1, Relaxed);
        Ok(PasswordTurn(turn))
    }
}

impl PasswordTurn {
    /// What is to be kept of a password.
    pub(super) async fn hash(self, password: Password) -> Result<PasswordHash, Error> {
        self.work(move || password.hash()).await
    }

    /// Whether it is the password of which this is kept.
    pub(super) async fn fits(
        self,
        password: Password,
        kept: Option<PasswordHash>,
    ) -> Result<bool, Error> {
        self.work(move || password.fits(kept.as_ref())).await
    }

    /// The turn ends with the work, also where nobody waits for that any more.
    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce() -> Result<T, crypto::Error> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(move || {
            let Self(_turn) = self;
            work()
        });
        Ok(done.await.map_err(|_| crypto::Error::Library)??)
    }
}
