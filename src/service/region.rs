//! What a store says of the region that it is of.

use super::{Error, endings, issued, lines, names, secrets};
use crate::{
    crypto::{RootKey, Sealed},
    store::{
        engine::{Batch, CommitError, Engine, Expect, Op},
        kinds::region,
    },
};

/// Checks that the store was made with this root key, or marks a new store.
pub(super) async fn open(engine: &dyn Engine, root: &dyn RootKey) -> Result<(), Error> {
    if is_marked(engine, root).await? {
        return Ok(());
    }
    match mark(engine, root).await {
        // Another process has started at the same moment.
        Err(CommitError::Conflict) if is_marked(engine, root).await? => Ok(()),
        marked => Ok(marked?),
    }
}

/// Whether the store was made already, and with this root key.
async fn is_marked(engine: &dyn Engine, root: &dyn RootKey) -> Result<bool, Error> {
    match engine.get(region::SPACE, &region::root_key()).await? {
        Some(record) if *record.bytes == root.id() => {
            names::complete(engine, root).await?;
            issued::complete(engine, root, region::endings_are_complete(), endings::places).await?;
            issued::complete(engine, root, region::lines_are_complete(), lines::places).await?;
            Ok(true)
        }
        Some(_) => Err(Error::WrongRootKey),
        None => Ok(false),
    }
}

/// Marks a new store.
async fn mark(engine: &dyn Engine, root: &dyn RootKey) -> Result<(), CommitError> {
    let key = region::root_key();
    let batch = Batch {
        preconditions: vec![(region::SPACE, key.clone(), Expect::Absent)],
        ops: vec![
            Op::Put(region::SPACE, key, Sealed::public(root.id().to_vec())),
            names::are_complete(),
            issued::note(region::endings_are_complete()),
            issued::note(region::lines_are_complete()),
            secrets::index::is_complete(),
        ],
        ..Batch::default()
    };
    engine.commit(batch).await.map(drop)
}
