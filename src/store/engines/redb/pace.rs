//! How much the writer takes at once.
//!
//! Whoever comes waits for the group under way and for its own, so the time that a group takes is
//! what a quiet tenant waits behind a busy one. Bytes that a fast disk takes in a moment are a long
//! time on a slow one: groups are cut to the disk.

use std::time::Duration;

/// A group that takes longer makes the next ones smaller.
const LONG: Duration = Duration::from_millis(30);
/// Groups are not cut below that: where a sync alone takes long, smaller ones would only be more.
const LEAST: usize = 512 << 10;

/// The bytes that a group may have at present.
#[derive(Debug)]
pub(super) struct Pace {
    bytes: usize,
    most: usize,
}

impl Pace {
    /// Begins with groups of `most` bytes, and never takes larger ones.
    pub(super) const fn new(most: usize) -> Self {
        Self { bytes: most, most }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// A group of so many bytes took so long.
    pub(super) fn took(&mut self, bytes: usize, time: Duration) {
        if time > LONG && bytes > LEAST {
            self.bytes = (bytes.min(self.bytes) / 2).max(LEAST);
        } else if time < LONG / 2 && bytes >= self.bytes / 2 {
            // Only a group that is about as large as it may be tells that a larger one would do. Of
            // small values a group has no more bytes than that in any case.
            self.bytes = self.bytes.saturating_mul(2).min(self.most);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 8 << 20;

    /// What a disk makes of a tenant that always has more to write: the time of the longest group
    /// once it is known.
    fn settled(bytes_per_ms: usize, pause_ms: u64) -> (usize, Duration) {
        let mut pace = Pace::new(MOST);
        let time = |bytes: usize| Duration::from_millis(pause_ms + (bytes / bytes_per_ms) as u64);
        let mut longest = Duration::ZERO;
        for round in 0..100 {
            let bytes = pace.bytes();
            if round > 50 {
                longest = longest.max(time(bytes));
            }
            pace.took(bytes, time(bytes));
        }
        (pace.bytes(), longest)
    }

    #[test]
    fn groups_are_cut_to_the_disk() {
        assert_eq!(settled(1 << 20, 1), (MOST, Duration::from_millis(9)), "a fast disk");
        let (bytes, longest) = settled(64 << 10, 1);
        assert!(bytes < MOST && longest <= LONG * 2, "a slow disk: {bytes} bytes, {longest:?}");
        assert_eq!(settled(1 << 20, 20).0, MOST, "a slow sync");
        assert_eq!(settled(1 << 20, 200).0, LEAST, "a very slow one");
    }

    #[test]
    fn one_slow_moment_is_forgotten() {
        let mut pace = Pace::new(MOST);
        pace.took(1 << 10, LONG * 10);
        assert_eq!(pace.bytes(), MOST, "a small group does not make others smaller");
        pace.took(1 << 10, Duration::from_millis(1));
        pace.took(MOST, LONG * 10);
        assert_eq!(pace.bytes(), MOST / 2);
        pace.took(1 << 10, Duration::from_millis(1));
        assert_eq!(pace.bytes(), MOST / 2, "nor larger");
        pace.took(MOST / 2, LONG / 3);
        assert_eq!(pace.bytes(), MOST);
    }
}
