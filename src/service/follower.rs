//! Following the store: what is kept in memory of it is brought up to whatever is committed, by this
//! process or another one.

use std::{convert::Infallible, time::Duration};

use super::{Error, scope::Scope};
use crate::store::engine::{ChangesError, Revision, Space, Touched};

/// How long to wait where the store cannot be read, before it is tried again.
const PAUSE: Duration = Duration::from_millis(200);

/// Something in memory that follows the store.
pub(super) trait Follower: Sync {
    /// What it is, for the log.
    const WHAT: &'static str;

    /// The store beneath.
    fn scope(&self) -> &Scope;

    /// Reads everything that there is.
    fn read_all(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Reads what a commit has touched.
    fn read_again(&self, touched: &[Touched]) -> impl Future<Output = Result<(), Error>> + Send;
}

/// The keys in a space at which a commit has touched something; of a range its first one.
pub(super) fn keys_in(touched: &[Touched], space: Space) -> impl Iterator<Item = &[u8]> {
    touched.iter().filter_map(move |touched| {
        let (Touched::Put(of, key) | Touched::Deleted(of, key) | Touched::DeletedRange(of, key, _)) =
            touched;
        (*of == space).then_some(&**key)
    })
}

/// Reads everything, and says up to which revision that is at least.
pub(super) async fn begin(follower: &impl Follower) -> Result<Revision, Error> {
    let revision = follower.scope().engine().revision();
    follower.read_all().await?;
    Ok(revision)
}

/// Follows the changes after a revision, for good.
pub(super) async fn follow<F: Follower>(follower: &F, mut after: Revision) -> Infallible {
    loop {
        if let Err(error) = follow_on(follower, &mut after).await {
            tracing::warn!(%error, "{} cannot be read; trying again", F::WHAT);
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Reads the next changes after a revision, which is then the last of them.
async fn follow_on(follower: &impl Follower, after: &mut Revision) -> Result<(), Error> {
    let changes = match follower.scope().engine().changes(*after).await {
        Ok(changes) => changes,
        Err(ChangesError::TooOld) => {
            *after = begin(follower).await?;
            return Ok(());
        }
    };
    for change in changes {
        follower.read_again(&change.touched).await?;
        *after = change.revision;
    }
    Ok(())
}
