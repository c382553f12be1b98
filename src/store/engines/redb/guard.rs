//! Running database code that may end in a panic.
//!
//! redb takes what it reads for sound, and panics where it is not. Owns the two ways in which such
//! a call can end beside its answer: a page that is damaged, and anything else. Always holds: a
//! panic in a guarded section ends that section only, and fills no log. Never does: decide what is
//! to be given up afterwards.

use std::{
    cell::Cell,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    time::Duration,
};

use crate::seldom::Seldom;

/// A page of the file that does not hold what was written there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the page at byte {offset} of the database file is damaged")]
pub(super) struct DamagedPage {
    pub(super) offset: u64,
}

/// How a guarded section ended instead of giving an answer.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Panicked {
    /// It asked for a page that is damaged.
    #[error(transparent)]
    Damaged(#[from] DamagedPage),
    /// A fault in the code, or a wrong page that nobody noticed.
    #[error("the database code panicked")]
    Code,
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs what may panic, and turns the panic into an error. Whatever `run` was changing must be
/// given up, or known to be whole.
pub(super) fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, Panicked> {
    hold_the_log();
    let before = GUARDED.replace(true);
    let outcome = panic::catch_unwind(AssertUnwindSafe(run));
    GUARDED.set(before);
    outcome.map_err(|payload| {
        payload.downcast_ref().copied().map_or(Panicked::Code, Panicked::Damaged)
    })
}

/// Leaves the guarded section from within the storage: redb must not see a page that is damaged,
/// and an I/O error would make it refuse everything that comes later, of other pages too.
pub(super) fn leave(damaged: DamagedPage) -> ! {
    panic::resume_unwind(Box::new(damaged))
}

/// A panic in a guarded section is one line at most, and tells its place only: its text may quote
/// what was read.
fn hold_the_log() {
    static ONCE: Once = Once::new();
    static PANICS: Seldom = Seldom::new(Duration::from_secs(10));
    ONCE.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                before(panic);
            } else if let Some(left_out) = PANICS.due() {
                let place = panic.location().map(ToString::to_string).unwrap_or_default();
                tracing::error!(place, left_out, "the database code panicked");
            }
        }));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_page_is_told_from_a_panic() {
        assert!(matches!(guarded(|| 1), Ok(1)));
        assert!(matches!(guarded(|| panic!("a fault")), Err(Panicked::Code)));
        let page = DamagedPage { offset: 4096 };
        let found: Result<(), _> = guarded(|| leave(page));
        assert!(matches!(found, Err(Panicked::Damaged(other)) if other == page));
    }
}
