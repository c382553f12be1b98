//! `okmsd audit`

use clap::Subcommand;

use super::{
    audit_key::Key,
    audit_show::Show,
    audit_tail::Tail,
    audit_verify::Verify,
    output::{Outcome, answered},
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
