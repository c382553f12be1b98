//! Work that is long for a thread that serves many: large values are sealed and opened while the
//! thread's other work goes on elsewhere.

use tokio::runtime::{Handle, RuntimeFlavor};

/// From this size on a value is large: a millisecond's work, and not a few microseconds'.
const LARGE: usize = 64 << 10;

/// Does `work` on a value of so many bytes.
pub(super) fn aside<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    // A runtime of one thread has nowhere else to go.
    let has_others = || {
        Handle::try_current().is_ok_and(|here| here.runtime_flavor() == RuntimeFlavor::MultiThread)
    };
    if bytes >= LARGE && has_others() { tokio::task::block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn works_in_any_runtime_and_in_none() {
        assert_eq!(aside(LARGE, || 1), 1);
        let one = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(one.block_on(async { aside(LARGE, || 2) }), 2);
        let many = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        assert_eq!(
            many.block_on(async { tokio::spawn(async { aside(LARGE, || 3) }).await.unwrap() }),
            3
        );
    }
}
