//! What a store says of the region that it is of.

use super::{Error, names};
use crate::{
    crypto::RootKey,
    store::{
        engine::{Batch, Engine, Expect, Op, Space},
        keys,
    },
};

/// Where the public name of the root key is kept that a store was made with.
#[must_use]
pub fn root_key_record() -> Vec<u8> {
    keys::region("root-key")
}

/// Checks that the store was made with this root key, or marks a new store.
pub(super) async fn open(engine: &dyn Engine, root: &dyn RootKey) -> Result<(), Error> {
    let key = root_key_record();
    match engine.snapshot().await?.get(Space::Region, &key).await? {
        Some(record) if *record.bytes == root.id() => names::complete(engine, root).await,
        Some(_) => Err(Error::WrongRootKey),
        None => {
            let batch = Batch {
                preconditions: vec![(Space::Region, key.clone(), Expect::Absent)],
                ops: vec![Op::Put(Space::Region, key, root.id().to_vec()), names::are_complete()],
            };
            engine.commit(batch).await?;
            Ok(())
        }
    }
}
