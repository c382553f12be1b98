//! Log lines for what may happen a thousand times a second.
//!
//! Owns the judgement whether a line is due. Always holds: of one kind, there is at most one line
//! in each pause, and the next one tells how many were left out. Never does: the logging itself.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// The lines of one kind.
#[derive(Debug)]
pub struct Seldom {
    pause: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    last: Option<Instant>,
    left_out: u64,
}

impl Seldom {
    /// One line in each `pause`.
    #[must_use]
    pub const fn new(pause: Duration) -> Self {
        Self { pause, state: Mutex::new(State { last: None, left_out: 0 }) }
    }

    /// Whether a line is due now, and how many were left out since the last one.
    pub fn due(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.last.is_some_and(|last| last.elapsed() < self.pause) {
            state.left_out += 1;
            return None;
        }
        state.last = Some(Instant::now());
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_line_tells_what_was_left_out() {
        let seldom = Seldom::new(Duration::from_millis(50));
        assert_eq!((seldom.due(), seldom.due(), seldom.due()), (Some(0), None, None));
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!((seldom.due(), seldom.due()), (Some(2), None));
    }
}
