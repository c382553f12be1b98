//! What earlier layouts of stores had: their places and their byte forms. Nothing else knows of
//! them.
//!
//! Layouts 1 and 2 (the first had no tokens) kept a value's wrapped key before its ciphertext, and
//! bound what they sealed to a place of its own naming. Records began with a format byte; integers
//! were big-endian, text was a 4-byte length and its bytes, and an optional moment `i64::MIN` where
//! it was absent. Their keys were today's, but for what is told of a wrapped response, which lay
//! where tokens lie. Never does: write any of it; what is read is brought up by
//! `service/upgrade.rs`.

use std::fmt;

use bytes::Bytes;

use crate::{
    crypto::{Sealed, WrappedKey},
    model::{
        Bearer, CustomMetadata, DeactivateAfter, DomainConfig, Header, MaxVersions, Mount,
        MountPath, Moved, OkmsId, Settings, Timestamp, Token, VersionNumber, VersionRecord,
        Wrapped,
    },
    store::{
        engine::{Op, ReadError, Source, Space},
        kinds::{
            Malformed,
            tenant::{DomainInfo, DomainRecord},
        },
    },
};

/// Looks at a key and the record under it.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<(), Source> + 'a;

/// What lies in a store of an earlier layout. Its spaces have today's names.
pub trait Store {
    /// The record under a key.
    ///
    /// # Errors
    /// Where the storage fails.
    fn get(&self, space: Space, key: &[u8]) -> Result<Option<Bytes>, ReadError>;

    /// Shows all records of a space, in the order of their keys.
    ///
    /// # Errors
    /// Where the storage fails, and what `visit` says.
    fn each(&self, space: Space, visit: &mut Visit<'_>) -> Result<(), Source>;
}

/// Takes a change to a store that is being brought up.
pub type Write<'a> = dyn FnMut(Op) -> Result<(), Source> + 'a;

/// Who brings the records of a store of an earlier layout up to today's.
pub trait Upgrade: fmt::Debug + Send + Sync {
    /// Writes whatever changes; what is not written over stays as it is. All of it becomes durable
    /// together, or nothing.
    ///
    /// # Errors
    /// Why the store has to stay as it is.
    fn upgrade(&self, former: &dyn Store, write: &mut Write<'_>) -> Result<(), Source>;
}

/// Where something was sealed, within its tenant.
#[derive(Clone, Copy, Debug)]
pub enum FormerPlace<'a> {
    /// The tenant's own info.
    Domain,
    /// Its defaults and mounts.
    Config,
    /// A header, by its path.
    Header(&'a str),
    /// A version's record.
    Version(&'a str, u32),
    /// A version's value.
    Value(&'a str, u32),
    /// A token.
    Token(&'a str),
    /// What is told of a wrapped response.
    WrapInfo(&'a str),
    /// The body of a wrapped response.
    Wrapped(&'a str),
}

impl FormerPlace<'_> {
    /// The place as it was bound to: kind, tenant, length of the name, name, version.
    #[must_use]
    pub fn bytes(self, id: OkmsId) -> Vec<u8> {
        let (kind, name, version) = match self {
            Self::Domain => (1, "", 0),
            Self::Config => (2, "", 0),
            Self::Header(path) => (3, path, 0),
            Self::Version(path, version) => (4, path, version),
            Self::Value(path, version) => (5, path, version),
            Self::Token(id) => (7, id, 0),
            Self::Wrapped(id) => (8, id, 0),
            Self::WrapInfo(id) => (9, id, 0),
        };
        let length = u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes();
        [&[1, kind], id.as_bytes().as_slice(), &length, name.as_bytes(), &version.to_be_bytes()]
            .concat()
    }
}

const FORMAT: u8 = 1;
/// Headers that count the versions of their metadata; configs that have mounts; versions that know
/// who deactivated them.
const FORMAT_2: u8 = 2;
/// Configs whose mounts can have moved.
const FORMAT_3: u8 = 3;
const NEVER: i64 = i64::MIN;

/// A record that had a byte form.
pub trait Past: Sized {
    /// The record in these bytes.
    ///
    /// # Errors
    /// `Malformed` where they are of no form that was written.
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed>;
}

impl Past for DomainRecord {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT, |_, input| {
            let count = input.u32()?;
            let mut keys = Vec::new();
            for _ in 0..count {
                keys.push((input.u32()?, WrappedKey::from_bytes(input.bytes()?.to_vec())));
            }
            Ok(Self { keys, info: Sealed::public(input.bytes()?.to_vec()) })
        })
    }
}

impl Past for DomainInfo {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT, |_, input| {
            Ok(Self { name: input.text()?, created_at: input.moment()?, alias: None })
        })
    }
}

impl Past for DomainConfig {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT_3, |format, input| {
            let settings = input.settings()?;
            let (mut description, mut mounts) = (String::new(), Vec::new());
            if format >= FORMAT_2 {
                description = input.text()?;
                for _ in 0..input.u32()? {
                    let path = input.mount_path()?;
                    let (description, uuid, settings) =
                        (input.text()?, input.chunk()?, input.settings()?);
                    let (mut below, mut moved) = (path.clone(), None);
                    if format >= FORMAT_3 {
                        below = input.mount_path()?;
                        if input.flag()? {
                            moved = Some(Moved { id: input.chunk()?, from: input.mount_path()? });
                        }
                    }
                    mounts.push(Mount { path, below, moved, description, uuid, settings });
                }
            }
            Ok(Self::from_stored(settings, description, mounts)?)
        })
    }
}

