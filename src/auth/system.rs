//! What the program does by itself in tenants.

/// What the program does by itself, as somebody has said that it is to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// It rotates secrets whose policies say so.
    Rotation,
    /// It erases secrets that were removed, when they can be restored no longer.
    Retention,
}

impl System {
    /// All of it.
    pub const ALL: [Self; 2] = [Self::Rotation, Self::Retention];

    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rotation => "system:rotation",
            Self::Retention => "system:retention",
        }
    }
}
