//! How commits of changes end.

use super::labels::labels;

labels! {
    /// How a commit of a change ended.
    pub enum Outcome {
        /// What was decided is stored.
        Committed = "committed",
        /// Somebody was faster: it is decided anew.
        Overtaken = "overtaken",
        /// The store took it not, or may have.
        Failed = "failed",
    }
}