impl Past for Token {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT, |_, input| {
            Ok(Self {
                secret_sha256: input.chunk()?,
                key_sha256: Some(input.chunk()?),
                created_at: input.moment()?,
                renewed_at: input.optional_moment()?,
                expires_at: input.moment()?,
                ttl_seconds: input.u64()?,
                ends_at: input.moment()?,
                is_renewable: input.flag()?,
                path: input.text()?,
                display_name: input.text()?,
                meta: (0..input.u32()?)
                    .map(|_| Ok((input.text()?, input.text()?)))
                    .collect::<Result<_, Malformed>>()?,
                bearer: Bearer::default(),
            })
        })
    }
}

impl Past for Wrapped {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT, |_, input| {
            Ok(Self {
                secret_sha256: input.chunk()?,
                created_at: input.moment()?,
                ttl_seconds: input.u64()?,
                path: input.text()?,
                status: input.u32()?.try_into().map_err(|_| Malformed)?,
                key_sha256: None,
            })
        })
    }
}

impl Past for VersionRecord {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT_2, |format, input| {
            Ok(Self {
                created_at: input.moment()?,
                deactivate_at: input.optional_moment()?,
                deleted_at: input.optional_moment()?,
                is_deactivated: format >= FORMAT_2 && input.flag()?,
            })
        })
    }
}

impl Past for Header {
    fn decode_past(bytes: &[u8]) -> Result<Self, Malformed> {
        Fields::read(bytes, FORMAT_2, |format, input| {
            let (created_at, updated_at) = (input.moment()?, input.moment()?);
            let current = match input.u32()? {
                0 => None,
                number => Some(VersionNumber::new(number).map_err(|_| Malformed)?),
            };
            let (oldest, settings, entries) = (input.u32()?, input.settings()?, input.u32()?);
            let mut custom = Vec::new();
            for _ in 0..entries {
                custom.push((input.text()?, input.text()?));
            }
            let custom = CustomMetadata::from_entries(custom).map_err(|_| Malformed)?;
            let metadata_version = if format >= FORMAT_2 { input.u32()? } else { 0 };
            Ok(Self {
                updated_at,
                current,
                oldest,
                settings,
                custom,
                metadata_version,
                ..Self::new(created_at)
            }
            .check()?)
        })
    }
}

struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// Reads a record of any format up to `newest`.
    fn read<T>(
        bytes: &'a [u8],
        newest: u8,
        read: impl FnOnce(u8, &mut Self) -> Result<T, Malformed>,
    ) -> Result<T, Malformed> {
        let mut reader = Self(bytes);
        let format = reader.u8()?;
        if !(FORMAT..=newest).contains(&format) {
            return Err(Malformed);
        }
        let record = read(format, &mut reader)?;
        if reader.0.is_empty() { Ok(record) } else { Err(Malformed) }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn mount_path(&mut self) -> Result<MountPath, Malformed> {
        self.text()?.parse().map_err(|_| Malformed)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.chunk().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.chunk().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Malformed> {
        self.chunk().map(u64::from_be_bytes)
    }

    fn flag(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    fn moment(&mut self) -> Result<Timestamp, Malformed> {
        self.chunk().map(i64::from_be_bytes).map(Timestamp::from_unix_nanos)
    }

    fn optional_moment(&mut self) -> Result<Option<Timestamp>, Malformed> {
        let moment = self.moment()?;
        Ok((moment.unix_nanos() != NEVER).then_some(moment))
    }

    fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = self.u32()? as usize;
        let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<String, Malformed> {
        std::str::from_utf8(self.bytes()?).map(str::to_owned).map_err(|_| Malformed)
    }

    fn settings(&mut self) -> Result<Settings, Malformed> {
        let flags = self.u8()?;
        if flags > 0b11 {
            return Err(Malformed);
        }
        let max_versions = MaxVersions::new(self.u32()?).map_err(|_| Malformed)?;
        let deactivate_after = match self.text()?.as_str() {
            "" => None,
            text => Some(DeactivateAfter::from_stored(text).map_err(|_| Malformed)?),
        };
        let (cas_required, metadata_cas_required) = (flags & 1 != 0, flags & 2 != 0);
        Ok(Settings { cas_required, max_versions, deactivate_after, metadata_cas_required })
    }
}
