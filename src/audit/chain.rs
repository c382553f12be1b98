//! The chain: each record names the one before it by its hash.
//!
//! Always holds: a line is one record, one JSON object, in ASCII; its number is one more than the
//! last one's. `prev` is SHA-256 of the line before, without its line feed, so that
//! `sha256sum` can check it; the first record's is that of the chain's name. A [`checkpoint`] says,
//! signed, which record was the last at some moment.

use std::{fmt, io::Write as _};

use super::members::Members;
use crate::{
    crypto::{self, SIGNATURE, SigningKey, VerifyingKey, fingerprint},
    model::{
        Timestamp,
        text::{self, hex, hex_digits},
    },
};

/// A hash of a record.
pub type Hash = [u8; 32];

/// What names a chain: each process that has begun one has its own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChainId([u8; 8]);

impl ChainId {
    /// A new one.
    ///
    /// # Errors
    /// `crypto::Error` where there is no randomness.
    pub fn fresh() -> Result<Self, crypto::Error> {
        crypto::random().map(Self)
    }

    /// The one with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }

    /// The one of which this is the text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        unhex(text).map(Self)
    }

    /// What the first record names as the one before it.
    pub(super) fn genesis(self) -> Hash {
        fingerprint(&[b"okmsd audit chain v1\n", self.0.as_slice()].concat())
    }
}

impl fmt::Display for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl fmt::Debug for ChainId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes from hexadecimal digits as records have them: in lower case.
pub(super) fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    text::unhex(digits).filter(|_| !digits.bytes().any(|digit| digit.is_ascii_uppercase()))
}

/// How far a chain has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// Which chain.
    pub chain: ChainId,
    /// The number of the last record; 0 where there is none.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Position {
    /// How a line begins, up to the chain.
    pub(super) const CHAIN: &str = "{\"chain\":\"";
    /// What stands between the chain and the number.
    pub(super) const SEQ: &str = "\",\"seq\":";

    /// Before the first record.
    #[must_use]
    pub fn before_all(chain: ChainId) -> Self {
        Self { chain, seq: 0, hash: chain.genesis() }
    }

    /// Links the next record, and puts its line behind `lines`.
    pub(super) fn link(&mut self, members: &Members, lines: &mut Vec<u8>) {
        let begin = lines.len();
        let seq = self.seq + 1;
        // Nothing that takes memory: everybody waits until this is done.
        lines.extend_from_slice(Self::CHAIN.as_bytes());
        lines.extend(hex_digits(&self.chain.0));
        lines.extend_from_slice(Self::SEQ.as_bytes());
        let _never_fails = write!(lines, "{seq}");
        lines.extend_from_slice(b",\"prev\":\"");
        lines.extend(hex_digits(&self.hash));
        lines.extend_from_slice(b"\",");
        lines.extend_from_slice(members.as_str().as_bytes());
        lines.push(b'}');
        let hash = fingerprint(lines.get(begin..).unwrap_or_default());
        lines.push(b'\n');
        *self = Self { seq, hash, ..*self };
    }
}

/// The word for a checkpoint among the records.
pub(super) const CHECKPOINT: &str = "checkpoint";

/// What a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Said {
    /// The last record at its time.
    pub at: Position,
    /// The first change before it of which nobody knows yet how it ended; 0 where there is none.
    pub open: u64,
    /// When it was made.
    pub time: Timestamp,
}

impl Said {
    fn message(&self) -> Vec<u8> {
        let Self { at: Position { chain, seq, hash }, open, time } = self;
        let (hash, time) = (hex(hash), time.to_rfc3339_millis());
        format!("okmsd audit checkpoint v1\n{chain}\n{seq}\n{hash}\n{open}\n{time}\n").into_bytes()
    }

    /// The record of it.
    pub(super) fn signed(&self, key: &SigningKey) -> Members {
        self.members(key.public(), &key.sign(&self.message()))
    }

    /// The record of it, with this signature; `None` where the key's other half has not made that.
    pub(super) fn with_signature(
        &self,
        key: VerifyingKey,
        signature: &[u8; SIGNATURE],
    ) -> Option<Members> {
        key.has_signed(&self.message(), signature).then(|| self.members(key, signature))
    }

    fn members(&self, key: VerifyingKey, signature: &[u8; SIGNATURE]) -> Members {
        Members::new()
            .time("time", self.time)
            .text("type", CHECKPOINT)
            .number("at", self.at.seq)
            .hex("hash", &self.at.hash)
            .number("open", self.open)
            .hex("key", &key.id())
            .hex("signature", signature)
    }
}
