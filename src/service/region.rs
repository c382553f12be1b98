//! What a store says of the region that it is of.

use super::{Error, endings, names, secrets};
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
            endings::complete(engine, root).await
        }
        Some(_) => Err(Error::WrongRootKey),
        None => {
            let batch = Batch {
                preconditions: vec![(region::SPACE, key.clone(), Expect::Absent)],
                ops: vec![
                    Op::Put(region::SPACE, key, Sealed::public(root.id().to_vec())),
                    names::are_complete(),
                    endings::are_complete(),
                    secrets::index::is_complete(),
                ],
            };
            engine.commit(batch).await?;
            Ok(())
        }
    }
}
