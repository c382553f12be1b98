//! `okmsd audit`

use std::{
    fmt::Display,
    io,
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};

use super::{
    audit_show::Show,
    audit_tail::Tail,
    output::{Answer, Outcome, answered, say},
};
use crate::{
    app::{AUDIT_PURPOSE, Heads},
    audit::{ChainId, FileDevice, Lines, Position, Proven, Verifier},
    config::{self, AuditFormat, Config},
    crypto::{FileRootKey, SigningKey, VerifyingKey},
    model::text::{self, hex},
};

/// Read and check the audit trail, in its files.
#[derive(Subcommand)]
pub(super) enum Audit {
    /// Check that nothing in the files was edited, left out, put in or moved. Ends with 0 where that is
    /// so, with 1 where it is not, and with 2 where it cannot be said.
    Verify(Verify),
    /// Show the key that checks checkpoints: with it a trail can be verified elsewhere.
    Key(Key),
    /// Show records.
    Show(Show),
    /// Show the last records, and those to come.
    Tail(Tail),
}

#[derive(Args)]
pub(super) struct Verify {
    /// The files, in order, packed ones (.gz) as they are; several chains may be mixed. Without any:
    /// those that the region's config names.
    files: Vec<PathBuf>,
    #[command(flatten)]
    region: Region,
    /// In place of the folder: the key that `okmsd audit key` shows.
    #[arg(long, value_parser = parse_key, required_unless_present = "dir")]
    key: Option<VerifyingKey>,
    /// Fail where a chain does not end with a stop, signed: where the server still runs, has crashed,
    /// or the end was cut off.
    #[arg(long)]
    closed: bool,
    /// A chain of which nothing is here, and need not be: of a trail that was put away.
    #[arg(long, value_name = "CHAIN", value_parser = parse_chain)]
    without: Vec<ChainId>,
}

#[derive(Args)]
pub(super) struct Key {
    #[command(flatten)]
    region: Region,
}

#[derive(Args)]
struct Region {
    /// The region's folder, with its okmsd.toml.
    #[arg(long)]
    dir: Option<PathBuf>,
}

fn parse_chain(digits: &str) -> Result<ChainId, String> {
    ChainId::parse(digits)
        .ok_or_else(|| "must be the 16 hexadecimal digits that name a chain".to_owned())
}

fn parse_key(digits: &str) -> Result<VerifyingKey, String> {
    text::unhex(digits)
        .map(VerifyingKey::from_bytes)
        .ok_or_else(|| "must be the 64 hexadecimal digits that `okmsd audit key` shows".to_owned())
}

impl Audit {
    pub(super) async fn run(self) -> Outcome {
        match self {
            Self::Verify(verify) => answered(verify.run()),
            Self::Key(key) => key.run(),
            Self::Show(show) => show.run(),
            Self::Tail(tail) => tail.run().await,
        }
    }
}

impl Region {
    fn config(&self) -> Outcome<Config> {
        let dir = self.dir.as_deref().unwrap_or(Path::new("."));
        Ok(Config::load(&dir.join("okmsd.toml"), config::environment())?)
    }
}

fn key_of(config: &Config) -> Outcome<VerifyingKey> {
    let root = FileRootKey::load(&config.keys.root_key)?;
    Ok(SigningKey::of(&root, AUDIT_PURPOSE)?.public())
}

/// The files of the trails that the config names.
fn files_of(config: &Config) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    let ours = config.audit.device.iter().filter(|device| device.format == AuditFormat::Okmsd);
    for path in ours.filter_map(|device| device.path.as_ref()) {
        let of_device = FileDevice::all(path);
        files.extend(of_device.map_err(|error| format!("{}: {error}", path.display()))?);
    }
    if files.is_empty() {
        return Err("the config names no file of an audit trail, or nothing was recorded".into());
    }
    Ok(files)
}

impl Key {
    fn run(self) -> Outcome {
        say(hex(key_of(&self.region.config()?)?.as_bytes()));
        Ok(())
    }
}

impl Verify {
    fn run(self) -> Outcome<Answer> {
        let config = match self.region.dir {
            Some(_) => Some(self.region.config()?),
            None => None,
        };
        let key = match (self.key, &config) {
            (Some(key), _) => key,
            (None, Some(config)) => key_of(config)?,
            (None, None) => return Err("name the region's folder, or the key".into()),
        };
        let files = match (self.files, &config) {
            (files, _) if !files.is_empty() => files,
            (_, Some(config)) => files_of(config)?,
            (_, None) => return Err("name the files, or the region's folder".into()),
        };
        // Before the files are read: what they get meanwhile is more, not less.
        let heads = match &config {
            Some(config) => Heads::load(config, key)?.all(),
            None => Vec::new(),
        };
        let mut verifier = Verifier::new(key);
        for head in &heads {
            verifier.must_reach(head.at);
        }
        for file in &files {
            if let Some(fault) = fault_in(&mut verifier, file)? {
                return Ok(Answer::No(fault));
            }
        }
        let doubts = verifier.doubts().to_vec();
        let proven = match verifier.finish() {
            Ok(proven) => proven,
            Err(fault) => return Ok(Answer::No(fault.to_string())),
        };
        for one in &proven {
            say(told(one));
        }
        for doubt in &doubts {
            say(doubt);
        }
        let heads = heads.iter().map(|head| head.at);
        let gone: Vec<_> =
            heads.filter(|head| !proven.iter().any(|one| one.chain == head.chain)).collect();
        for Position { chain, seq, .. } in &gone {
            say(format!("chain {chain}: nothing of it is here; it had {seq} records at least"));
        }
        if let Some(one) = gone.iter().find(|one| !self.without.contains(&one.chain)) {
            let chain = one.chain;
            return Ok(Answer::No(format!(
                "nothing of chain {chain} is here; name its files, or say `--without {chain}` if they were put away"
            )));
        }
        Ok(match proven.iter().find(|one| self.closed && !one.is_closed) {
            Some(open) => Answer::No(format!("chain {} does not end with a stop", open.chain)),
            None => Answer::Yes,
        })
    }
}

/// What in a file is not as it was written, if anything is.
fn fault_in(verifier: &mut Verifier, file: &Path) -> Outcome<Option<String>> {
    let at = |line: usize, what: &dyn Display| format!("{}:{line}: {what}", file.display());
    // What cannot be read may be whole; what is there and cannot be unpacked is not.
    let of = |line: usize, error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Ok(Some(at(line, &error)))
        }
        _ => Err(at(line, &error).into()),
    };
    let mut lines = match Lines::open(file) {
        Ok(lines) => lines,
        Err(error) => return of(0, error),
    };
    for number in 1.. {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => return of(number, error),
        };
        if !line.is_whole {
            return Ok(Some(at(number, &"this line was cut short")));
        }
        if let Err(fault) = verifier.line(line.text) {
            return Ok(Some(at(number, &fault)));
        }
    }
    Ok(None)
}

fn told(proven: &Proven) -> String {
    let Proven { chain, first, last, signed, is_closed } = proven;
    let end = match (is_closed, last.saturating_sub(*signed)) {
        (true, _) => "it ends with a stop".to_owned(),
        // The checkpoint itself.
        (false, 0 | 1) => "it goes on".to_owned(),
        (false, more) => format!("it goes on; the last {more} are linked and not signed yet"),
    };
    format!(
        "chain {chain}: records {first} to {last} are as they were written, signed up to {signed}; {end}"
    )
}
