//! `okmsd audit verify`: whether all is there, and as it was written.

use std::{collections::BTreeSet, fmt::Display, io, path::PathBuf};

use clap::Args;

use super::{
    audit_key::{Region, key_of, parse_key},
    output::{Answer, Outcome, say},
};
use crate::{
    app::Heads,
    audit::{ChainId, Position, Proven, TrailFile, Verifier},
    config::{AuditFormat, Config},
    crypto::VerifyingKey,
};

#[derive(Args)]
pub(super) struct Verify {
    /// The files, in order, packed ones (.gz) as they are; several chains may be mixed. Without any:
    /// those that the region's config names, the trail of each device by itself.
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
    /// What is not here, and need not be, as it was put away: a chain of which nothing is here, or, with
    /// a number, the records of a chain up to that one.
    #[arg(long, value_name = "CHAIN[:NUMBER]", value_parser = parse_away)]
    without: Vec<Away>,
}

/// What was put away.
#[derive(Clone, Copy)]
struct Away {
    chain: ChainId,
    /// Up to which record; all of it where that is nothing.
    to: Option<u64>,
}

fn parse_away(text: &str) -> Result<Away, String> {
    let (chain, to) = match text.split_once(':') {
        Some((chain, to)) => (chain, Some(to.parse())),
        None => (text, None),
    };
    ChainId::parse(chain)
        .zip(to.transpose().ok())
        .map(|(chain, to)| Away { chain, to })
        .ok_or_else(|| {
            "must be the 16 hexadecimal digits that name a chain, and may have a colon and the number of a record behind them"
                .to_owned()
        })
}

/// The files of a device, or those that were named.
struct Trail {
    files: Vec<TrailFile>,
    /// Whether there were files before, which the server itself has removed.
    is_pruned: bool,
}

/// Those that the config names.
fn trails_of(config: &Config) -> Outcome<Vec<Trail>> {
    let mut trails = Vec::new();
    let ours = config.audit.device.iter().filter(|device| device.format == AuditFormat::Okmsd);
    for (path, keep) in ours.filter_map(|device| Some((device.path.as_ref()?, device.keep))) {
        let files = TrailFile::all(path);
        let files = files.map_err(|error| format!("{}: {error}", path.display()))?;
        let before = files.iter().filter(|file| file.path() != path).count();
        // With fewer than are kept there, it is not the server that has removed one.
        trails.push(Trail { files, is_pruned: keep > 0 && before >= keep });
    }
    if trails.iter().all(|trail| trail.files.is_empty()) {
        return Err("the config names no file of an audit trail, or nothing was recorded".into());
    }
    Ok(trails)
}

impl Verify {
    pub(super) fn run(self) -> Outcome<Answer> {
        let config = match self.region.dir {
            Some(_) => Some(self.region.config()?),
            None => None,
        };
        let key = match (self.key, &config) {
            (Some(key), _) => key,
            (None, Some(config)) => key_of(config)?,
            (None, None) => return Err("name the region's folder, or the key".into()),
        };
        // Before the files are looked for: what they get meanwhile is more, not less.
        let heads: Vec<_> = match &config {
            Some(config) => Heads::load(config, key)?.all().iter().map(|head| head.at).collect(),
            None => Vec::new(),
        };
        let trails = match (self.files, &config) {
            (files, _) if !files.is_empty() => {
                let files = files.into_iter().map(TrailFile::named).collect();
                vec![Trail { files, is_pruned: false }]
            }
            (_, Some(config)) => trails_of(config)?,
            (_, None) => return Err("name the files, or the region's folder".into()),
        };
        let (mut proven, mut pruned, mut doubts) = (Vec::new(), BTreeSet::new(), Vec::new());
        for trail in &trails {
            let mut verifier = Verifier::new(key);
            for head in &heads {
                verifier.must_reach(*head);
            }
            for file in &trail.files {
                if let Some(fault) = fault_in(&mut verifier, file)? {
                    return Ok(Answer::No(fault));
                }
            }
            pruned.extend(verifier.first().filter(|_| trail.is_pruned));
            doubts.extend_from_slice(verifier.doubts());
            let own = match verifier.finish() {
                Ok(own) => own,
                Err(fault) => return Ok(Answer::No(fault.to_string())),
            };
            if let Some(file) = trail.files.last().filter(|_| trails.len() > 1) {
                say(format!("{}:", file.path().display()));
            }
            for one in &own {
                say(told(one));
            }
            proven.extend(own);
        }
        doubts.dedup();
        for doubt in &doubts {
            say(doubt);
        }
        let gone = heads.iter().filter(|head| !proven.iter().any(|one| one.chain == head.chain));
        let without_beginning = without_beginning(&proven, &pruned, &self.without);
        if let Some(why) = nothing_of(gone, &self.without).or(without_beginning) {
            return Ok(Answer::No(why));
        }
        Ok(match proven.iter().find(|one| self.closed && !one.is_closed) {
            Some(open) => Answer::No(format!("chain {} does not end with a stop", open.chain)),
            None => Answer::Yes,
        })
    }
}

