//! The byte form of records, before they are sealed.
//!
//! Each begins with a format byte. Integers are big-endian; text is a 4-byte length and its bytes; an optional
//! moment is `i64::MIN` where it is absent. Older formats are read, the newest is written.

use crate::domain::{
    CustomMetadata, DeactivateAfter, DomainConfig, Header, MaxVersions, Mount, MountPath, Moved, Settings, Timestamp,
    Token, VersionNumber, VersionRecord, Wrapped,
};

const FORMAT: u8 = 1;
/// Headers that count the versions of their metadata; configs that have mounts; versions that know who deactivated them.
const FORMAT_2: u8 = 2;
/// Configs whose mounts can have moved.
const FORMAT_3: u8 = 3;
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
        let mut out = Writer::new(FORMAT);
        out.length(self.keys.len());
        for (generation, key) in &self.keys {
            out.u32(*generation);
            out.bytes(key);
        }
        out.bytes(&self.info);
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT, |_, input| {
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
        let mut out = Writer::new(FORMAT);
        out.text(&self.name);
        out.i64(self.created_at.unix_nanos());
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT, |_, input| Ok(Self { name: input.text()?, created_at: input.moment()? }))
    }
}

impl Codec for DomainConfig {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(FORMAT_3);
        out.settings(&self.settings);
        out.text(&self.description);
        out.length(self.mounts().len());
        for mount in self.mounts() {
            out.text(mount.path.as_str());
            out.text(&mount.description);
            out.0.extend_from_slice(&mount.uuid);
            out.settings(&mount.settings);
            out.text(mount.below.as_str());
            out.flag(mount.moved.is_some());
            if let Some(moved) = &mount.moved {
                out.0.extend_from_slice(&moved.id);
                out.text(moved.from.as_str());
            }
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT_3, |format, input| {
            let settings = input.settings()?;
            let (mut description, mut mounts) = (String::new(), Vec::new());
            if format >= FORMAT_2 {
                description = input.text()?;
                for _ in 0..input.u32()? {
                    let path = input.mount_path()?;
                    let (description, uuid, settings) = (input.text()?, input.chunk()?, input.settings()?);
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
            Ok(Self::new(settings, description, mounts))
        })
    }
}

impl Codec for Token {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(FORMAT);
        out.0.extend_from_slice(&self.secret_sha256);
        out.0.extend_from_slice(&self.key_sha256);
        out.i64(self.created_at.unix_nanos());
        out.optional_moment(self.renewed_at);
        out.i64(self.expires_at.unix_nanos());
        out.u64(self.ttl_seconds);
        out.i64(self.ends_at.unix_nanos());
        out.flag(self.is_renewable);
        out.text(&self.path);
        out.text(&self.display_name);
        out.length(self.meta.len());
        for (name, text) in &self.meta {
            out.text(name);
            out.text(text);
        }
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT, |_, input| {
            Ok(Self {
                secret_sha256: input.chunk()?,
                key_sha256: input.chunk()?,
                created_at: input.moment()?,
                renewed_at: input.optional_moment()?,
                expires_at: input.moment()?,
                ttl_seconds: input.u64()?,
                ends_at: input.moment()?,
                is_renewable: input.flag()?,
                path: input.text()?,
                display_name: input.text()?,
                meta: (0..input.u32()?).map(|_| Ok((input.text()?, input.text()?))).collect::<Result<_, _>>()?,
            })
        })
    }
}

impl Codec for Wrapped {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(FORMAT);
        out.0.extend_from_slice(&self.secret_sha256);
        out.i64(self.created_at.unix_nanos());
        out.u64(self.ttl_seconds);
        out.text(&self.path);
        out.u32(self.status.into());
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT, |_, input| {
            Ok(Self {
                secret_sha256: input.chunk()?,
                created_at: input.moment()?,
                ttl_seconds: input.u64()?,
                path: input.text()?,
                status: input.u32()?.try_into().map_err(|_| Malformed)?,
            })
        })
    }
}

impl Codec for VersionRecord {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(FORMAT_2);
        out.i64(self.created_at.unix_nanos());
        out.optional_moment(self.deactivate_at);
        out.optional_moment(self.deleted_at);
        out.flag(self.is_deactivated);
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT_2, |format, input| {
            Ok(Self {
                created_at: input.moment()?,
                deactivate_at: input.optional_moment()?,
                deleted_at: input.optional_moment()?,
                is_deactivated: format >= FORMAT_2 && input.flag()?,
            })
        })
    }
}

impl Codec for Header {
    fn encode(&self) -> Vec<u8> {
        let mut out = Writer::new(FORMAT_2);
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
        out.u32(self.metadata_version);
        out.0
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        Reader::read(bytes, FORMAT_2, |format, input| {
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
            Ok(Self { created_at, updated_at, current, oldest, settings, custom, metadata_version })
        })
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn new(format: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(format);
        Self(bytes)
    }

    fn u32(&mut self, number: u32) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend_from_slice(&number.to_be_bytes());
    }

