//! The byte form of records, before they are sealed.
//!
//! Each begins with a format byte. Integers are big-endian; text is a 4-byte length and its bytes; an optional
//! moment is `i64::MIN` where it is absent.

use crate::domain::{
    CustomMetadata, DeactivateAfter, Header, MaxVersions, Settings, Timestamp, VersionNumber, VersionRecord,
};

const FORMAT: u8 = 1;
const NEVER: i64 = i64::MIN;

/// Bytes that are not of the form that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a record is not of a known form")]
pub struct Malformed;

/// A record with a byte form.
pub trait Codec: Sized {
    /// The record's bytes.
    fn encode(&self) -> Vec<u8>;

    /// The record in these bytes.
    ///
    /// # Errors
    /// `Malformed` where the bytes are not what [`Codec::encode`] writes.
    fn decode(bytes: &[u8]) -> Result<Self, Malformed>;
}

/// A domain as it is stored: its keys, wrapped, and its [`DomainInfo`], sealed under the newest of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainRecord {
    /// Generations and their wrapped keys, oldest first.
    pub keys: Vec<(u32, Vec<u8>)>,
    /// The sealed info.
    pub info: Vec<u8>,
}

impl Codec for DomainRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.length(self.keys.len());
        for (generation, key) in &self.keys {
            out.u32(*generation);
            out.bytes(key);
        }
        out.bytes(&self.info);
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, |input| {
            let count = input.u32()?;
            let mut keys = Vec::new();
            for _ in 0..count {
                keys.push((input.u32()?, input.bytes()?.to_vec()));
            }
            Ok(Self { keys, info: input.bytes()?.to_vec() })
        })
    }
}

/// What the region knows of a domain, beside its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainInfo {
    /// The name that an operator gave it.
    pub name: String,
    /// When it was created.
    pub created_at: Timestamp,
}

impl Codec for DomainInfo {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.text(&self.name);
        out.i64(self.created_at.unix_nanos());
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, |input| Ok(Self { name: input.text()?, created_at: input.moment()? }))
    }
}

impl Codec for Settings {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.settings(self);
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, Reader::settings)
    }
}

impl Codec for VersionRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.i64(self.created_at.unix_nanos());
        out.optional_moment(self.deactivate_at);
        out.optional_moment(self.deleted_at);
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, |input| {
            Ok(Self {
                created_at: input.moment()?,
                deactivate_at: input.optional_moment()?,
                deleted_at: input.optional_moment()?,
            })
        })
    }
}

impl Codec for Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new();
        out.i64(self.created_at.unix_nanos());
        out.i64(self.updated_at.unix_nanos());
        out.u32(self.current_number());
        out.u32(self.oldest);
        out.settings(&self.settings);
        out.length(self.custom.len());
        for (key, value) in self.custom.iter() {
            out.text(key);
            out.text(value);
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, |input| {
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
            Ok(Self { created_at, updated_at, current, oldest, settings, custom })
        })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new() -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(FORMAT);
        Self(bytes)
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn length(&mut self, length: usize) {
        // Everything counted here is bounded far below 4 GiB by the domain's limits.
        self.u32(u32::try_from(length).unwrap_or(u32::MAX));
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.length(bytes.len());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional_moment(&mut self, moment: Option<Timestamp>) {
        self.i64(moment.map_or(NEVER, Timestamp::unix_nanos));
    }

    fn settings(&mut self, settings: &Settings) {
        self.0.push(u8::from(settings.cas_required));
        self.u32(settings.max_versions.get());
        self.text(settings.deactivate_after.as_ref().map_or("", DeactivateAfter::as_typed));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn read<T>(bytes: &'a [u8], read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<T, Malformed> {
        let mut reader = Self(bytes);
        if reader.u8()? != FORMAT {
            return Err(Malformed);
        }
        let record = read(&mut reader)?;
        if reader.0.is_empty() { Ok(record) } else { Err(Malformed) }
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (chunk, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*chunk)
    }

    fn u8(&mut self) -> Result<u8, Malformed> {
        self.chunk().map(u8::from_be_bytes)
    }

    fn u32(&mut self) -> Result<u32, Malformed> {
        self.chunk().map(u32::from_be_bytes)
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
        let cas_required = match self.u8()? {
            0 => false,
            1 => true,
            _ => return Err(Malformed),
        };
        let max_versions = MaxVersions::new(self.u32()?).map_err(|_| Malformed)?;
        let deactivate_after = match self.text()?.as_str() {
            "" => None,
            text => Some(text.parse().map_err(|_| Malformed)?),
        };
        Ok(Settings { cas_required, max_versions, deactivate_after })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment() -> impl Strategy<Value = Timestamp> {
        (i64::MIN + 1..=i64::MAX).prop_map(Timestamp::from_unix_nanos)
    }

    fn settings() -> impl Strategy<Value = Settings> {
        (any::<bool>(), 0u32..=24_000, prop::option::of("[1-9][0-9]{0,5}[smhd]")).prop_map(|(cas, max, after)| {
            Settings {
                cas_required: cas,
                max_versions: MaxVersions::new(max).unwrap(),
                deactivate_after: after.and_then(|text| text.parse().ok()),
            }
        })
    }

    fn header() -> impl Strategy<Value = Header> {
        let custom = prop::collection::btree_map("[a-z]{1,8}", "[a-zA-Z0-9%/]{1,20}", 0..5);
        (moment(), moment(), 0u32..=24_000, 0u32..=24_000, settings(), custom).prop_map(
            |(created_at, updated_at, current, oldest, settings, custom)| Header {
                created_at,
                updated_at,
                current: VersionNumber::new(current).ok(),
                oldest,
                settings,
                custom: CustomMetadata::from_entries(custom).unwrap(),
            },
        )
    }

    /// Decodes to what was encoded; no shorter, longer or differently marked bytes are taken.
    fn check<T: Codec + PartialEq + std::fmt::Debug>(record: &T) {
        let bytes = record.encode();
        assert_eq!(T::decode(&bytes).as_ref(), Ok(record));
        for end in 0..bytes.len() {
            assert_eq!(T::decode(&bytes[..end]), Err(Malformed));
        }
        assert_eq!(T::decode(&[bytes.as_slice(), &[0]].concat()), Err(Malformed));
        assert_eq!(T::decode(&[&[FORMAT + 1], &bytes[1..]].concat()), Err(Malformed));
    }

    proptest! {
        #[test]
        fn headers_round_trip(header in header()) {
            check(&header);
        }

        #[test]
        fn others_round_trip(settings in settings(), created_at in moment(), name in "\\PC{0,20}",
                             deactivate_at in prop::option::of(moment()), deleted_at in prop::option::of(moment())) {
            check(&settings);
            check(&VersionRecord { created_at, deactivate_at, deleted_at });
            check(&DomainInfo { name: name.clone(), created_at });
            check(&DomainRecord { keys: vec![(1, name.clone().into_bytes()), (2, vec![7; 40])], info: name.into_bytes() });
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::decode(&bytes);
            let _ = VersionRecord::decode(&bytes);
            let _ = Settings::decode(&bytes);
        }
    }
}
