//! What has become of rotations: the history of a rotation policy.

use super::{Invalid, SecretPath, Timestamp, VersionNumber};

/// How many events of a policy are kept, the newest.
pub const ROTATION_EVENTS_MAX: usize = 100;
/// The longest reason for a rotation, in bytes.
const REASON_MAX: usize = 512;

/// A rotation of a secret by its policy, or one that could not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationEvent {
    /// The secret.
    pub path: SecretPath,
    /// When it was.
    pub at: Timestamp,
    /// The version that was current before; 0 where there was none.
    pub old_version: u32,
    /// What has become of it.
    pub outcome: RotationOutcome,
    /// Why it was asked for, in the words of whoever did.
    pub reason: Option<Box<str>>,
}

/// What has become of a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RotationOutcome {
    /// There is this new version.
    Rotated(VersionNumber),
    /// There is none, for this reason.
    Failed(Box<str>),
}

impl RotationOutcome {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Rotated(_) => "success",
            Self::Failed(_) => "failed",
        }
    }
}

/// A reason that somebody gives.
///
/// # Errors
/// `Invalid` where it is longer than 512 bytes, or not printable.
pub fn rotation_reason(text: &str) -> Result<Box<str>, Invalid> {
    const RULE: Invalid = Invalid("a text of at most 512 printable bytes");
    let is_one = text.len() <= REASON_MAX && super::text::is_printable(text);
    if is_one { Ok(text.into()) } else { Err(RULE) }
}
