//! What has happened to secrets, as whoever keeps up with them is told: which one, and what kind of thing; never a
//! value.

use super::Timestamp;

/// What has happened to a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// It was made.
    Created,
    /// It has another version.
    Updated,
    /// It has another version by a rotation.
    Rotated,
    /// A version of it, or all of it, was deleted so that it can be restored.
    Deleted,
    /// That was taken back.
    Undeleted,
    /// Versions of it were destroyed for good.
    VersionsDestroyed,
    /// All of it is gone for good.
    Destroyed,
    /// All that was in a folder is gone for good.
    FolderDestroyed,
    /// What is said of it is otherwise.
    Described,
}

impl Happening {
    /// All of them, at their numbers in records.
    const ALL: [Self; 9] = [
        Self::Created,
        Self::Updated,
        Self::Rotated,
        Self::Deleted,
        Self::Undeleted,
        Self::VersionsDestroyed,
        Self::Destroyed,
        Self::FolderDestroyed,
        Self::Described,
    ];

    /// Its published name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Rotated => "rotated",
            Self::Deleted => "deleted",
            Self::Undeleted => "undeleted",
            Self::VersionsDestroyed => "versions_destroyed",
            Self::Destroyed => "destroyed",
            Self::FolderDestroyed => "folder_destroyed",
            Self::Described => "described",
        }
    }

    /// Its number in records, which never changes.
    #[must_use]
    pub fn number(self) -> u8 {
        let at = Self::ALL.iter().position(|one| *one == self);
        at.and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }

    /// The one of this number, if this program knows it.
    #[must_use]
    pub fn of(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Something that has happened to a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretEvent {
    /// What.
    pub happening: Happening,
    /// The secret's path in the domain; of a folder it ends in a slash.
    pub path: Box<str>,
    /// The version that is current by then; 0 where there is none.
    pub version: u32,
    /// When.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_each_ones_own() {
        for (number, happening) in (0..).zip(Happening::ALL) {
            assert_eq!((happening.number(), Happening::of(number)), (number, Some(happening)));
        }
        assert_eq!(Happening::of(9), None);
        assert_eq!(Happening::Created.number(), 0, "what is stored stays what it is");
        assert_eq!(Happening::Described.number(), 8, "what is stored stays what it is");
    }
}
