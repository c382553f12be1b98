//! The rules of versioned secrets, and nothing else.
//!
//! Owns the nouns (ids, paths, versions, settings, headers) and every decision about them: which state a version
//! is in, whether a write's CAS holds, what is pruned, what a transition does. Always holds: a value of one of
//! these types is well formed, because parsing is the only way to make one; the same inputs give the same answer.
//! Never does: I/O, reading a clock, randomness, JSON, HTTP.

mod duration;
mod error;
mod ids;
mod metadata;
mod path;
mod secret;
mod settings;
mod time;
mod version;

pub use self::{
    duration::DeactivateAfter,
    error::Invalid,
    ids::OkmsId,
    metadata::{CustomMetadata, CustomPatch, METADATA_ENTRIES_MAX, METADATA_KEY_MAX, METADATA_VALUE_MAX},
    path::{PATH_MAX, SecretPath},
    secret::{Added, Header, MetadataPatch, Refused},
    settings::{DEFAULT_MAX_VERSIONS, MaxVersions, Settings, SettingsPatch},
    time::Timestamp,
    version::{Cas, Transition, VERSION_MAX, VersionNumber, VersionRecord, VersionState},
};
