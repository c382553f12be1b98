//! What a store says of the region that it is of.

use super::{Error, endings, issued, lines, names, secrets};
use crate::{
    crypto::{RootKey, Sealed},
    store::{
        engine::{Batch, Engine, Expect, Op},
        kinds::region,
    },
};

/// Checks that the store was made with this root key, or marks a new store.
pub(super) async fn open(engine: &dyn Engine, root: &dyn RootKey) -> Result<(), Error> {
    let key = region::root_key();
    match engine.snapshot().await?.get(region::SPACE, &key).await? {
        Some(record) if *record.bytes == root.id() => {
            names::complete(engine, root).await?;
            issued::complete(engine, root, region::endings_are_complete(), endings::places).await?;
            issued::complete(engine, root, region::lines_are_complete(), lines::places).await
        }
        Some(_) => Err(Error::WrongRootKey),
        None => {
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
            engine.commit(batch).await?;
            Ok(())
        }
    }
}
