//! Why an audit trail cannot begin.

use std::{io, path::PathBuf};

use crate::{
    audit::{ResumeError, Unvouched},
    crypto,
    material::MaterialError,
    service,
};

/// An audit trail that cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A file.
    #[error("audit file {0}: {1}")]
    File(PathBuf, #[source] io::Error),
    /// Standard output.
    #[error("standard output, as an audit device: {0}")]
    Stdout(#[source] io::Error),
    /// What is in a file.
    #[error("audit file {0}")]
    Resume(#[from] ResumeError),
    /// The authorities of a listener.
    #[error("audit.device.ca: {0}")]
    Authorities(#[from] MaterialError),
    /// Nobody can be known by them.
    #[error("audit.device.ca: {0}")]
    Unvouched(#[from] Unvouched),
    /// The key of checkpoints.
    #[error("the key of the audit trail: {0}")]
    Key(#[from] crypto::Error),
    /// Threads.
    #[error("the audit trail could not be started: {0}")]
    Threads(#[source] io::Error),
    /// Devices that were enabled over the API.
    #[error("audit devices that were enabled over the API: {0}")]
    Enabled(#[source] service::Error),
    /// The store.
    #[error("how changes ended that the audit trail has announced: {0}")]
    Store(#[source] service::Error),
}