/// Which chain lacks its beginning, wherever it is looked for, though nobody has said that it was put
/// away, nor has the server removed it. Says of which that is so.
fn without_beginning(
    proven: &[Proven],
    pruned: &BTreeSet<ChainId>,
    without: &[Away],
) -> Option<String> {
    let mut why = None;
    let chains: BTreeSet<_> = proven.iter().map(|one| one.chain).collect();
    for chain in chains {
        let of_it = proven.iter().filter(|one| one.chain == chain);
        let missing = of_it.map(|one| one.first - 1).min().unwrap_or_default();
        if missing == 0 {
            continue;
        }
        let is_said = without
            .iter()
            .any(|away| away.chain == chain && away.to.is_some_and(|to| to >= missing));
        if is_said {
            say(format!("chain {chain}: records 1 to {missing} are not here"));
        } else if pruned.contains(&chain) {
            say(format!(
                "chain {chain}: records 1 to {missing} are not here; the config keeps no more files"
            ));
        } else {
            why = why.or_else(|| {
                Some(format!(
                    "records 1 to {missing} of chain {chain} are missing; name their files, or say `--without {chain}:{missing}` \
                     if they were put away"
                ))
            });
        }
    }
    why
}

/// Of which chain nothing is here, though nobody has said that it was put away. Says of which that is so.
fn nothing_of<'a>(gone: impl Iterator<Item = &'a Position>, without: &[Away]) -> Option<String> {
    let mut why = None;
    for Position { chain, seq, .. } in gone {
        say(format!("chain {chain}: nothing of it is here; it had {seq} records at least"));
        if !without.iter().any(|away| away.chain == *chain && away.to.is_none()) {
            why = why.or_else(|| {
                Some(format!(
                    "nothing of chain {chain} is here; name its files, or say `--without {chain}` if they were put away"
                ))
            });
        }
    }
    why
}

/// What in a file is not as it was written, if anything is.
fn fault_in(verifier: &mut Verifier, file: &TrailFile) -> Outcome<Option<String>> {
    let at = |line: usize, what: &dyn Display| format!("{}:{line}: {what}", file.path().display());
    // What cannot be read may be whole; what is there and cannot be unpacked is not.
    let of = |line: usize, error: io::Error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof => {
            Ok(Some(at(line, &error)))
        }
        _ => Err(at(line, &error).into()),
    };
    let mut lines = match file.lines() {
        Ok(lines) => lines,
        Err(error) => return of(0, error),
    };
    let mut bytes = 0;
    for number in 1.. {
        let line = match lines.next_line() {
            Ok(Some(line)) => line,
            Ok(None) => break,
            Err(error) => return of(number, error),
        };
        bytes += line.text.len() as u64 + u64::from(line.is_whole);
        if !line.is_whole {
            // What a server is writing is no part of this yet.
            let is_cut = !file.grows_beyond(bytes);
            return Ok(is_cut.then(|| at(number, &"this line was cut short")));
        }
        if let Err(fault) = verifier.line(line.text) {
            return Ok(Some(at(number, &fault)));
        }
    }
    Ok(None)
}

fn told(proven: &Proven) -> String {
    let Proven { chain, first, last, signed, is_closed } = proven;
    if *signed == 0 {
        return format!(
            "chain {chain}: records {first} to {last} are not signed: servers that were killed as they started leave these, and \
             nothing else; whether they are as they were written is not known"
        );
    }
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
