//! Trying again where another process was faster.

use std::{
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

/// For so long it is tried, and so often at least.
const TIME: Duration = Duration::from_secs(2);
const AT_LEAST: u32 = 16;
/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// The tries of one change. Those of several processes that are in each other's way spread out.
pub(super) struct Tries {
    began: Instant,
    made: u32,
}

impl Tries {
    pub(super) fn new() -> Self {
        Self { began: Instant::now(), made: 0 }
    }

    /// Waits for the next try, the first two at once; false where others were faster too often.
    pub(super) async fn next(&mut self) -> bool {
        self.made += 1;
        if self.made > AT_LEAST && self.began.elapsed() > TIME {
            return false;
        }
        if let Some(doublings) = self.made.checked_sub(3) {
            let longest = Duration::from_millis(1 << doublings.min(6)).min(PAUSE_MAX);
            // As random as the keys of a map.
            let random: u16 =
                (RandomState::new().hash_one(self.made) >> 48).try_into().unwrap_or(u16::MAX);
            tokio::time::sleep(longest.mul_f64(f64::from(random) / f64::from(u16::MAX))).await;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn it_is_tried_for_long_and_often() {
        let began = Instant::now();
        let (mut tries, mut count) = (Tries::new(), 0);
        while tries.next().await {
            count += 1;
            assert!(count < 10_000, "there is an end");
        }
        assert!(count >= AT_LEAST && began.elapsed() >= TIME, "{count}");
        // Where each try takes long, not after the first ones.
        let mut slow = Tries { began: began.checked_sub(TIME * 2).unwrap(), made: 0 };
        for _ in 0..AT_LEAST {
            assert!(slow.next().await);
        }
        assert!(!slow.next().await);
    }
}
