//! `okmsd audit tail`: the last records, and those that follow.
//!
//! Always holds: each record is shown once and in order, however many files were filled since the last look,
//! and be they packed by then.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use serde::Deserialize;

use super::{
    audit_show::{Filter, fault},
    output::{Outcome, say},
};
use crate::audit::{FileDevice, Lines};

/// So often a file is looked at for more.
const LOOK: Duration = Duration::from_millis(250);
/// What is read of a file's end for the last records.
const END: u64 = 1 << 20;

#[derive(Args)]
pub(super) struct Tail {
    /// The file that is written. Of a packed one (.gz) its last records are shown, and none follow.
    file: PathBuf,
    /// How many records are shown of those that are there.
    #[arg(short = 'n', long, default_value_t = 10)]
    last: usize,
    #[command(flatten)]
    filter: Filter,
}

/// Where a record is among all.
#[derive(Deserialize)]
struct Place {
    chain: Option<String>,
    seq: Option<u64>,
    #[serde(default)]
    time: String,
}

impl Place {
    fn of(line: &[u8]) -> Option<Self> {
        serde_json::from_slice(line).ok()
    }

    /// Whether it comes after another one: by its number in their chain; where they are of two, or have no
    /// numbers (Vault's form), by their times, which sort as text.
    fn is_after(&self, other: &Self) -> bool {
        match (self.seq, other.seq) {
            (Some(own), Some(others)) if self.chain == other.chain => own > others,
            _ => self.time > other.time,
        }
    }
}

/// A file that is read on as it is written.
struct Followed {
    file: File,
    /// What was read behind its last whole line.
    rest: Vec<u8>,
    /// The last record that was read, of this file or of those before.
    last: Option<Place>,
}

impl Followed {
    /// The whole lines that were written since.
    fn read(&mut self) -> io::Result<Vec<String>> {
        self.file.read_to_end(&mut self.rest)?;
        let end = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let rest = self.rest.split_off(end);
        let whole = std::mem::replace(&mut self.rest, rest);
        let lines: Vec<_> = String::from_utf8_lossy(&whole).lines().map(str::to_owned).collect();
        let place = lines.last().and_then(|line| Place::of(line.as_bytes()));
        self.last = place.or(self.last.take());
        Ok(lines)
    }

    /// The files of the trail at `path` that come after what was read, in order.
    fn after(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        let own = self.file.metadata()?;
        let mut after = VecDeque::new();
        for one in FileDevice::all(path)?.into_iter().rev() {
            let there = match fs::metadata(&one) {
                // It was packed meanwhile: it is found at the next look.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
                there => there?,
            };
            if (there.dev(), there.ino()) == (own.dev(), own.ino()) {
                break;
            }
            let first = Lines::open(&one)?.next_line()?.and_then(|line| Place::of(line.text));
            // One that has no record yet is found once it has.
            let Some(first) = first else { continue };
            if self.last.as_ref().is_some_and(|last| !first.is_after(last)) {
                break;
            }
            after.push_front(one);
        }
        Ok(after.into())
    }

    /// Tells all that was written since the last look.
    fn look(&mut self, path: &Path, tell: &mut impl FnMut(&str)) -> io::Result<()> {
        self.read()?.iter().for_each(|line| tell(line));
        let after = self.after(path)?;
        // Once others have come after it, nothing more is written to this one.
        self.read()?.iter().for_each(|line| tell(line));
        let last = after.len().saturating_sub(1);
        for (at, next) in after.iter().enumerate() {
            match self.goes_on_in(next, at == last, tell) {
                // It was packed meanwhile, and is found at the next look; or it was more than is kept.
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                went => went?,
            }
        }
        Ok(())
    }

    /// Goes on in another file; where that is full and packed, or gone, behind it.
    fn goes_on_in(
        &mut self,
        next: &Path,
        is_last: bool,
        tell: &mut impl FnMut(&str),
    ) -> io::Result<()> {
        if is_last && next.extension().is_none_or(|extension| extension != "gz") {
            self.file = File::open(next)?;
            self.rest.clear();
            return Ok(());
        }
        let mut lines = Lines::open(next)?;
        while let Some(line) = lines.next_line()? {
            self.last = Place::of(line.text).or(self.last.take());
            tell(&String::from_utf8_lossy(line.text));
        }
        Ok(())
    }
}

impl Tail {
    pub(super) async fn run(self) -> Outcome {
        let has_colours = io::stdout().is_terminal();
        let path = &self.file;
        let failed = |error: io::Error| fault(path, &error);
        if path.extension().is_some_and(|extension| extension == "gz") {
            let mut last = VecDeque::new();
            self.filter.each(path, has_colours, |line| {
                last.push_back(line);
                if last.len() > self.last {
                    last.pop_front();
                }
            })?;
            last.into_iter().for_each(say);
            return Ok(());
        }
        let mut file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(END))).map_err(failed)?;
        let mut followed = Followed { file, rest: Vec::new(), last: None };
        let found = followed.read().map_err(failed)?;
        let found: Vec<_> =
            found.iter().filter_map(|line| self.filter.line(line, has_colours)).collect();
        for line in found.iter().skip(found.len().saturating_sub(self.last)) {
            say(line);
        }
        let mut tell = |line: &str| self.filter.line(line, has_colours).into_iter().for_each(say);
        loop {
            tokio::time::sleep(LOOK).await;
            followed.look(path, &mut tell).map_err(failed)?;
        }
    }
}
