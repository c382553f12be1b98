//! What is kept apart from a trail, so that its end cannot be cut off unnoticed: the last record at
//! some moment, signed.
//!
//! Always holds: the record was durable before anybody was given this.

use serde::Deserialize;

use super::{
    chain::{ChainId, Position, Said},
    members::Members,
    verify::Checkpoint,
};
use crate::crypto::{SigningKey, VerifyingKey};

/// A record that a trail must have reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The record.
    pub at: Position,
    line: String,
}

#[derive(Deserialize)]
struct Of<'a> {
    chain: &'a str,
}

impl Head {
    /// What was said, signed, and the members of its record.
    pub(super) fn of(said: &Said, key: &SigningKey) -> (Self, Members) {
        let members = said.signed(key);
        let line = format!("{{\"chain\":\"{}\",{}}}", said.at.chain, members.as_str());
        (Self { at: said.at, line }, members)
    }

    /// The one of which this is the text; `None` where the key's other half has not signed it.
    #[must_use]
    pub fn parse(line: &str, key: VerifyingKey) -> Option<Self> {
        let Of { chain } = serde_json::from_str(line).ok()?;
        let checkpoint: Checkpoint<'_> = serde_json::from_str(line).ok()?;
        let (said, signature) = checkpoint.said(ChainId::parse(chain)?)?;
        said.with_signature(key, &signature)?;
        Some(Self { at: said.at, line: line.to_owned() })
    }

    /// Its text: one line, without a line feed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.line
    }
}
