//! The files of a trail, found while it is written.
//!
//! Always holds: each record that was there comes once, in order, whatever is renamed or packed before
//! it is read. Never does: wait for whoever writes a pipe.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::{behind::open, file::before, packed::Lines};

/// A file is looked for so often at the most, if it is renamed each time.
const LOOKS: usize = 16;
/// The rest of a line is waited for so often, and so long each time.
const WAITS: (usize, Duration) = (20, Duration::from_millis(50));

/// A file of a trail.
#[derive(Debug)]
pub struct TrailFile {
    path: PathBuf,
    /// It, where it is the one that is written: it may have another name by the time that it is read.
    newest: Option<File>,
}

impl TrailFile {
    /// The one that somebody names.
    #[must_use]
    pub const fn named(path: PathBuf) -> Self {
        Self { path, newest: None }
    }

    /// Those of the trail at `path`, in order: those before, and the one that is written.
    ///
    /// # Errors
    /// The system's.
    pub fn all(path: &Path) -> io::Result<Vec<Self>> {
        for _ in 0..LOOKS {
            let newest = open(path)?;
            let mut files: Vec<_> = before(path)?.into_iter().map(Self::named).collect();
            // If it was renamed in between, it may be among these.
            if is_at(newest.as_ref(), path)? {
                files.extend(
                    newest.map(|newest| Self { path: path.to_owned(), newest: Some(newest) }),
                );
                return Ok(files);
            }
        }
        Err(io::Error::other("it is renamed over and over while it is looked for"))
    }

    /// What it was called when it was found.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its lines.
    ///
    /// # Errors
    /// The system's.
    pub fn lines(&self) -> io::Result<Lines> {
        match &self.newest {
            Some(newest) => Lines::of(newest.try_clone()?, 0),
            None => Lines::open(&self.path),
        }
    }

    /// Whether it has more than so many bytes, or will in a moment: a line without its end is being
    /// written then, and was not cut short.
    #[must_use]
    pub fn grows_beyond(&self, bytes: u64) -> bool {
        let (times, pause) = WAITS;
        (0..times).any(|time| {
            if time > 0 {
                thread::sleep(pause);
            }
            let metadata = match &self.newest {
                Some(newest) => newest.metadata(),
                None => fs::metadata(&self.path),
            };
            metadata.is_ok_and(|metadata| metadata.len() > bytes)
        })
    }
}

/// Whether that file is the one at the path, or neither is there.
fn is_at(file: Option<&File>, path: &Path) -> io::Result<bool> {
    let there = match fs::metadata(path) {
        Ok(there) => there.is_file().then_some((there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let own = file.map(File::metadata).transpose()?;
    Ok(own.map(|own| (own.dev(), own.ino())) == there)
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    /// Each file that is there has two lines of numbers; the one that is written may have fewer.
    fn numbers(files: &[TrailFile]) -> Vec<u32> {
        let mut numbers = Vec::new();
        for file in files {
            let mut lines = file.lines().unwrap();
            while let Some(line) = lines.next_line().unwrap() {
                numbers.push(std::str::from_utf8(line.text).unwrap().parse().unwrap());
            }
        }
        numbers
    }

    fn writes(path: &Path, number: u32) {
        let mut file = File::options().append(true).create(true).open(path).unwrap();
        file.write_all(format!("{number}\n").as_bytes()).unwrap();
    }

    fn gives_way(path: &Path, number: u32) -> PathBuf {
        let to = path.with_file_name(format!("audit-{number:020}.log"));
        fs::rename(path, &to).unwrap();
        to
    }

    fn is_packed(plain: &Path) {
        let packed = File::create(plain.with_extension("log.gz")).unwrap();
        let mut packing = GzEncoder::new(packed, Compression::fast());
        packing.write_all(&fs::read(plain).unwrap()).unwrap();
        packing.finish().unwrap();
        fs::remove_file(plain).unwrap();
    }

    /// The file that is written was looked for by its name, once those before were read: it had another by then,
    /// and what was there in its place began later.
    #[test]
    fn what_is_renamed_and_packed_meanwhile_is_read_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        (1..=2).for_each(|number| writes(&path, number));
        let first = gives_way(&path, 2);
        (3..=4).for_each(|number| writes(&path, number));
        let found = TrailFile::all(&path).unwrap();
        is_packed(&first);
        is_packed(&gives_way(&path, 4));
        assert_eq!(numbers(&found), [1, 2, 3, 4]);
        writes(&path, 5);
        assert_eq!(numbers(&found), [1, 2, 3, 4]);
        assert_eq!(numbers(&TrailFile::all(&path).unwrap()), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_file_that_is_renamed_while_it_is_looked_for_is_there_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let is_over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                // It ends, be it that what it is for has failed.
                for number in (1..20_000).take_while(|_| !is_over.load(Relaxed)) {
                    writes(&path, number);
                    if number % 2 == 0 {
                        gives_way(&path, number);
                        // So that there are few.
                        if let Some(old) = number.checked_sub(8).filter(|old| *old > 0) {
                            let name = format!("audit-{old:020}.log");
                            fs::remove_file(path.with_file_name(name)).unwrap();
                        }
                        thread::sleep(Duration::from_micros(500));
                    }
                }
            });
            for _ in 0..300 {
                // Old ones may be gone by the time that they are read.
                let found = TrailFile::all(&path).unwrap();
                let last = &found[found.len().saturating_sub(3)..];
                let read = numbers(last);
                let follows = read.windows(2).all(|two| two[1] == two[0] + 1);
                assert!(follows, "{read:?}");
            }
            is_over.store(true, Relaxed);
        });
    }

    #[test]
    fn a_line_that_is_being_written_was_not_cut_short() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "1\n2").unwrap();
        let found = TrailFile::all(&path).unwrap();
        assert!(!found[0].grows_beyond(3));
        thread::scope(|scope| {
            scope.spawn(|| {
                thread::sleep(Duration::from_millis(100));
                writes(&path, 3);
            });
            assert!(found[0].grows_beyond(3));
        });
    }
}
