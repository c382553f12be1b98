//! `okmsd audit key`, and the region whose key that is.

use std::path::{Path, PathBuf};

use clap::Args;

use super::output::{Outcome, say};
use crate::{
    app::AUDIT_PURPOSE,
    config::{self, Config},
    crypto::{FileRootKey, SigningKey, VerifyingKey},
    model::text::{self, hex},
};

#[derive(Args)]
pub(super) struct Key {
    #[command(flatten)]
    region: Region,
}

#[derive(Args)]
pub(super) struct Region {
    /// The region's folder, with its okmsd.toml.
    #[arg(long)]
    pub(super) dir: Option<PathBuf>,
}

impl Region {
    pub(super) fn config(&self) -> Outcome<Config> {
        let dir = self.dir.as_deref().unwrap_or(Path::new("."));
        Ok(Config::load(&dir.join("okmsd.toml"), config::environment())?)
    }
}

pub(super) fn parse_key(digits: &str) -> Result<VerifyingKey, String> {
    text::unhex(digits)
        .map(VerifyingKey::from_bytes)
        .ok_or_else(|| "must be the 64 hexadecimal digits that `okmsd audit key` shows".to_owned())
}

pub(super) fn key_of(config: &Config) -> Outcome<VerifyingKey> {
    let root = FileRootKey::load(&config.keys.root_key)?;
    Ok(SigningKey::of(&root, AUDIT_PURPOSE)?.public())
}

impl Key {
    pub(super) fn run(self) -> Outcome {
        say(hex(key_of(&self.region.config()?)?.as_bytes()));
        Ok(())
    }
}
