//! The audit trail: who did what, when, and whether he might.
//!
//! Owns the records, the chain that links them, and the devices that keep them. Always holds: a
//! record has no value in it, nor the name of a member of one; what was recorded cannot be changed
//! afterwards without [`Verifier`] finding it; a device that fails or hangs is bounded in time, and
//! stalls nobody. Never does: decide what may be done, or what is done without a record; those who
//! ask for one do.

mod behind;
mod bell;
mod chain;
mod device;
mod file;
mod head;
mod lane;
mod link;
mod members;
mod outline;
mod packed;
#[cfg(test)]
mod packed_tests;
mod recorder;
mod resume;
mod state;
mod stdout;
mod syslog;
#[cfg(test)]
mod syslog_tests;
#[cfg(test)]
mod tests;
mod trail;
mod trail_file;
mod unended;
mod vault_form;
mod verify;
mod worker;

pub use self::{
    behind::Behind,
    chain::{ChainId, Hash, Position},
    device::{Caught, Device, Disk, Form, Opened, Wants},
    file::{FileDevice, Rotation},
    head::Head,
    link::{Listener, Unvouched, Vouched},
    members::Members,
    outline::Outline,
    packed::{Line, Lines},
    recorder::{Fitted, LaneId, Need, OPEN_MAX, Receipt, Recorder, Standing},
    resume::{ResumeError, Tail, cut_torn},
    state::Unrecorded,
    stdout::StdoutDevice,
    syslog::SyslogDevice,
    trail::{Auditor, Missing, Terms, Trail, Whom, hashed},
    trail_file::TrailFile,
    unended::Unended,
    verify::{Doubt, Fault, Proven, Verifier},
};