    fn flag(&mut self, flag: bool) {
        self.0.push(u8::from(flag));
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
        self.0.push(u8::from(settings.cas_required) | u8::from(settings.metadata_cas_required) << 1);
        self.u32(settings.max_versions.get());
        self.text(settings.deactivate_after.as_ref().map_or("", DeactivateAfter::as_typed));
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment() -> impl Strategy<Value = Timestamp> {
        (i64::MIN + 1..=i64::MAX).prop_map(Timestamp::from_unix_nanos)
    }

    fn settings() -> impl Strategy<Value = Settings> {
        let after = prop::option::of(prop_oneof!["[1-9][0-9]{0,5}[smhd]", "-1s"]);
        (any::<[bool; 2]>(), 0u32..=24_000, after).prop_map(|([cas, metadata_cas], max, after)| Settings {
            cas_required: cas,
            max_versions: MaxVersions::new(max).unwrap(),
            deactivate_after: after.and_then(|text| DeactivateAfter::from_stored(&text).ok()),
            metadata_cas_required: metadata_cas,
        })
    }

    fn header() -> impl Strategy<Value = Header> {
        let custom = prop::collection::btree_map("[a-z]{1,8}", "[a-zA-Z0-9%/ é]{1,20}", 0..5);
        (moment(), moment(), 0u32..=24_000, 0u32..=24_000, settings(), custom, any::<u32>()).prop_map(
            |(created_at, updated_at, current, oldest, settings, custom, metadata_version)| Header {
                created_at,
                updated_at,
                current: VersionNumber::new(current).ok(),
                oldest,
                settings,
                custom: CustomMetadata::from_entries(custom).unwrap(),
                metadata_version,
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
        assert_eq!(T::decode(&[&[bytes[0] + 1], &bytes[1..]].concat()), Err(Malformed));
        assert_eq!(T::decode(&[&[0], &bytes[1..]].concat()), Err(Malformed));
    }

    /// What the first version wrote is read still: settings alone for a config, no metadata version in a header, no word
    /// of who deactivated a version.
    #[test]
    fn the_first_formats_are_read() {
        let settings = Settings { cas_required: true, ..Settings::default() };
        let mut config = Writer::new(FORMAT);
        config.settings(&settings);
        assert_eq!(DomainConfig::decode(&config.0), Ok(DomainConfig::new(settings, String::new(), Vec::new())));
        let header = Header::new(Timestamp::from_unix_seconds(5));
        let mut bytes = header.encode();
        bytes[0] = FORMAT;
        bytes.truncate(bytes.len() - 4);
        assert_eq!(Header::decode(&bytes), Ok(header));
        let moment = Timestamp::from_unix_seconds(5);
        let version =
            VersionRecord { created_at: moment, deactivate_at: Some(moment), deleted_at: None, is_deactivated: false };
        let mut bytes = version.encode();
        bytes[0] = FORMAT;
        bytes.truncate(bytes.len() - 1);
        assert_eq!(VersionRecord::decode(&bytes), Ok(version));
    }

    /// A mount that was stored before there were moves shows what is below its own name.
    #[test]
    fn mounts_of_the_second_format_are_read() {
        let settings = Settings::default();
        let mut config = Writer::new(FORMAT_2);
        config.settings(&settings);
        config.text("about");
        config.length(1);
        config.text("team");
        config.text("a team's");
        config.0.extend_from_slice(&[7; 16]);
        config.settings(&settings);
        let path: MountPath = "team".parse().unwrap();
        let mount = Mount {
            below: path.clone(),
            path,
            moved: None,
            description: "a team's".to_owned(),
            uuid: [7; 16],
            settings: settings.clone(),
        };
        assert_eq!(DomainConfig::decode(&config.0), Ok(DomainConfig::new(settings, "about".to_owned(), vec![mount])));
    }

    proptest! {
        #[test]
        fn headers_round_trip(header in header()) {
            check(&header);
        }

        #[test]
        fn others_round_trip(settings in settings(), created_at in moment(), name in "\\PC{0,20}",
                             deactivate_at in prop::option::of(moment()), deleted_at in prop::option::of(moment())) {
            check(&DomainConfig::new(settings.clone(), name.clone(), Vec::new()));
            let path: MountPath = "team/a".parse().unwrap();
            let moved = deleted_at.map(|_| Moved { id: [8; 16], from: path.clone() });
            let below = "team/b".parse().unwrap();
            let mount = Mount { path, below, moved, description: name.clone(), uuid: [7; 16], settings };
            check(&DomainConfig::new(mount.settings.clone(), name.clone(), vec![mount]));
            check(&Wrapped { secret_sha256: [1; 32], created_at, ttl_seconds: 9, path: name.clone(), status: 404 });
            check(&Token {
                secret_sha256: [1; 32],
                key_sha256: [2; 32],
                created_at,
                renewed_at: deactivate_at,
                expires_at: created_at,
                ttl_seconds: 5,
                ends_at: created_at,
                is_renewable: deleted_at.is_some(),
                path: name.clone(),
                display_name: name.clone(),
                meta: vec![(name.clone(), name.clone())],
            });
            check(&VersionRecord { created_at, deactivate_at, deleted_at, is_deactivated: name.is_empty() });
            check(&DomainInfo { name: name.clone(), created_at });
            check(&DomainRecord { keys: vec![(1, name.clone().into_bytes()), (2, vec![7; 40])], info: name.into_bytes() });
        }

        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Header::decode(&bytes);
            let _ = VersionRecord::decode(&bytes);
            let _ = DomainConfig::decode(&bytes);
            let _ = Token::decode(&bytes);
            let _ = Wrapped::decode(&bytes);
        }
    }
}
