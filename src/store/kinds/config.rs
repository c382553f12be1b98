//! A tenant's defaults and mounts. The key is the tenant's id.

use minicbor::{Decode, Encode, bytes::ByteArray};

use super::{
    kind::{self, Kind, Malformed},
    settings,
};
use crate::{
    model::{DomainConfig, Mount, Moved, OkmsId},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("config");

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    settings: settings::Fields<'a>,
    #[b(1)]
    description: &'a str,
    #[b(2)]
    mounts: Vec<MountFields<'a>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct MountFields<'a> {
    #[b(0)]
    path: &'a str,
    #[b(1)]
    below: &'a str,
    #[b(2)]
    description: &'a str,
    #[n(3)]
    uuid: ByteArray<16>,
    #[b(4)]
    settings: settings::Fields<'a>,
    #[b(5)]
    moved: Option<MovedFields<'a>>,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct MovedFields<'a> {
    #[n(0)]
    id: ByteArray<16>,
    #[b(1)]
    from: &'a str,
}

impl Kind for DomainConfig {
    const SPACE: Space = SPACE;
    type Name<'a> = ();

    fn key(id: OkmsId, (): ()) -> Vec<u8> {
        id.as_bytes().to_vec()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let mounts = self.mounts().iter().map(|mount| MountFields {
            path: mount.path.as_str(),
            below: mount.below.as_str(),
            description: &mount.description,
            uuid: mount.uuid.into(),
            settings: (&mount.settings).into(),
            moved: mount
                .moved
                .as_ref()
                .map(|moved| MovedFields { id: moved.id.into(), from: moved.from.as_str() }),
        });
        kind::encode(&Fields {
            settings: (&self.settings).into(),
            description: &self.description,
            mounts: mounts.collect(),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        let mount = |mount: MountFields<'_>| -> Result<Mount, Malformed> {
            let moved = mount.moved.map(|moved| -> Result<_, Malformed> {
                Ok(Moved { id: moved.id.into(), from: moved.from.parse()? })
            });
            Ok(Mount {
                path: mount.path.parse()?,
                below: mount.below.parse()?,
                moved: moved.transpose()?,
                description: mount.description.to_owned(),
                uuid: mount.uuid.into(),
                settings: mount.settings.try_into()?,
            })
        };
        let mounts = fields.mounts.into_iter().map(mount).collect::<Result<_, _>>()?;
        Ok(Self::from_stored(fields.settings.try_into()?, fields.description.to_owned(), mounts)?)
    }
}
